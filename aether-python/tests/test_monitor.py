"""Contention per lock: counted when asked for, plain locks otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from aether import ThreadSafeDict, atomic, monitor


@pytest.fixture
def monitored():
    monitor.reset()
    monitor.enable()
    yield
    monitor.disable()
    monitor.reset()


def test_off_means_plain_locks():
    assert not monitor.is_enabled()
    assert type(ThreadSafeDict()._lock) is type(threading.RLock())
    assert type(monitor.lock("mine")) is type(threading.RLock())


def test_acquisitions_and_waits_are_counted_by_name(monitored, capsys):
    cache = ThreadSafeDict()
    lock = monitor.lock("mine")
    for _ in range(10):
        cache.increment("hits")
    entered, done = threading.Event(), threading.Event()

    def hold():
        with lock:
            entered.set()
            done.wait(0.05)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    assert not lock.acquire(blocking=False) and not lock.acquire(timeout=0.001)
    with lock:
        pass
    holder.join()
    reports = {report.name: report for report in monitor.report()}
    mine = reports["mine"]
    assert (mine.acquisitions, mine.contended, mine.timeouts) == (2, 1, 1) and mine.contention == 0.5
    assert 0 < mine.wait_p50_ms == mine.wait_p99_ms == mine.wait_max_ms == mine.wait_total_ms
    (of_cache,) = (report for name, report in reports.items() if name.startswith("ThreadSafeDict at test_monitor.py:"))
    assert of_cache.acquisitions == 10 and of_cache.contended == 0 and of_cache.wait_p99_ms == 0
    monitor.print_report()
    printed = capsys.readouterr().out
    assert "mine" in printed and "1 (50.0 %)" in printed
    monitor.reset()
    assert monitor.report() == []
    monitor.print_report()
    assert "no lock was counted" in capsys.readouterr().out


def test_atomic_functions_and_objects_count_under_their_names(monitored):
    @atomic
    def function():
        pass

    class Service:
        @atomic
        def call(self):
            self.nested()

        @atomic
        def nested(self):
            pass

    function()
    Service().call()
    Service().call()
    counted = {report.name.rpartition(".")[2]: report.acquisitions for report in monitor.report()}
    assert counted == {"function": 1, "Service": 4}


def test_counts_are_exact_under_threads(monitored, rapid_switching):
    lock = monitor.lock("hot")

    def work():
        for _ in range(500):
            with lock:
                pass

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    (report,) = monitor.report()
    assert report.acquisitions == 2000 and report.contended <= 2000


def test_the_environment_turns_it_on_before_any_import():
    code = "from aether import monitor; print(monitor.is_enabled(), type(monitor.lock('a')).__name__)"
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "AETHER_MONITOR": "1"}, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", "MonitoredLock"]
