"""A thread pool that finds its own size.

>>> from aether import AdaptiveThreadPool
>>> with AdaptiveThreadPool() as pool:
...     pages = list(pool.map(fetch, urls))

It is a :class:`concurrent.futures.Executor` (and passes for a ``ThreadPoolExecutor``, for those who insist). The number
of threads follows from measured throughput: a controller outside of the interpreter's lock watches how much of their
time workers spend asleep, tries other sizes and keeps what pays.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.thread import BrokenThreadPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Optional, TypeVar

from aether import _native
from aether._crew import Crew, Job, closing, is_exiting

__all__ = ["AdaptiveThreadPool", "BrokenThreadPool", "Decision", "ThreadPoolMetrics", "par_map"]

T = TypeVar("T")

# The controller looks this often in one `monitor_interval`.
_LOOKS = 100
# A parked thread that is not needed ends after so many seconds.
_IDLE_SECONDS = 10.0

_numbers = itertools.count()


@dataclass(frozen=True)
class Decision:
    """A change of the pool's size."""

    at: float
    """Seconds since the pool was made."""
    threads: int
    """The size decided on."""
    why: str
    """``ramp``, ``burst``, ``trial``, ``grew``, ``shrank``, ``trial-reverted``, ``vetoed``, ``starved``, …"""


@dataclass(frozen=True)
class ThreadPoolMetrics:
    """A pool at one moment. What was not measured yet is 0, or ``nan`` for a ratio or time that no task has."""

    blocking_ratio: float
    """Share of their busy time that workers spent asleep: waiting for I/O, a lock or the GIL, not for a core."""
    active_threads: int
    """Threads that are at work."""
    throughput: float
    """Tasks completed a second, over the last half second of work; 0 for a pool at rest."""
    avg_latency_ms: float
    """Mean time from submission to completion, over all tasks."""
    cpu_percent: float
    """CPU time of the workers, in per cent of one core."""
    p99_latency_ms: float
    """The time from submission to completion that 99 % of all tasks stayed below (12 % too high at most)."""
    live_threads: int
    """Threads that exist, those without work included."""
    target_threads: int
    """Threads that may be at work at once."""
    queued_tasks: int
    """Tasks that no thread has begun."""
    completed_tasks: int
    """Tasks completed since the pool was made, failed ones included."""
    decisions: tuple[Decision, ...] = ()
    """The latest changes of size, oldest first."""


class AdaptiveThreadPool(ThreadPoolExecutor):
    """An executor whose number of threads follows from measurement.

    :param max_workers: never more threads at work.
    :param min_workers: never fewer allowed to; equal to ``max_workers``: a pool of fixed size.
    :param blocking_threshold: while workers sleep for less than this share of their time, and every core has one, the
        pool does not grow (0 to 1).
    :param monitor_interval: seconds; the controller looks a hundred times as often. Longer: calmer and slower.
    :param thread_name_prefix: names the threads ``prefix_0``, ``prefix_1``, …
    :param initializer: called with ``initargs`` at the start of each thread; if it fails the pool breaks.
    :raises ValueError: bounds, a threshold or an interval that make no sense.
    """

    def __init__(
        self,
        max_workers: int = 32,
        min_workers: int = 1,
        blocking_threshold: float = 0.3,
        monitor_interval: float = 1.0,
        *,
        thread_name_prefix: str = "",
        initializer: Optional[Callable[..., object]] = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        # The base class is a type to pass for, not an implementation: its constructor would make what we replace.
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if min_workers <= 0:
            raise ValueError("min_workers must be greater than 0")
        if min_workers > max_workers:
            raise ValueError(f"min_workers ({min_workers}) must not exceed max_workers ({max_workers})")
        if not monitor_interval > 0 or math.isinf(monitor_interval):
            raise ValueError(f"monitor_interval is a positive number of seconds, not {monitor_interval!r}")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        native = _native.Pool(
            max_workers=max_workers,
            min_workers=min_workers,
            blocking_threshold=blocking_threshold,
            tick=monitor_interval / _LOOKS,
            idle_timeout=_IDLE_SECONDS,
        )
        name = thread_name_prefix or f"{type(self).__name__}-{next(_numbers)}"
        self._max_workers = max_workers
        self._min_workers = min_workers
        self._crew = Crew(native, name, initializer, initargs)
        self._crew.on_break = _breaking(self._crew)
        # Held by the crew: a reference that is collected together with what it refers to calls nobody.
        self._crew.owner = weakref.ref(self, closing(self._crew))

    # What code written for `ThreadPoolExecutor` is known to look at.

    @property
    def _threads(self) -> set[Any]:
        return self._crew.threads

    @_threads.setter
    def _threads(self, _: object) -> None:
        raise AttributeError("the threads of an AdaptiveThreadPool are its own")

    @property
    def _broken(self) -> Any:  # type: ignore[override]
        return self._crew.broken or False

    @property
    def _shutdown(self) -> bool:  # type: ignore[override]
        return self._crew.is_closed

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Schedules ``fn(*args, **kwargs)`` and returns its future.

        :raises RuntimeError: the pool was shut down, the interpreter is ending, or this process is a fork of the pool's.
        :raises BrokenThreadPool: an initializer failed.
        """
        crew = self._crew
        if crew.is_inherited:
            raise RuntimeError("cannot schedule new futures in a forked process; make a pool of its own there")
        future: Future[T] = Future()
        with crew.lock:
            if crew.broken:
                raise BrokenThreadPool(crew.broken)
            if is_exiting():
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            if crew.is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if crew.controller is None:
                crew.begin()
            wanted = crew.pool.submit(Job(future, fn, args, kwargs))
            if wanted is None:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if wanted:
                crew.order(wanted)
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: Optional[float] = None,
        chunksize: int = 1,
        buffersize: Optional[int] = None,
    ) -> Iterator[T]:
        """``map(fn, *iterables)`` on the pool: results in order, each as soon as it and those before it are there.

        All items are taken and submitted at once, unless ``buffersize`` limits how many tasks may be under way or
        waiting to be taken: then an endless iterable is fine too.

        :raises TimeoutError: from the iterator, if a result is not there ``timeout`` seconds after this call.
        """
        if buffersize is None:
            return super().map(fn, *iterables, timeout=timeout, chunksize=chunksize)
        if not isinstance(buffersize, int) or buffersize < 1:
            raise ValueError("buffersize must be None or an integer of at least 1")
        if timeout is not None:
            raise ValueError("buffersize and timeout exclude each other: what is not yet submitted has no time limit")
        return self._buffered(fn, zip(*iterables), buffersize)

    def _buffered(self, fn: Callable[..., T], items: Iterator[tuple[Any, ...]], size: int) -> Iterator[T]:
        pending: deque[Future[T]] = deque(self.submit(fn, *args) for args in itertools.islice(items, size))

        def results() -> Iterator[T]:
            try:
                while pending:
                    result = pending.popleft().result()
                    for args in itertools.islice(items, 1):
                        pending.append(self.submit(fn, *args))
                    yield result
                    del result
            finally:
                for future in pending:
                    future.cancel()

        return results()

    @contextmanager
    def blocking(self) -> Iterator[None]:
        """Declares, inside a task, that it only waits: meanwhile another task may run in its place.

        The pool finds out by itself that tasks wait; this is for long waits that it should not have to learn about.
        """
        crew = self._crew
        wanted = crew.pool.begin_blocking()
        try:
            with crew.lock:
                crew.order(wanted)
            yield
        finally:
            crew.pool.end_blocking()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more tasks; those submitted are run, or cancelled if they have not begun and that is asked for.

        With ``wait`` returns when every thread has ended.
        """
        crew = self._crew
        if crew.is_inherited:
            return  # Its threads are the parent's.
        with crew.lock:
            crew.close()
        if cancel_futures:
            crew.cancel()
        if wait:
            crew.join()

    def get_metrics(self) -> ThreadPoolMetrics:
        """The pool as it is now."""
        if self._crew.is_inherited:
            raise RuntimeError("the pool runs in the parent of this process")
        now = self._crew.pool.metrics()
        return ThreadPoolMetrics(
            blocking_ratio=_number(now["blocking_ratio"]),
            active_threads=now["active_threads"],
            throughput=now["throughput"],
            avg_latency_ms=_number(now["avg_latency_ms"]),
            cpu_percent=now["cpu_percent"] or 0.0,
            p99_latency_ms=_number(now["p99_latency_ms"]),
            live_threads=now["live_threads"],
            target_threads=now["target_threads"],
            queued_tasks=now["queued_tasks"],
            completed_tasks=now["completed_tasks"],
            decisions=tuple(Decision(*decision) for decision in now["decisions"]),
        )

    def print_status(self) -> None:
        """Prints the pool's state: threads, queue, rates, and what the controller did last."""
        now = self.get_metrics()
        print(f"{self._crew.name}: {now.active_threads} of {now.target_threads} threads at work", end="")
        print(f" ({self._min_workers} to {self._max_workers}), {now.queued_tasks} tasks queued")
        print(f"  {now.completed_tasks} tasks done, {now.throughput:.1f}/s, blocking ratio {now.blocking_ratio:.2f}", end="")
        print(f", {now.cpu_percent:.0f} % of a core")
        if now.completed_tasks:
            print(f"  latency {now.avg_latency_ms:.2f} ms on average, p99 {now.p99_latency_ms:.2f} ms")
        for decision in now.decisions[-5:]:
            print(f"  {decision.at:8.2f} s  {decision.threads:4d} threads  {decision.why}")


def _breaking(crew: Crew) -> Callable[[], None]:
    """What a failed initializer does: nothing that was submitted will run."""

    def fail() -> None:
        with crew.lock:
            crew.is_closed = True
            jobs = crew.pool.abandon()
        for job in jobs:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(BrokenThreadPool(crew.broken))

    return fail


def _number(value: Optional[float]) -> float:
    return math.nan if value is None else value


def par_map(
    fn: Callable[..., T],
    *iterables: Iterable[Any],
    max_workers: int = 32,
    min_workers: int = 1,
) -> list[T]:
    """``list(map(fn, *iterables))`` on threads, as many as pay.

    The first exception, in the order of the items, ends it: tasks not yet begun are cancelled.
    """
    with AdaptiveThreadPool(max_workers=max_workers, min_workers=min_workers) as pool:
        try:
            return list(pool.map(fn, *iterables))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
