"""A list every operation of which is atomic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import contextmanager
from typing import Any, Optional, SupportsIndex, TypeVar

from aether.monitor import lock_for

T = TypeVar("T")


def plain(other: Any) -> Any:
    """A snapshot of one of ours, anything else as it is: two locks are never held at once."""
    return other.snapshot() if isinstance(other, ThreadSafeList) else other


def comparable(other: object) -> Optional[list[Any]]:
    """What a list may be compared with, or ``None``."""
    theirs = plain(other)
    return theirs if isinstance(theirs, list) else None


class ThreadSafeList(MutableSequence[T]):
    """A ``list`` for several threads. Takes what ``list`` takes.

    Every method is atomic; iteration is over a snapshot. Positions are only good while nobody else changes the list:
    what reads and then writes one goes into :meth:`compute` and its like, or under :meth:`locked`. Functions handed in
    run under the lock: keep them short.
    """

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._lock = lock_for(type(self).__name__)
        self._data: list[T] = list(plain(items))

    @contextmanager
    def locked(self) -> Iterator[ThreadSafeList[T]]:
        """Holds the lock for several operations in a row."""
        with self._lock:
            yield self

    def snapshot(self) -> list[T]:
        """The content as a plain ``list``."""
        with self._lock:
            return list(self._data)

    # Compound operations.

    def compute(self, index: SupportsIndex, function: Callable[[T], T]) -> T:
        """Replaces the item at ``index`` by ``function(item)`` and returns it."""
        with self._lock:
            value = self._data[index] = function(self._data[index])
            return value

    def increment(self, index: SupportsIndex, by: Any = 1) -> Any:
        """Adds ``by`` to the item at ``index`` and returns the sum."""
        with self._lock:
            data: list[Any] = self._data
            total = data[index] = data[index] + by
            return total

    def append_if_absent(self, item: T) -> bool:
        """Appends ``item`` unless it is there already; whether it was appended."""
        with self._lock:
            if item in self._data:
                return False
            self._data.append(item)
            return True

    def pop_if(self, predicate: Callable[[T], object], default: Any = None) -> Any:
        """Removes and returns the first item for which ``predicate`` is true; ``default`` if there is none."""
        with self._lock:
            for index, item in enumerate(self._data):
                if predicate(item):
                    return self._data.pop(index)
            return default

    def remove_if(self, predicate: Callable[[T], object]) -> int:
        """Removes every item for which ``predicate`` is true; how many there were."""
        with self._lock:
            kept = [item for item in self._data if not predicate(item)]
            removed = len(self._data) - len(kept)
            self._data[:] = kept
            return removed

    def drain(self) -> list[T]:
        """Removes and returns everything."""
        with self._lock:
            items = list(self._data)
            self._data.clear()
            return items

    # What every sequence has.

    def __getitem__(self, index: Any) -> Any:
        with self._lock:
            return self._data[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        value = plain(value)
        if isinstance(index, slice) and not isinstance(value, list):
            value = list(value)  # Taken before the lock: an iterator may run anybody's code.
        with self._lock:
            self._data[index] = value

    def __delitem__(self, index: Any) -> None:
        with self._lock:
            del self._data[index]

    def __len__(self) -> int:
        with self._lock:
            return len(self._data)

    def __contains__(self, item: object) -> bool:
        with self._lock:
            return item in self._data

    def __iter__(self) -> Iterator[T]:
        return iter(self.snapshot())

    def __reversed__(self) -> Iterator[T]:
        return reversed(self.snapshot())

    def insert(self, index: SupportsIndex, value: T) -> None:
        """As ``list.insert``."""
        with self._lock:
            self._data.insert(index, value)

    def append(self, value: T) -> None:
        """As ``list.append``."""
        with self._lock:
            self._data.append(value)

    def extend(self, values: Iterable[T]) -> None:
        """As ``list.extend``: all of it at once."""
        added = list(plain(values))
        with self._lock:
            self._data.extend(added)

    def pop(self, index: SupportsIndex = -1) -> T:
        """As ``list.pop``."""
        with self._lock:
            return self._data.pop(index)

    def remove(self, value: T) -> None:
        """As ``list.remove``."""
        with self._lock:
            self._data.remove(value)

    def index(self, value: T, start: SupportsIndex = 0, stop: SupportsIndex = 2**63 - 1) -> int:
        """As ``list.index``."""
        with self._lock:
            return self._data.index(value, start, stop)

    def count(self, value: T) -> int:
        """As ``list.count``."""
        with self._lock:
            return self._data.count(value)

    def clear(self) -> None:
        """Removes everything."""
        with self._lock:
            self._data.clear()

    def reverse(self) -> None:
        """As ``list.reverse``."""
        with self._lock:
            self._data.reverse()

    def sort(self, *, key: Optional[Callable[[T], Any]] = None, reverse: bool = False) -> None:
        """As ``list.sort``. During the sort a key function sees the list as it was."""
        with self._lock:
            self._data = sorted(self._data, key=key, reverse=reverse)  # type: ignore[type-var,arg-type]

    def copy(self) -> ThreadSafeList[T]:
        """A copy with a lock of its own."""
        return type(self)(self.snapshot())

    __copy__ = copy

    def __add__(self, other: Any) -> ThreadSafeList[T]:
        theirs = comparable(other)
        return NotImplemented if theirs is None else type(self)(self.snapshot() + theirs)

    def __radd__(self, other: Any) -> ThreadSafeList[T]:
        theirs = comparable(other)
        return NotImplemented if theirs is None else type(self)(theirs + self.snapshot())

    def __iadd__(self, values: Iterable[T]) -> ThreadSafeList[T]:  # type: ignore[misc]
        self.extend(values)
        return self

    def __mul__(self, times: SupportsIndex) -> ThreadSafeList[T]:
        return type(self)(self.snapshot() * times)

    __rmul__ = __mul__

    def __imul__(self, times: SupportsIndex) -> ThreadSafeList[T]:
        with self._lock:
            self._data *= times
        return self

    def __eq__(self, other: object) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() == theirs

    def __lt__(self, other: object) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() < theirs

    def __le__(self, other: object) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() <= theirs

    def __gt__(self, other: object) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() > theirs

    def __ge__(self, other: object) -> bool:
        theirs = comparable(other)
        return NotImplemented if theirs is None else self.snapshot() >= theirs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.snapshot()!r})"

    def __reduce__(self) -> Any:
        return (type(self), (self.snapshot(),))
