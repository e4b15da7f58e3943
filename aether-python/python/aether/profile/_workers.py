"""Runs a callable on real threads of this interpreter and notes what they did.

The native profiler plans, watches and concludes; the loop is Python, as a program's own worker loop would be. Deadlines
live in the workers: threads that fight for the GIL starve any coordinator.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Optional, Union

from aether import _native

# Windows every worker notes before the run may end.
_QUOTA = 3
# Durations kept per run, over all workers.
_KEPT = 20_000
# How often the caller's thread looks for a Ctrl-C where waiting cannot be interrupted.
_LOOK_SECONDS = 0.2

_clock = time.perf_counter_ns

Mark = tuple[int, int, Optional[int], Optional[int]]
Notes = tuple[list[Mark], list[int], list[int]]
Times = tuple[int, int, int, int, int]


class Hung(TimeoutError):
    """A task did not come to an end."""


class _Run:
    """What the workers of one measurement share."""

    def __init__(self, workload: Callable[[], object], threads: int, times: Times, rate: Optional[float]) -> None:
        self.workload = workload
        self.threads = threads
        self.warm, self.measure, self.window, self.hard, self.hang = times
        self.rate = rate
        self.epoch = 0
        self.stop = False
        self.reports: queue.SimpleQueue[Union[_native.ThreadProbe, Notes, BaseException]] = queue.SimpleQueue()
        self._barrier = threading.Barrier(threads + 1)
        self._kept = max(64, _KEPT // threads)
        self._lock = threading.Lock()
        self._arrived = 0
        self._begin: Optional[int] = None
        self._short_of_quota = threads
        # When the run ends, once all have met the quota.
        self._end: Optional[int] = None
        # Workers without a mark past the end. The others work on: without their load the last windows look fast.
        self._measuring = threads
        self._ticket = 0

    def start(self) -> None:
        for number in range(self.threads):
            # Daemons: a task that hangs must not keep the program from ending.
            threading.Thread(target=self._work, name=f"aether-worker-{number}", daemon=True).start()

    def go(self) -> None:
        """Lets the workers begin, once all of them are there."""
        self.epoch = _clock()
        self._barrier.wait()

    def give_up(self) -> None:
        """Workers end with the task they are at; those that never began do not begin."""
        self.stop = True
        self._barrier.abort()

    def _work(self) -> None:
        try:
            probe = _native.ThreadProbe()
            self.reports.put(probe)
            self._barrier.wait()
            notes = self._closed_loop(probe) if self.rate is None else self._open_loop(probe, self.rate)
            self.reports.put(notes)
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            self.reports.put(error)

    def _arrive(self) -> int:
        with self._lock:
            now = _clock() - self.epoch
            self._arrived += 1
            if self._arrived == self.threads:
                self._begin = now
            return now

    def _closed_loop(self, probe: _native.ThreadProbe) -> Notes:
        workload, epoch, window = self.workload, self.epoch, self.window
        started = self._arrive()
        marks: list[Mark] = [(started, 0, *probe.usage())]
        durations: list[int] = []
        stride, count, begin = 1, 0, None
        next_mark = started + window
        while not self.stop:
            workload()
            now = _clock() - epoch
            count += 1
            if begin is not None and started >= begin + self.warm and count % stride == 0:
                durations.append(now - started)
                if len(durations) > self._kept:
                    durations = durations[::2]
                    stride *= 2
            started = now
            if now >= next_mark:
                next_mark = now + window
                marks.append((now, count, *probe.usage()))
                begin = self._begin
                if len(marks) == _QUOTA + 1:
                    self._meet_quota(now)
                end = self._end
                if now >= self.hard or (end is not None and now >= end):
                    break
        self._work_on()
        return marks, durations, []

    def _work_on(self) -> None:
        with self._lock:
            self._measuring -= 1
        while self._measuring and not self.stop and _clock() - self.epoch < self.hard:
            self.workload()

    def _meet_quota(self, now: int) -> None:
        with self._lock:
            self._short_of_quota -= 1
            if self._short_of_quota == 0 and self._begin is not None:
                self._end = max(now, self._begin + self.warm + self.measure)

    def _open_loop(self, probe: _native.ThreadProbe, rate: float) -> Notes:
        marks: list[Mark] = [(self._arrive(), 0, *probe.usage())]
        service: list[int] = []
        sojourn: list[int] = []
        while not self.stop:
            with self._lock:
                due = int(self._ticket * 1e9 / rate)
                self._ticket += 1
            if due >= self.warm + self.measure:
                break
            early = due - (_clock() - self.epoch)
            if early > 0:
                time.sleep(early / 1e9)
            started = _clock() - self.epoch
            self.workload()
            now = _clock() - self.epoch
            if due >= self.warm:
                service.append(now - started)
                sojourn.append(now - due)
        marks.append((_clock() - self.epoch, len(service), *probe.usage()))
        return marks, service, sojourn


def run(
    workload: Callable[[], object], threads: int, times: Times, rate: Optional[float], sampler: _native.Sampler
) -> list[Notes]:
    """One measurement: what each worker noted.

    :raises Hung: a worker finished no task for too long.
    :raises BaseException: what the workload raised, or a Ctrl-C here; the workers end with their tasks.
    """
    run = _Run(workload, threads, times, rate)
    try:
        run.start()
        probes = [_expect_probe(run) for _ in range(threads)]
        sampler.watch(probes)
        run.go()
        return _collect(run)
    except BaseException:
        run.give_up()
        raise


def _expect_probe(run: _Run) -> _native.ThreadProbe:
    report = run.reports.get()
    if not isinstance(report, _native.ThreadProbe):
        raise RuntimeError(f"a worker could not begin: {report!r}")
    return report


def _collect(run: _Run) -> list[Notes]:
    notes: list[Notes] = []
    while len(notes) < run.threads:
        try:
            report = run.reports.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if _clock() - run.epoch > run.hang:
                stuck = run.threads - len(notes)
                message = f"{stuck} of {run.threads} threads did not finish a task in {run.hang / 1e9:.0f} s"
                raise Hung(message) from None
            continue
        if isinstance(report, BaseException):
            raise report
        if isinstance(report, tuple):
            notes.append(report)
    return notes
