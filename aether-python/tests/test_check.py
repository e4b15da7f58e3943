"""What this interpreter is, and what is installed for it."""

from __future__ import annotations

import platform
import subprocess
import sys
import sysconfig

import pytest

from aether.check import GILStatus, GILStatusChecker, get_gil_status, is_free_threaded, print_status

FREE_THREADED_BUILD = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def test_the_status_is_of_this_interpreter():
    status = GILStatusChecker().get_status()
    assert status.python_version == platform.python_version()
    assert status.is_free_threaded_build == FREE_THREADED_BUILD
    assert status.gil_status is get_gil_status() is GILStatusChecker().get_gil_status()
    assert status.is_free_threaded is is_free_threaded() is GILStatusChecker().is_free_threaded()
    assert status.explanation
    if not FREE_THREADED_BUILD:
        assert status.gil_status is GILStatus.ENABLED and not status.is_free_threaded


def test_packages_are_sorted_into_ready_and_not_known_to_be():
    status = GILStatusChecker().get_status()
    ready, other = set(status.free_threaded_packages), set(status.potentially_unsafe_packages)
    assert not ready & other
    assert {package.name for package in status.packages} == ready | other
    assert all(package.because and package.verdict for package in status.packages)
    for package in status.packages:
        assert (package.verdict == "ready") == (package.name in ready)


def test_it_is_printed_as_the_command_prints_it(capsys):
    print_status()
    printed = capsys.readouterr().out
    assert platform.python_version() in printed and "GIL:" in printed
    GILStatusChecker().print_status(full=True)
    assert len(capsys.readouterr().out) >= len(printed)
    command = subprocess.run(
        [sys.executable, "-m", "aether", "status", "--python", sys.executable], capture_output=True, text=True, check=True
    )
    assert command.stdout.splitlines()[1:] == printed.splitlines()[1:]


@pytest.mark.skipif(not FREE_THREADED_BUILD, reason="not run: this build has a GIL")
def test_importing_this_package_leaves_the_gil_off():
    code = "import sys, aether._native; print(sys._is_gil_enabled())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
