"""How often threads wait for the locks of this package, and how long.

Off by default: locks are then plain ``threading.RLock``. :func:`enable` (or the environment variable
``AETHER_MONITOR=1``, which is earlier than any import) makes locks created *from then on* count.

>>> from aether import ThreadSafeDict, monitor
>>> monitor.enable()
>>> cache = ThreadSafeDict()
>>> ...
>>> monitor.print_report()
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Optional, Union

if TYPE_CHECKING:
    from threading import RLock as _RLock

__all__ = ["LockReport", "MonitoredLock", "disable", "enable", "is_enabled", "lock", "print_report", "report", "reset"]

# Waits kept per name, the latest: enough for a 99th percentile.
_KEPT = 4096


@dataclass(frozen=True)
class LockReport:
    """What happened at all locks of one name."""

    name: str
    acquisitions: int
    """How often a lock was taken, re-entries included."""
    contended: int
    """How often it was held by another thread, so that the taker had to wait."""
    timeouts: int
    """How often the taker gave up."""
    wait_total_ms: float
    wait_p50_ms: float
    """Median of the latest 4096 waits; 0 if there was none."""
    wait_p99_ms: float
    wait_max_ms: float

    @property
    def contention(self) -> float:
        """Share of acquisitions that had to wait, 0 to 1."""
        return self.contended / self.acquisitions if self.acquisitions else 0.0


class _Counts:
    """The counters of one name. Guarded by a lock of their own: a report must not wait for a lock somebody holds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._acquisitions = 0
        self._contended = 0
        self._timeouts = 0
        self._total_ns = 0
        self._max_ns = 0
        self._waits: deque[int] = deque(maxlen=_KEPT)

    def took(self) -> None:
        with self._lock:
            self._acquisitions += 1

    def waited(self, ns: int) -> None:
        with self._lock:
            self._acquisitions += 1
            self._contended += 1
            self._total_ns += ns
            self._max_ns = max(self._max_ns, ns)
            self._waits.append(ns)

    def gave_up(self) -> None:
        with self._lock:
            self._timeouts += 1

    def report(self) -> LockReport:
        with self._lock:
            waits = sorted(self._waits)
            return LockReport(
                name=self.name,
                acquisitions=self._acquisitions,
                contended=self._contended,
                timeouts=self._timeouts,
                wait_total_ms=self._total_ns / 1e6,
                wait_p50_ms=_quantile(waits, 0.50) / 1e6,
                wait_p99_ms=_quantile(waits, 0.99) / 1e6,
                wait_max_ms=self._max_ns / 1e6,
            )


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


class MonitoredLock:
    """A reentrant lock that counts. Made by :func:`lock`."""

    __slots__ = ("__weakref__", "_counts", "_lock")

    def __init__(self, counts: _Counts) -> None:
        self._counts = counts
        self._lock = threading.RLock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As ``threading.RLock.acquire``."""
        if self._lock.acquire(blocking=False):
            self._counts.took()
            return True
        if not blocking:
            return False
        started = time.perf_counter_ns()
        if not self._lock.acquire(timeout=timeout):
            self._counts.gave_up()
            return False
        self._counts.waited(time.perf_counter_ns() - started)
        return True

    def release(self) -> None:
        """As ``threading.RLock.release``."""
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_val: Optional[BaseException],
        exc_tb: Optional[TracebackType],
    ) -> None:
        self._lock.release()


AnyLock = Union["_RLock", MonitoredLock]

_registry_lock = threading.Lock()
_counts: dict[str, _Counts] = {}
_enabled = os.environ.get("AETHER_MONITOR", "") not in ("", "0")


def enable() -> None:
    """Locks made from now on count."""
    global _enabled
    _enabled = True


def disable() -> None:
    """Locks made from now on are plain; those that count go on counting."""
    global _enabled
    _enabled = False


def is_enabled() -> bool:
    """Whether locks that are made now count."""
    return _enabled


def reset() -> None:
    """Forgets what was counted. Locks that count start again at zero, under their names."""
    with _registry_lock:
        for counts in _counts.values():
            counts.__init__(counts.name)  # type: ignore[misc]


def lock(name: str) -> AnyLock:
    """A reentrant lock for your own use that is in the report under ``name``, if monitoring is on."""
    if not _enabled:
        return threading.RLock()
    with _registry_lock:
        counts = _counts.get(name)
        if counts is None:
            counts = _counts[name] = _Counts(name)
    return MonitoredLock(counts)


def lock_for(kind: str) -> AnyLock:
    """The lock of an object of this package, named after where the object is made."""
    if not _enabled:
        return threading.RLock()
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("aether."):
        frame = frame.f_back
    return lock(f"{kind} at {os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")


def report() -> list[LockReport]:
    """What was counted so far, by name; the most waited for first."""
    with _registry_lock:
        counts = list(_counts.values())
    reports = [count.report() for count in counts]
    return sorted((one for one in reports if one.acquisitions), key=lambda one: (-one.wait_total_ms, one.name))


def print_report() -> None:
    """Prints a table of :func:`report`."""
    rows = report()
    if not rows:
        print("no lock was counted" + ("" if _enabled else ": monitoring is off, see aether.monitor.enable()"))
        return
    width = max(len("lock"), *(len(row.name) for row in rows))
    print(f"{'lock':<{width}}  {'acquired':>10}  {'contended':>18}  {'wait p50':>10}  {'wait p99':>10}  {'longest':>10}")
    for row in rows:
        contended = f"{row.contended} ({100 * row.contention:.1f} %)"
        waits = f"{row.wait_p50_ms:>7.3f} ms  {row.wait_p99_ms:>7.3f} ms  {row.wait_max_ms:>7.3f} ms"
        print(f"{row.name:<{width}}  {row.acquisitions:>10}  {contended:>18}  {waits}")
