"""`AdaptiveThreadPool` beyond what CPython's own tests ask of an executor."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import itertools
import math
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest

from aether import AdaptiveThreadPool, par_map
from aether.audit import audit_code
from aether.pool import BrokenThreadPool, ThreadPoolMetrics


def run_python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, **options)


def test_it_is_an_executor_and_works_before_with():
    pool = AdaptiveThreadPool(max_workers=4)
    assert isinstance(pool, (concurrent.futures.Executor, concurrent.futures.ThreadPoolExecutor))
    future = pool.submit(pow, 2, 5)
    assert isinstance(future, concurrent.futures.Future) and future.result() == 32
    with pool:
        assert pool.submit(sum, [1, 2]).result() == 3
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(print)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"min_workers": 0}, ValueError),
        ({"max_workers": 2, "min_workers": 3}, ValueError),
        ({"blocking_threshold": 1.5}, ValueError),
        ({"blocking_threshold": math.nan}, ValueError),
        ({"monitor_interval": 0}, ValueError),
        ({"monitor_interval": math.inf}, ValueError),
        ({"initializer": 3}, TypeError),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments, error):
    with pytest.raises(error):
        AdaptiveThreadPool(**arguments)


def test_threads_follow_the_work_and_stay_within_the_bounds():
    with AdaptiveThreadPool(max_workers=16, min_workers=2) as pool:
        assert pool.get_metrics().live_threads == 0, "no thread before the first task"
        for _ in pool.map(lambda _: time.sleep(0.005), range(600)):
            pass
        metrics = pool.get_metrics()
        assert 2 < metrics.target_threads <= 16 and len(pool._threads) <= 16
        # Which step of the law it was depends on how busy the machine is: a ramp, a burst, a trial that paid.
        assert any(decision.threads > 2 for decision in metrics.decisions)
    with AdaptiveThreadPool(max_workers=3, min_workers=3) as fixed:
        list(fixed.map(lambda _: time.sleep(0.005), range(60)))
        assert len(fixed._threads) == 3 and fixed.get_metrics().decisions == ()


def test_metrics_are_numbers_people_can_format(capsys):
    with AdaptiveThreadPool(max_workers=8) as pool:
        fresh = pool.get_metrics()
        assert isinstance(fresh, ThreadPoolMetrics)
        assert (fresh.completed_tasks, fresh.throughput, fresh.cpu_percent) == (0, 0.0, 0.0)
        assert math.isnan(fresh.blocking_ratio) and math.isnan(fresh.avg_latency_ms)
        pool.print_status()
        list(pool.map(lambda _: time.sleep(0.002), range(200)))
        pool.submit(int, "x").exception()
        pool.submit(int)
        pool.shutdown()
        done = pool.get_metrics()
        assert done.completed_tasks == 202 and done.active_threads == done.queued_tasks == 0
        assert done.throughput > 0 and 0.5 < done.blocking_ratio <= 1
        assert 2 <= done.avg_latency_ms <= done.p99_latency_ms
        pool.print_status()
    printed = capsys.readouterr().out
    assert "0 of" in printed and "202 tasks done" in printed


def test_a_task_that_was_cancelled_in_the_queue_does_not_count():
    with AdaptiveThreadPool(max_workers=1) as pool:
        release = threading.Event()
        first = pool.submit(release.wait)
        while not first.running():
            time.sleep(0.001)
        queued = pool.submit(pytest.fail, "ran although it was cancelled")
        assert queued.cancel()
        release.set()
    assert pool.get_metrics().completed_tasks == 1


def test_shutdown_can_cancel_what_nobody_began_and_waiters_hear_of_it():
    pool = AdaptiveThreadPool(max_workers=2)
    release = threading.Event()
    futures = [pool.submit(release.wait) for _ in range(20)]
    while sum(future.running() for future in futures) < 2:
        time.sleep(0.001)
    pool.shutdown(wait=False, cancel_futures=True)
    release.set()
    done, pending = concurrent.futures.wait(futures, timeout=30)
    assert not pending and sum(future.cancelled() for future in done) == 18
    pool.shutdown()


def test_results_of_map_come_in_order_as_they_are_there():
    with AdaptiveThreadPool(max_workers=8, min_workers=8) as pool:
        started = time.monotonic()
        results = pool.map(lambda seconds: (time.sleep(seconds), seconds)[1], [0.0, 0.4, 0.0])
        assert next(results) == 0.0 and time.monotonic() - started < 0.4
        assert list(results) == [0.4, 0.0]
        assert list(pool.map(pow, [2, 3], [3, 2, 9])) == [8, 9]


def test_map_with_a_buffer_takes_an_endless_iterable_a_bit_at_a_time():
    taken = itertools.count()
    with AdaptiveThreadPool(max_workers=4) as pool:
        results = pool.map(lambda number: number * 2, taken, buffersize=5)
        assert [next(results) for _ in range(10)] == list(range(0, 20, 2))
        results.close()
        assert next(taken) <= 17
        with pytest.raises(ValueError):
            pool.map(abs, [1], buffersize=0)
        with pytest.raises(ZeroDivisionError):
            list(pool.map(lambda number: 1 // number, [1, 0, 2], buffersize=1))


def test_exceptions_reach_whoever_waits_and_break_nothing():
    with AdaptiveThreadPool(max_workers=2) as pool:
        for error in (KeyError("k"), SystemExit(3), KeyboardInterrupt()):

            def fail(error=error):
                raise error

            assert pool.submit(fail).exception() is error
        assert pool.submit(int).result() == 0


def test_a_future_that_somebody_else_finished_costs_no_worker(caplog):
    with AdaptiveThreadPool(max_workers=1) as pool:
        entered, leave = threading.Event(), threading.Event()
        future = pool.submit(lambda: (entered.set(), leave.wait()))
        entered.wait()
        future.set_result("mine")
        leave.set()
        assert pool.submit(int).result(timeout=60) == 0 and future.result() == "mine"
    assert "Exception in worker" in caplog.text


def test_asyncio_can_use_it():
    async def main():
        loop = asyncio.get_running_loop()
        with AdaptiveThreadPool(max_workers=4) as pool:
            results = await asyncio.gather(*(loop.run_in_executor(pool, pow, 2, n) for n in range(20)))
            assert results == [2**n for n in range(20)]
            loop.set_default_executor(pool)
            assert await asyncio.to_thread(sum, [1, 2]) == 3

    asyncio.run(main())


def test_a_context_is_carried_where_it_is_asked_to():
    variable = contextvars.ContextVar("variable", default="none")
    with AdaptiveThreadPool(max_workers=1) as pool:
        variable.set("caller")
        with concurrent.futures.ThreadPoolExecutor(1) as reference:
            assert pool.submit(variable.get).result() == reference.submit(variable.get).result()
        assert pool.submit(contextvars.copy_context().run, variable.get).result() == "caller"
        pool.submit(variable.set, "worker").result()
        assert variable.get() == "caller"


def test_initializers_run_once_a_thread_and_a_failing_one_breaks_the_pool(caplog):
    ready = []
    with AdaptiveThreadPool(3, min_workers=3, initializer=ready.append, initargs=(1,)) as pool:
        list(pool.map(lambda _: time.sleep(0.01), range(9)))
    assert len(ready) == len(pool._threads) == 3
    broken = AdaptiveThreadPool(2, initializer=lambda: 1 // 0)
    futures = [broken.submit(int)]
    with pytest.raises(BrokenThreadPool):
        for _ in range(1000):
            futures.append(broken.submit(int))
            time.sleep(0.001)
    assert all(isinstance(future.exception(timeout=10), BrokenThreadPool) for future in futures)
    broken.shutdown()
    assert "Exception in initializer" in caplog.text


def test_tasks_that_wait_for_queued_tasks_get_company():
    with AdaptiveThreadPool(max_workers=6) as pool:
        barrier = threading.Barrier(6)
        futures = [pool.submit(barrier.wait, 60) for _ in range(6)]
        assert sorted(future.result() for future in futures) == list(range(6))


def test_a_declared_wait_lets_another_task_run():
    with AdaptiveThreadPool(max_workers=1) as pool:
        released = threading.Event()

        def waits():
            with pool.blocking():
                return released.wait(60)

        first = pool.submit(waits)
        pool.submit(released.set)
        assert first.result() is True
        assert pool.submit(int).result() == 0


def test_a_task_may_shut_its_own_pool_down():
    pool = AdaptiveThreadPool(max_workers=2)
    pool.submit(pool.shutdown).result(timeout=60)
    with pytest.raises(RuntimeError):
        pool.submit(int)


def test_a_pool_nobody_holds_runs_what_was_submitted_and_ends():
    pool = AdaptiveThreadPool(max_workers=2)
    futures = [pool.submit(time.sleep, 0.001) for _ in range(20)]
    threads = list(pool._threads)
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert all(future.done() for future in futures)


def test_idle_pools_cost_no_time():
    pool = AdaptiveThreadPool(max_workers=8)
    list(pool.map(lambda _: time.sleep(0.001), range(100)))
    time.sleep(0.5)
    before = time.process_time()
    time.sleep(0.5)
    spent = time.process_time() - before
    pool.shutdown()
    assert spent < 0.1, f"an idle pool used {spent:.3f} s of 0.5 s"


def test_the_end_of_the_interpreter_runs_what_was_submitted():
    run = run_python(
        "import time\nfrom aether import AdaptiveThreadPool\npool = AdaptiveThreadPool(4)\n"
        "for n in range(12): pool.submit(lambda n=n: (time.sleep(0.01), print('done', flush=True)))\n"
    )
    assert (run.returncode, run.stderr, run.stdout.count("done")) == (0, "", 12)


def test_a_task_may_submit_while_the_interpreter_ends():
    run = run_python(
        "import time\nfrom aether import AdaptiveThreadPool\npool = AdaptiveThreadPool(2)\n"
        "def late():\n    time.sleep(0.2)\n    try:\n        pool.submit(print, 'never')\n"
        "    except RuntimeError as error:\n        print(error)\npool.submit(late)\n"
    )
    assert run.returncode == 0 and "after interpreter shutdown" in run.stdout and "never" not in run.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_to_make_its_own_pool():
    run = run_python(
        "import os, sys, time, warnings\nwarnings.simplefilter('ignore')\n"
        "from aether import AdaptiveThreadPool\npool = AdaptiveThreadPool(2)\n"
        "list(pool.map(abs, range(50)))\npid = os.fork()\n"
        "if pid == 0:\n"
        "    try:\n        pool.submit(print)\n    except RuntimeError as error:\n        print(error)\n"
        "    pool.shutdown()\n    del pool\n"
        "    with AdaptiveThreadPool(2) as mine:\n        print(mine.submit(pow, 2, 5).result())\n"
        "    sys.stdout.flush()\n    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\nprint(pool.submit(pow, 2, 4).result())\n"
    )
    assert run.returncode == 0, run.stderr
    assert "forked process" in run.stdout and run.stdout.split()[-2:] == ["32", "16"]


def test_par_map_is_map_on_threads():
    assert par_map(pow, [2, 3], [3, 2]) == [8, 9]
    assert par_map(str, []) == []
    begun = []

    def task(number):
        begun.append(number)
        if number == 0:
            raise LookupError(number)
        time.sleep(0.01)

    with pytest.raises(LookupError):
        par_map(task, range(500), max_workers=2)
    assert len(begun) < 500, "what nobody had begun is cancelled"


def test_the_linter_knows_the_pool():
    source = """\
from aether import AdaptiveThreadPool, par_map

count = 0

def work(item):
    global count
    count += 1

def main(items):
    with AdaptiveThreadPool() as pool:
        for item in items:
            pool.submit(work, item)
"""
    assert audit_code(source).counts() == {"AET101": 1}
    other = source[: source.index("    with")] + "    par_map(work, items)\n"
    assert audit_code(other).counts() == {"AET101": 1}
