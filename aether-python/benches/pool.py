"""The pool against the best fixed `ThreadPoolExecutor`, on Python tasks; and what a task costs.

    python aether-python/benches/pool.py [--seconds 10] [--rows 1,2a,5]

Rows are those of the pool's targets: throughput of the adaptive pool over that of the best fixed size, which is chosen on
one set of runs and scored on another. "First" is the first third of a run, "steady" the rest. Rows of bursts compare mean
times from submission to completion instead: smaller is better. Figures need a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor

from aether import AdaptiveThreadPool

SIZES = (1, 2, 4, 8, 16, 32, 64)
MOST = 64

Task = Callable[[], object]


def compute(seconds: float) -> None:
    """Uses so much CPU time of its thread, in Python code."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def sleep_10ms() -> None:
    time.sleep(0.010)


def blend() -> None:
    compute(0.005)
    time.sleep(0.005)


class Mixed:
    """Every other task sleeps, every other one computes."""

    def __init__(self) -> None:
        self._turn = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._turn += 1
            turn = self._turn
        if turn % 2:
            time.sleep(0.010)
        else:
            compute(0.001)


class Phases:
    """Sleeps for a while, computes for a while; the clock starts when it is made."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._began = time.monotonic()

    def __call__(self) -> None:
        if int((time.monotonic() - self._began) / self._length) % 2:
            compute(0.002)
        else:
            time.sleep(0.010)


def saturate(pool: Executor, task: Task, seconds: float, outstanding: int) -> list[float]:
    """Keeps so many tasks in flight; when each of them completed, in seconds from the start."""
    done: list[float] = []
    room = threading.Semaphore(outstanding)
    started = time.monotonic()

    def completed(_: Future[object]) -> None:
        done.append(time.monotonic() - started)
        room.release()

    while time.monotonic() - started < seconds:
        room.acquire()
        pool.submit(task).add_done_callback(completed)
    return [at for at in done if at <= seconds]


def rates(done: list[float], seconds: float) -> tuple[float, float]:
    """Tasks per second in the first third, and in the rest."""
    third = seconds / 3
    first = sum(at < third for at in done)
    return first / third, (len(done) - first) / (seconds - third)


def bursts(pool: Executor, seconds: float) -> list[float]:
    """Mean time from submission to completion of bursts of 60 tasks that sleep 10 ms, one every 400 ms (25 in 10 s)."""
    means = []
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        began = time.monotonic()
        ends: list[float] = []
        futures = [pool.submit(sleep_10ms) for _ in range(60)]
        for future in futures:
            future.add_done_callback(lambda _: ends.append(time.monotonic()))
        for future in futures:
            future.result()
        while len(ends) < len(futures):
            time.sleep(0.001)
        means.append(statistics.mean(ends) - began)
        time.sleep(max(0.0, 0.4 - (time.monotonic() - began)))
    return means


def adaptive() -> AdaptiveThreadPool:
    return AdaptiveThreadPool(max_workers=MOST)


def best_size(make: Callable[[], Task], seconds: float, outstanding: int) -> int:
    def steady(size: int) -> float:
        with ThreadPoolExecutor(size) as pool:
            return rates(saturate(pool, make(), seconds, outstanding), seconds)[1]

    return max(SIZES, key=steady)


def row(name: str, make: Callable[[], Task], seconds: float, outstanding: int) -> None:
    best = best_size(make, seconds / 3, outstanding)
    ratios: list[tuple[float, float]] = []
    threads = 0
    for _ in range(3):
        with ThreadPoolExecutor(best) as fixed:
            reference = rates(saturate(fixed, make(), seconds, outstanding), seconds)
        with adaptive() as pool:
            measured = rates(saturate(pool, make(), seconds, outstanding), seconds)
            threads = pool.get_metrics().target_threads
        # Whoever starts cold loses a little; what is compared is the pool's first third with a pool that is warm.
        ratios.append((measured[0] / reference[1], measured[1] / reference[1]))
    first, steady = (statistics.median(column) for column in zip(*ratios))
    print(f"{name:<34} best fixed {best:>3}   steady {steady:5.2f}   first {first:5.2f}   threads {threads}", flush=True)


def burst_row(seconds: float) -> None:
    best = min(SIZES, key=lambda size: _burst_mean(ThreadPoolExecutor(size), 2.0))
    fixed, ours = ThreadPoolExecutor(best), adaptive()
    with fixed, ours:
        reference, measured = bursts(fixed, seconds), bursts(ours, seconds)
    late = statistics.mean(measured[3:]) / statistics.mean(reference[3:])
    early = statistics.mean(measured[:25]) / statistics.mean(reference[3:])
    print(f"{'7 bursts of 60 (mean time, × best)':<34} best fixed {best:>3}   after the third {late:5.2f}   first 10 s {early:5.2f}", flush=True)


def phases_row(cycles: int = 6, length: float = 4.0) -> None:
    """Each phase against the best fixed size for what it does: the worst of two cycles, and of those after them."""
    kinds: tuple[Task, ...] = (sleep_10ms, lambda: compute(0.002))
    sizes, references = [], []
    for kind in kinds:
        best = best_size(lambda: kind, length / 2, 256)
        with ThreadPoolExecutor(best) as fixed:
            references.append(rates(saturate(fixed, kind, length * 1.5, 256), length * 1.5)[1])
        sizes.append(best)
    with adaptive() as pool:
        done = saturate(pool, Phases(length), 2 * cycles * length, 256)
    counts = [0] * (2 * cycles)
    for at in done:
        counts[min(int(at / length), len(counts) - 1)] += 1
    ratios = [count / length / references[phase % 2] for phase, count in enumerate(counts)]
    name = f"8 phases of {length:.0f} s (worst phase)"
    print(f"{name:<34} best fixed {sizes[0]}, {sizes[1]}   first two cycles {min(ratios[:4]):5.2f}   later {min(ratios[4:]):5.2f}", flush=True)


def _burst_mean(pool: Executor, seconds: float) -> float:
    with pool:
        return statistics.mean(bursts(pool, seconds)[1:])


def overhead() -> None:
    """Microseconds a task that does nothing costs from `submit` to its result, by the pool."""
    for name, make in (("ThreadPoolExecutor", lambda: ThreadPoolExecutor(4)), ("AdaptiveThreadPool", lambda: AdaptiveThreadPool(4))):
        costs = []
        for _ in range(7):
            with make() as pool:
                pool.submit(int).result()
                began = time.perf_counter()
                futures = [pool.submit(int) for _ in range(20_000)]
                for future in futures:
                    future.result()
                costs.append((time.perf_counter() - began) / 20_000 * 1e6)
        print(f"{name:<34} {statistics.median(costs):6.1f} µs a task (best {min(costs):.1f})", flush=True)


ROWS: dict[str, tuple[str, Callable[[], Task], int]] = {
    "1": ("1 sleep 10 ms", lambda: sleep_10ms, 256),
    "2a": ("2 compute 1 ms", lambda: lambda: compute(0.001), 64),
    "2b": ("2 compute 20 ms", lambda: lambda: compute(0.020), 64),
    "5": ("5 compute 5 ms, sleep 5 ms", lambda: blend, 128),
    "6": ("6 half sleep, half compute", Mixed, 256),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each run")
    parser.add_argument("--rows", default="overhead,1,2a,2b,5,6,7,8")
    arguments = parser.parse_args()
    print(f"{sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    for wanted in arguments.rows.split(","):
        if wanted == "overhead":
            overhead()
        elif wanted == "7":
            burst_row(arguments.seconds)
        elif wanted == "8":
            phases_row()
        else:
            name, make, outstanding = ROWS[wanted]
            row(name, make, arguments.seconds, outstanding)


if __name__ == "__main__":
    main()
