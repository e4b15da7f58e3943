"""How a user's code is typed. Never run: `mypy --strict` reads it."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Optional, assert_type

from aether import AdaptiveThreadPool, ThreadSafeDict, ThreadSafeList, ThreadSafeSet, atomic, par_map, synchronized
from aether.audit import AuditReport, Finding, FreeThreadDetector, FreeThreadFinding, audit_code
from aether.check import GILStatus, GILStatusChecker
from aether.pool import ThreadPoolMetrics
from aether.profile import SaturationAnalysis, SaturationCliffProfiler


class Counter:
    def __init__(self) -> None:
        self.value = 0

    @atomic
    def add(self, by: int) -> int:
        self.value += by
        return self.value

    @atomic(timeout=1.0)
    def reset(self) -> None:
        self.value = 0

    @synchronized("_lock")
    def peek(self) -> int:
        return self.value


assert_type(Counter().add(1), int)
assert_type(Counter().peek(), int)
with synchronized(Counter(), timeout=1.0):
    pass

prices: ThreadSafeDict[str, float] = ThreadSafeDict({"apple": 1.0})
assert_type(prices["apple"], float)
assert_type(prices.get_or_create("pear", float), float)
assert_type(prices.compute("apple", lambda price: (price or 0.0) * 2), float)
assert_type(prices.snapshot(), dict[str, float])
assert_type(ThreadSafeList([1, 2]).drain(), list[int])
assert_type(ThreadSafeSet([1]).add_if_absent(2), bool)

with AdaptiveThreadPool(max_workers=4) as pool:
    assert_type(pool, AdaptiveThreadPool)
    assert_type(pool.submit(len, "abc"), Future[int])
    assert_type(pool.map(str, [1, 2]), Iterator[str])
    assert_type(pool.get_metrics(), ThreadPoolMetrics)
assert_type(par_map(len, ["a"]), list[int])

assert_type(audit_code("x = 1"), AuditReport)
assert_type([finding for finding in audit_code("x = 1")], list[Finding])
assert_type(FreeThreadDetector("a.py").detect("x = 1"), list[FreeThreadFinding])
analysis = SaturationCliffProfiler(lambda: None).profile()
assert_type(analysis, SaturationAnalysis)
assert_type(analysis.cliff_threads, Optional[int])
assert_type(GILStatusChecker().get_status().gil_status, GILStatus)
