"""A set every operation of which is atomic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSet, Set
from contextlib import contextmanager
from typing import Any, Optional, TypeVar

from aether.monitor import lock_for

T = TypeVar("T")


def plain(other: Any) -> Any:
    """A snapshot of one of ours, anything else as it is: two locks are never held at once."""
    return other.snapshot() if isinstance(other, ThreadSafeSet) else other


def items_of(other: Iterable[Any]) -> set[Any]:
    """The items of an iterable, taken before any lock: an iterator may run anybody's code."""
    return set(plain(other))


def comparable(other: object) -> Optional[set[Any]]:
    """What a set may be combined with by an operator, or ``None``."""
    theirs = plain(other)
    return set(theirs) if isinstance(theirs, Set) else None


class ThreadSafeSet(MutableSet[T]):
    """A ``set`` for several threads. Takes what ``set`` takes.

    Every method is atomic; iteration is over a snapshot. What must not be disturbed between calls goes under
    :meth:`locked`. Functions handed in run under the lock: keep them short.
    """

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._lock = lock_for(type(self).__name__)
        self._data: set[T] = items_of(items)

    @contextmanager
    def locked(self) -> Iterator[ThreadSafeSet[T]]:
        """Holds the lock for several operations in a row."""
        with self._lock:
            yield self

    def snapshot(self) -> set[T]:
        """The content as a plain ``set``."""
        with self._lock:
            return set(self._data)

    # Compound operations.

    def add_if_absent(self, item: T) -> bool:
        """Adds ``item``; whether it was not there before."""
        with self._lock:
            before = len(self._data)
            self._data.add(item)
            return len(self._data) != before

    def discard_if_present(self, item: T) -> bool:
        """Removes ``item``; whether it was there before."""
        with self._lock:
            before = len(self._data)
            self._data.discard(item)
            return len(self._data) != before

    def pop_if(self, predicate: Callable[[T], object], default: Any = None) -> Any:
        """Removes and returns one item for which ``predicate`` is true; ``default`` if there is none."""
        with self._lock:
            for item in self._data:
                if predicate(item):
                    break
            else:
                return default
            self._data.discard(item)
            return item

    def remove_if(self, predicate: Callable[[T], object]) -> int:
        """Removes every item for which ``predicate`` is true; how many there were."""
        with self._lock:
            removed = {item for item in self._data if predicate(item)}
            self._data -= removed
            return len(removed)

    def drain(self) -> set[T]:
        """Removes and returns everything."""
        with self._lock:
            items, self._data = self._data, set()
            return items

    # What every set has.

    def __contains__(self, item: object) -> bool:
        with self._lock:
            return item in self._data

    def __iter__(self) -> Iterator[T]:
        return iter(self.snapshot())

    def __len__(self) -> int:
        with self._lock:
            return len(self._data)

    def add(self, value: T) -> None:
        """As ``set.add``."""
        with self._lock:
            self._data.add(value)

    def discard(self, value: T) -> None:
        """As ``set.discard``."""
        with self._lock:
            self._data.discard(value)

    def remove(self, value: T) -> None:
        """As ``set.remove``."""
        with self._lock:
            self._data.remove(value)

    def pop(self) -> T:
        """As ``set.pop``."""
        with self._lock:
            return self._data.pop()

    def clear(self) -> None:
        """Removes everything."""
        with self._lock:
            self._data.clear()

    def copy(self) -> ThreadSafeSet[T]:
        """A copy with a lock of its own."""
        return type(self)(self.snapshot())

    __copy__ = copy

    def update(self, *others: Iterable[T]) -> None:
        """As ``set.update``: all of it at once."""
        added = set().union(*map(items_of, others))
        with self._lock:
            self._data |= added

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """As ``set.intersection_update``."""
        kept = [items_of(other) for other in others]
        with self._lock:
            self._data.intersection_update(*kept)

    def difference_update(self, *others: Iterable[Any]) -> None:
        """As ``set.difference_update``."""
        removed = [items_of(other) for other in others]
        with self._lock:
            self._data.difference_update(*removed)

    def symmetric_difference_update(self, other: Iterable[T]) -> None:
        """As ``set.symmetric_difference_update``."""
        theirs = items_of(other)
        with self._lock:
            self._data ^= theirs

    def union(self, *others: Iterable[Any]) -> ThreadSafeSet[Any]:
        """As ``set.union``."""
        return type(self)(self.snapshot().union(*map(items_of, others)))

    def intersection(self, *others: Iterable[Any]) -> ThreadSafeSet[T]:
        """As ``set.intersection``."""
        return type(self)(self.snapshot().intersection(*map(items_of, others)))

    def difference(self, *others: Iterable[Any]) -> ThreadSafeSet[T]:
        """As ``set.difference``."""
        return type(self)(self.snapshot().difference(*map(items_of, others)))

    def symmetric_difference(self, other: Iterable[Any]) -> ThreadSafeSet[Any]:
        """As ``set.symmetric_difference``."""
        return type(self)(self.snapshot() ^ items_of(other))

    def issubset(self, other: Iterable[Any]) -> bool:
        """As ``set.issubset``."""
        return self.snapshot() <= items_of(other)

    def issuperset(self, other: Iterable[Any]) -> bool:
        """As ``set.issuperset``."""
        return self.snapshot() >= items_of(other)

    def isdisjoint(self, other: Iterable[Any]) -> bool:
        """As ``set.isdisjoint``."""
        return self.snapshot().isdisjoint(items_of(other))

    def __or__(self, other: Any) -> ThreadSafeSet[Any]:
        theirs = comparable(other)
        return NotImplemented if theirs is None else type(self)(self.snapshot() | theirs)

    def __and__(self, other: Any) -> ThreadSafeSet[T]:
        theirs = comparable(other)
        return NotImplemented if theirs is None else type(self)(self.snapshot() & theirs)

    def __sub__(self, other: Any) -> ThreadSafeSet[T]:
        theirs = comparable(other)
        return NotImplemented if theirs is None else type(self)(self.snapshot() - theirs)

    def __xor__(self, other: Any) -> ThreadSafeSet[Any]:
        theirs = comparable(other)
        return NotImplemented if theirs is None else type(self)(self.snapshot() ^ theirs)

    __ror__ = __or__
    __rand__ = __and__
    __rxor__ = __xor__

    def __rsub__(self, other: Any) -> ThreadSafeSet[Any]:
        theirs = comparable(other)
        return NotImplemented if theirs is None else type(self)(theirs - self.snapshot())

    def __ior__(self, other: Any) -> ThreadSafeSet[T]:
        self.update(other)
        return self

    def __iand__(self, other: Any) -> ThreadSafeSet[T]:
        self.intersection_update(other)
        return self

    def __isub__(self, other: Any) -> ThreadSafeSet[T]:
        self.difference_update(other)
        return self

    def __ixor__(self, other: Any) -> ThreadSafeSet[T]:
        self.symmetric_difference_update(other)
        return self

    def __eq__(self, other: object) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() == theirs

    def __le__(self, other: Any) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() <= theirs

    def __lt__(self, other: Any) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() < theirs

    def __ge__(self, other: Any) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() >= theirs

    def __gt__(self, other: Any) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() > theirs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        items = self.snapshot()
        return f"{type(self).__name__}({items!r})" if items else f"{type(self).__name__}()"

    def __reduce__(self) -> Any:
        return (type(self), (self.snapshot(),))
