"""The profiler on real threads of this interpreter."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from aether.profile import Hung, SaturationAnalysis, SaturationCliffProfiler

QUICK = {"duration_per_run": 0.1, "max_threads": 4, "warm_up": 0.01, "rounds": 2, "latency": False}


@pytest.fixture(scope="module")
def analysis():
    return SaturationCliffProfiler(lambda: time.sleep(0.002), duration_per_run=0.3, max_threads=4, rounds=3).profile()


def test_a_curve_has_a_size_to_use_and_reasons(analysis):
    assert 1 <= analysis.optimal_threads <= 4
    assert analysis.cliff_threads is None or analysis.cliff_threads > 1
    assert 0 <= analysis.cliff_severity <= 1
    assert analysis.findings[0].startswith("The peak is") and analysis.recommendations[0].startswith("Use ")
    assert [point.threads for point in analysis.points] == [1, 2, 3, 4]
    for point in analysis.points:
        assert point.throughput > 0 and point.service_p50_ms >= 2
        assert point.throughput_low <= point.throughput <= point.throughput_high
    assert analysis.points[3].throughput > 1.5 * analysis.points[0].throughput, "sleeping scales"
    assert f"use {analysis.optimal_threads} threads" in repr(analysis)


def test_it_is_shown_as_text_html_and_json(analysis):
    chart = analysis.plot_ascii_chart()
    assert chart.count("●") == 4 and "▲ use" in chart
    assert analysis.findings[0] in analysis.to_text()
    assert "<svg" in analysis.to_html() and "srcdoc=" in analysis._repr_html_() and "<svg" not in analysis._repr_html_()
    data = json.loads(analysis.to_json())
    assert data["schema"] == "aether-bench/scaling/1" and data["env"]["gil"] is not None
    again = SaturationAnalysis.from_json(analysis.to_json())
    assert again.to_json() == analysis.to_json() and again.points == analysis.points
    with pytest.raises(ValueError):
        SaturationAnalysis.from_json("{}")


def test_work_runs_on_real_threads_as_many_as_announced():
    seen = set()
    news = []

    def work():
        seen.add(threading.current_thread().name)
        time.sleep(0.001)

    SaturationCliffProfiler(work, **QUICK).profile(progress=lambda *values: news.append(values))
    assert {f"aether-worker-{number}" for number in range(4)} == seen
    assert {threads for threads, *_ in news} == {1, 2, 3, 4} and all(rate > 0 for _, rate, _, _ in news)


def test_thread_local_state_lives_as_long_as_its_worker():
    local = threading.local()
    made = []

    def work():
        if not hasattr(local, "connection"):
            local.connection = object()
            made.append(local.connection)
        time.sleep(0.0005)

    SaturationCliffProfiler(work, duration_per_run=0.1, max_threads=1, rounds=1, latency=False).profile()
    assert len(made) <= 4, "one a run, not one a task"


def test_an_exception_of_the_workload_reaches_the_caller():
    error = LookupError("gone")
    calls = []

    def work():
        calls.append(1)
        if len(calls) > 3:
            raise error

    with pytest.raises(LookupError) as caught:
        SaturationCliffProfiler(work, **QUICK).profile()
    assert caught.value is error and any(entry.name == "work" for entry in caught.traceback)


def test_an_exception_of_the_listener_reaches_the_caller():
    def listen(*news):
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError):
        SaturationCliffProfiler(lambda: time.sleep(0.001), **QUICK).profile(listen)


def test_a_task_that_hangs_is_an_error():
    release = threading.Event()
    profiler = SaturationCliffProfiler(release.wait, hang_after=0.3, **{**QUICK, "duration_per_run": 0.05})
    with pytest.raises(Hung, match="1 of 1 threads|of [234] threads"):
        profiler.profile()
    release.set()


def test_what_cannot_be_measured_is_refused_at_once():
    async def coroutine():
        pass

    def generator():
        yield

    def needs(argument):
        pass

    for workload in (coroutine, generator, needs, 3):
        with pytest.raises(TypeError):
            SaturationCliffProfiler(workload)
    for mistake in ({"max_threads": 0}, {"duration_per_run": 0.001}, {"rounds": 0}):
        with pytest.raises(ValueError):
            SaturationCliffProfiler(int, **mistake)


def test_ctrl_c_stops_it_at_once():
    code = (
        "import time\nfrom aether.profile import SaturationCliffProfiler\n"
        "def work(): time.sleep(0.01)\n"
        "try:\n    SaturationCliffProfiler(work, duration_per_run=60).profile(lambda *news: print('going', flush=True))\n"
        "except KeyboardInterrupt:\n    print('stopped', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-u", "-c", "print('up')\n" + code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "up\n"
    time.sleep(1.0)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out.endswith("stopped\n") and process.returncode == 0
    # The run itself would go on for a quarter of a minute.
    assert time.monotonic() - asked < 8
