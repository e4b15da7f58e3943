"""The commands `aether` and `aether-lint`: one Rust program, arguments passed on, exit codes kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time

import pytest

from aether import __version__
from test_audit import RACE, TEXTBOOK

SCRIPTS = sysconfig.get_path("scripts")
WAYS = {
    "aether": [os.path.join(SCRIPTS, "aether")],
    "aether-lint": [os.path.join(SCRIPTS, "aether-lint")],
    "module": [sys.executable, "-m", "aether"],
}


@pytest.fixture(params=WAYS, ids=str)
def command(request):
    words = WAYS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed; the wheel is not, either")

    def run(*arguments, **options):
        return subprocess.run([*words, *arguments], capture_output=True, text=True, timeout=300, **options)

    run.words = words
    return run


def test_exit_codes(command, tmp_path):
    (tmp_path / "race.py").write_text(RACE)
    (tmp_path / "fine.py").write_text("x = 1\n")
    found = command("check", "race.py", "--output-format", "concise", cwd=tmp_path)
    assert (found.returncode, found.stdout.split(" ")[0]) == (1, "race.py:7:5:")
    clean = command("check", "fine.py", cwd=tmp_path)
    assert (clean.returncode, clean.stdout) == (0, "")
    missing = command("check", "nowhere.py", cwd=tmp_path)
    assert missing.returncode == 2 and "`nowhere.py` does not exist" in missing.stderr and not missing.stdout
    usage = command("check", "--select", "AET1O1", cwd=tmp_path)
    assert usage.returncode == 2 and "AET1O1" in usage.stderr


def test_version_help_and_input_from_a_pipe(command):
    assert command("--version").stdout.split()[-1] == __version__
    text = command("check", "--help").stdout
    assert "--free-threaded" in text and "--verbose" in text
    assert command("check", "-", input=RACE).returncode == 1


def test_scan_shows_what_check_does_not(command, tmp_path):
    (tmp_path / "snippet.py").write_text(TEXTBOOK)
    assert command("check", "snippet.py", cwd=tmp_path).returncode == 0
    for words in (["scan", "snippet.py"], ["scan", "snippet.py", "--all", "--free-threaded"], ["check", "--all", "."]):
        scanned = command(*words, "--output-format", "json", cwd=tmp_path)
        assert {"AET001", "AET002"} <= {finding["code"] for finding in json.loads(scanned.stdout)}


def test_profile_and_status_mean_this_interpreter(command, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    status = command("status", "--format", "json", env=environment)
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["interpreter"]["prefix"] == sys.prefix
    for words in (["--verbose"], ["--full"]):
        assert "GIL:" in command("status", *words, env=environment).stdout
    (tmp_path / "work.py").write_text("import time\ndef workload():\n    time.sleep(0.002)\n")
    words = ["profile", "work.py", "--max-threads", "2", "--duration", "0.05", "--format", "json"]
    profile = command(*words, cwd=tmp_path, env=environment)
    assert profile.returncode == 0, profile.stderr
    assert "aether-bench/scaling/1" in profile.stdout


def test_a_reader_that_goes_away_is_no_error(command):
    process = subprocess.Popen(
        [*command.words, "config", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 0


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_ends_a_profile(command, tmp_path):
    (tmp_path / "work.py").write_text("import time\ndef workload():\n    time.sleep(0.01)\n")
    process = subprocess.Popen(
        [*command.words, "profile", "work.py", "--duration", "30", "--max-threads", "4"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
