"""`@atomic`, `synchronized`, `GuardedBy`."""

from __future__ import annotations

import copy
import inspect
import pickle
import threading
from typing import Annotated

import pytest

from aether import GuardedBy, atomic, synchronized
from aether.audit import audit_code


def race(function, threads=4, times=2000):
    """Calls `function` from several threads at once."""
    barrier = threading.Barrier(threads)

    def work():
        barrier.wait()
        for _ in range(times):
            function()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return threads * times


class Counter:
    def __init__(self):
        self.value = 0
        self.lock = threading.RLock()

    @atomic
    def increment(self, by=1):
        """Adds."""
        value = self.value
        self.value = value + by

    @atomic
    def twice(self):
        self.increment()
        self.increment()

    @atomic
    @property
    def above(self):
        return self.value

    @above.setter
    def above(self, value):
        self.value = value

    @property
    @atomic
    def below(self):
        return self.value

    total = 0

    @atomic
    @classmethod
    def count(cls):
        total = cls.total
        cls.total = total + 1  # aether: ignore[AET102] the linter does not look through the package itself

    @atomic
    @staticmethod
    def double(x):
        return 2 * x

    @synchronized("lock")
    def by_name(self):
        value = self.value
        self.value = value + 1


def test_functions_and_methods_lose_no_update(rapid_switching):
    total = [0]

    @atomic
    def bump():
        value = total[0]
        total[0] = value + 1

    assert race(bump) == total[0]
    counter = Counter()
    assert race(counter.increment) == counter.value
    assert 2 * race(counter.twice, times=500) == counter.value - 8000
    assert race(Counter.count) == Counter.total
    other = Counter()
    assert race(other.by_name) == other.value


def test_members_of_one_object_share_a_lock_and_objects_do_not():
    one, other = Counter(), Counter()
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with synchronized(one):
            entered.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    try:
        other.increment()
        assert other.above == other.below == 1
        for attempt in (lambda: one.above, lambda: one.below, one.increment):
            waiter = threading.Thread(target=attempt, daemon=True)
            waiter.start()
            waiter.join(0.05)
            assert waiter.is_alive()
    finally:
        leave.set()
        holder.join()


def test_decorated_functions_stay_what_they_were():
    assert Counter.increment.__doc__ == "Adds." and "by" in inspect.signature(Counter.increment).parameters
    assert Counter.double(4) == 8 and Counter().double(4) == 8
    counter = Counter()
    counter.above = 5
    assert counter.above == 5 and Counter.above.fget is not None


class Plain:
    def __init__(self):
        self.value = 1

    @atomic
    def get(self):
        return self.value


def test_objects_stay_picklable_copyable_and_comparable():
    original = Plain()
    original.get()
    assert vars(original) == {"value": 1}
    for twin in (copy.copy(original), copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        assert twin.get() == 1 and twin is not original


def test_locks_go_with_their_objects():
    from aether import _atomic

    before = len(_atomic._guards._entries)
    for _ in range(50):
        Plain().get()
    assert len(_atomic._guards._entries) <= before + 1


def test_an_object_that_cannot_be_locked_is_refused_with_the_way_out():
    class Slotted:
        __slots__ = ()

        @atomic
        def get(self):
            return 1

    with pytest.raises(TypeError, match="__weakref__"):
        Slotted().get()


def test_what_a_thread_lock_cannot_guard_is_refused():
    async def coroutine():
        pass

    async def async_generator():
        yield

    def generator():
        yield

    for function in (coroutine, async_generator, generator):
        with pytest.raises(TypeError, match=r"which a thread lock cannot guard"):
            atomic(function)
    with pytest.raises(TypeError, match="not for classes"):
        atomic(Counter)
    with pytest.raises(TypeError, match="int objects"):
        atomic(3)
    with pytest.raises(TypeError, match="name its first parameter 'self'"):

        class Strange:
            @atomic
            def method(this):
                pass


def test_a_timeout_raises_and_leaves_the_lock_alone():
    lock = threading.Lock()

    @synchronized(lock, timeout=0.01)
    def guarded():
        return "done"

    class Slow:
        @atomic(timeout=0.01)
        def run(self):
            return "done"

    slow = Slow()
    assert guarded() == slow.run() == "done"
    with lock:
        with pytest.raises(TimeoutError, match="guarded"):
            guarded()  # aether: ignore[AET305] it gives up after a hundredth of a second
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with synchronized(slow):
            entered.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    with pytest.raises(TimeoutError, match="0.01"):
        slow.run()
    with pytest.raises(TimeoutError):
        with synchronized(slow, timeout=0.01):
            pass
    leave.set()
    holder.join()
    assert guarded() == slow.run() == "done"
    with pytest.raises(ValueError):
        atomic(timeout=-1)


def test_an_exception_releases_the_lock():
    @atomic(timeout=1)
    def fail():
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
    failed = threading.Thread(target=lambda: pytest.raises(KeyError, fail))
    failed.start()
    failed.join()


def test_guarded_by_is_understood_by_the_linter():
    source = """\
import threading
from typing import Annotated
from aether import GuardedBy

class Cache:
    def __init__(self):
        self._lock = threading.Lock()
        self._items: Annotated[dict, GuardedBy("_lock")] = {}

    def put(self, key, value):
        self._items[key] = value
"""
    in_class = source.replace("class Cache:\n", 'class Cache:\n    _items: Annotated[dict, GuardedBy("_lock")]\n\n')
    in_class = in_class.replace('self._items: Annotated[dict, GuardedBy("_lock")]', "self._items")
    assert audit_code(in_class).counts() == {"AET103": 1}
    report = audit_code(source)
    assert any(finding.line_number == 11 and finding.confidence == "high" for finding in report), report.to_text()
    held = source.replace("        self._items[key] = value", "        with self._lock:\n            self._items[key] = value")
    assert not audit_code(held)


def test_the_linter_knows_the_lock_behind_atomic():
    source = """\
import threading
from aether import atomic

class Counter:
    def __init__(self):
        self.value = 0

    @atomic
    def increment(self):
        self.value += 1

    @atomic(timeout=1)
    def reset(self):
        self.value = 0

def run(counter):
    for _ in range(100):
        counter.increment()

counter = Counter()
for _ in range(4):
    threading.Thread(target=run, args=(counter,)).start()

total = 0

@atomic
def add():
    global total
    total += 1

for _ in range(4):
    threading.Thread(target=add).start()
"""
    assert not audit_code(source), audit_code(source).to_text()
    without = audit_code(source.replace("    @atomic\n", "").replace("@atomic\ndef add", "def add"))
    assert without.counts()["AET101"] == 2, without.to_text()


def test_guarded_by_wants_a_name():
    assert GuardedBy("_lock") == GuardedBy("_lock") and Annotated[int, GuardedBy("self._lock")]
    with pytest.raises(TypeError):
        GuardedBy(threading.Lock())
    with pytest.raises(ValueError):
        GuardedBy("not a name")
