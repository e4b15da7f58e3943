"""How many threads can a workload use, and why not more?

>>> from aether.profile import SaturationCliffProfiler
>>> analysis = SaturationCliffProfiler(fetch_one_page, duration_per_run=2.0, max_threads=32).profile()
>>> print(analysis.plot_ascii_chart())
>>> analysis.optimal_threads
"""

from __future__ import annotations

import functools
import html
import inspect
import json
import platform
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from aether import _native
from aether.profile import _workers
from aether.profile._workers import Hung

__all__ = ["Hung", "Point", "SaturationAnalysis", "SaturationCliffProfiler"]

Progress = Callable[[int, float, int, int], object]


@dataclass(frozen=True)
class Point:
    """One thread count and what was measured at it. Rates are tasks per second, with their 95 % interval."""

    threads: int
    throughput: float
    throughput_low: Optional[float]
    throughput_high: Optional[float]
    """``None``: too few rounds to say."""
    service_p50_ms: Optional[float]
    """Median time of a task."""
    service_p99_ms: Optional[float]
    """``None`` below 1000 timed tasks: a tail is only claimed where it was seen."""
    cpu: Optional[float]
    """Share of the threads' time on a core."""
    blocked: Optional[float]
    """Share of the threads' time asleep (waiting for a core is neither)."""


class SaturationAnalysis:
    """The curve, where it peaks, where it falls, and why."""

    def __init__(self, native: _native.Analysis) -> None:
        self._native = native
        self._data: dict[str, Any] = json.loads(native.to_json())

    @classmethod
    def from_json(cls, text: str) -> SaturationAnalysis:
        """Reads what :meth:`to_json` wrote.

        :raises ValueError: it is something else.
        """
        return cls(_native.Analysis.from_json(text))

    @property
    def optimal_threads(self) -> int:
        """The smallest number of threads that is shown to reach the peak's throughput."""
        return self._native.optimal_threads

    @property
    def cliff_threads(self) -> Optional[int]:
        """The first number of threads that loses a fifth of the peak or more; ``None`` without a cliff."""
        return self._native.cliff_threads

    @property
    def cliff_severity(self) -> float:
        """Share of the peak's throughput lost past the cliff, 0 (no cliff) to 1."""
        return self._native.cliff_severity

    @property
    def cause(self) -> str:
        """What limits the workload: ``io``, ``cpu``, ``run-queue``, ``lock``, ``gil``, ``not-reached``, ``unknown``."""
        cause: str = self._data["cause"]
        return cause

    @property
    def findings(self) -> list[str]:
        """What was seen, in sentences with their numbers."""
        return self._native.findings

    @property
    def recommendations(self) -> list[str]:
        """What to do, in sentences."""
        return self._native.recommendations

    @property
    def points(self) -> list[Point]:
        """The curve, by growing number of threads."""
        return [_point(point) for point in self._data["points"]]

    def plot_ascii_chart(self) -> str:
        """Throughput over threads, for a terminal."""
        return self._native.plot_ascii_chart()

    def to_text(self) -> str:
        """Chart, findings, recommendations and the table of points."""
        return self._native.to_text()

    def to_json(self) -> str:
        """Everything, in the format ``aether profile`` writes and compares."""
        return self._native.to_json()

    def to_html(self) -> str:
        """A page of its own with both curves."""
        return self._native.to_html()

    def _repr_html_(self) -> str:
        # In a frame: a page's style must not become the notebook's.
        page = html.escape(self.to_html(), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:40rem;border:0" title="saturation profile"></iframe>'

    def __repr__(self) -> str:
        cliff = "no cliff" if self.cliff_threads is None else f"cliff at {self.cliff_threads}"
        return f"<SaturationAnalysis: use {self.optimal_threads} threads, {cliff}, limited by {self.cause}>"


def _point(point: Mapping[str, Any]) -> Point:
    service: Mapping[str, Any] = point.get("service_ns") or {}
    signals: Mapping[str, Any] = point["signals"]
    cpu, waiting = signals.get("cpu"), signals.get("run_queue") or 0.0
    return Point(
        threads=point["n"],
        throughput=point["ops_s"]["est"],
        throughput_low=point["ops_s"]["lo"],
        throughput_high=point["ops_s"]["hi"],
        service_p50_ms=_milliseconds(service.get("p50")),
        service_p99_ms=_milliseconds(service.get("p99")),
        cpu=cpu,
        blocked=None if cpu is None else min(1.0, max(0.0, 1.0 - cpu - waiting)),
    )


def _milliseconds(ns: Optional[int]) -> Optional[float]:
    return None if ns is None else ns / 1e6


class SaturationCliffProfiler:
    """Measures a callable on 1, 2, 3, 4, 6, 8, … threads of this interpreter.

    :param workload_fn: one task, without arguments; it is called over and over on many threads at once.
    :param duration_per_run: seconds of measurement at each number of threads, over all its rounds.
    :param max_threads: the largest number of threads.
    :param rounds: into how many rounds that is split, in random order, so that what disturbs one disturbs all sizes.
    :param warm_up: the longest warm-up of a round, in seconds; a tenth of a round by default.
    :param hang_after: seconds after which a task counts as hung.
    :param latency: measure latency at 70 % of the peak rate, too.
    :raises ValueError: a number that makes no sense.
    :raises TypeError: what is to be measured cannot be called like this.
    """

    def __init__(
        self,
        workload_fn: Callable[[], object],
        duration_per_run: float = 5.0,
        max_threads: int = 128,
        *,
        rounds: int = 5,
        warm_up: Optional[float] = None,
        hang_after: float = 30.0,
        latency: bool = True,
        name: Optional[str] = None,
    ) -> None:
        _check_workload(workload_fn)
        if max_threads < 1:
            raise ValueError(f"max_threads is at least 1, not {max_threads}")
        if rounds < 1:
            raise ValueError(f"rounds is at least 1, not {rounds}")
        if not duration_per_run / rounds >= 0.02:
            raise ValueError(f"duration_per_run gives each of {rounds} rounds less than 20 ms; it is {duration_per_run}")
        self._workload = workload_fn
        self._name = name or str(getattr(workload_fn, "__qualname__", type(workload_fn).__qualname__))
        self._max_threads = max_threads
        self._rounds = rounds
        self._round_seconds = duration_per_run / rounds
        self._warm_up = self._round_seconds / 2 if warm_up is None else warm_up
        self._hang_after = hang_after
        self._latency = latency

    def profile(self, progress: Optional[Progress] = None) -> SaturationAnalysis:
        """Measures. Takes about ``duration_per_run`` for each number of threads, and half as much to warm up.

        ``progress(threads, tasks_per_second, done, planned)`` is called after each measurement. Ctrl-C ends it at once;
        an exception of the workload reaches the caller as it is.

        :raises Hung: a task did not come to an end.
        :raises TimeoutError: no task could be timed: give each run more time.
        """
        return SaturationAnalysis(
            _native.profile(
                functools.partial(_workers.run, self._workload),
                {
                    "name": self._name,
                    "content": _content(self._workload),
                    "version": f"{platform.python_implementation()} {platform.python_version()}",
                    "path": sys.executable or "",
                    "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
                    "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
                },
                {
                    "duration": self._round_seconds,
                    "warm_up": self._warm_up,
                    "budget": 2 * self._rounds * self._round_seconds,
                    "hang_after": self._hang_after,
                    "max_threads": self._max_threads,
                    "rounds": self._rounds,
                    "open_loop": self._latency,
                },
                progress,
            )
        )


def _check_workload(workload: Any) -> None:
    if not callable(workload):
        raise TypeError(f"workload_fn must be callable, not {type(workload).__name__}")
    for test, what in (
        (inspect.iscoroutinefunction, "an async function"),
        (inspect.isasyncgenfunction, "an async generator function"),
        (inspect.isgeneratorfunction, "a generator function"),
    ):
        if test(workload):
            raise TypeError(f"workload_fn is {what}: calling it runs nothing")
    try:
        inspect.signature(workload).bind()
    except TypeError as error:
        raise TypeError(f"workload_fn is called without arguments: {error}") from None
    except ValueError:
        pass  # Some built-in functions do not tell their signature.


def _content(workload: Callable[[], object]) -> bytes:
    """What the workload is, so that curves of another workload are not taken for this one's."""
    code = getattr(workload, "__code__", None)
    if code is None:
        return repr(type(workload)).encode()
    return bytes(code.co_code) + repr(code.co_names).encode()
