"""A dictionary every operation of which is atomic."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from contextlib import contextmanager
from typing import Any, Optional, TypeVar

from aether.monitor import lock_for

K = TypeVar("K")
V = TypeVar("V")

_MISSING: Any = object()


def plain(other: Any) -> Any:
    """A snapshot of one of ours, anything else as it is: two locks are never held at once."""
    return other.snapshot() if isinstance(other, ThreadSafeDict) else other


class ThreadSafeDict(MutableMapping[K, V]):
    """A ``dict`` for several threads. Takes what ``dict`` takes.

    Every method is atomic, those that read and write too; iteration and views are over a snapshot, so that nobody's
    changes disturb them. What must not be disturbed *between* calls goes into :meth:`compute` and its like, or under
    :meth:`locked`. Functions handed in run under the lock: keep them short.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lock = lock_for(type(self).__name__)
        self._data: dict[K, V] = dict(*(plain(arg) for arg in args), **kwargs)

    @classmethod
    def fromkeys(cls, keys: Iterable[K], value: Any = None) -> ThreadSafeDict[K, Any]:
        """As ``dict.fromkeys``."""
        return cls(dict.fromkeys(keys, value))

    @contextmanager
    def locked(self) -> Iterator[ThreadSafeDict[K, V]]:
        """Holds the lock for several operations in a row."""
        with self._lock:
            yield self

    def snapshot(self) -> dict[K, V]:
        """The content as a plain ``dict``."""
        with self._lock:
            return dict(self._data)

    # Compound operations.

    def get_or_create(self, key: K, factory: Callable[[], V]) -> V:
        """The value of ``key``; if there is none, what ``factory()`` returns is stored first. Called at most once."""
        with self._lock:
            value = self._data.get(key, _MISSING)
            if value is _MISSING:
                value = self._data[key] = factory()
            result: V = value
            return result

    def compute(self, key: K, function: Callable[[Optional[V]], V], default: Optional[V] = None) -> V:
        """Stores ``function(value)`` under ``key`` and returns it; ``default`` stands in for a missing value."""
        with self._lock:
            value = self._data[key] = function(self._data.get(key, default))
            return value

    def compute_if_present(self, key: K, function: Callable[[V], V]) -> Optional[V]:
        """As :meth:`compute`, but only if ``key`` has a value; else ``None``."""
        with self._lock:
            if key not in self._data:
                return None
            value = self._data[key] = function(self._data[key])
            return value

    def increment(self, key: K, by: Any = 1, start: Any = 0) -> Any:
        """Adds ``by`` to the value of ``key`` (``start`` if it has none) and returns the sum."""
        with self._lock:
            data: dict[K, Any] = self._data
            total = data[key] = data.get(key, start) + by
            return total

    def pop_if(self, key: K, predicate: Callable[[V], object], default: Any = None) -> Any:
        """Removes ``key`` and returns its value if ``predicate(value)`` is true; else ``default``."""
        with self._lock:
            value = self._data.get(key, _MISSING)
            if value is _MISSING or not predicate(value):
                return default
            return self._data.pop(key)

    def replace(self, key: K, expected: V, value: V) -> bool:
        """Stores ``value`` if ``key`` has the value ``expected`` now (compare and set); whether it had."""
        with self._lock:
            if key not in self._data or self._data[key] != expected:
                return False
            self._data[key] = value
            return True

    # What every mapping has.

    def __getitem__(self, key: K) -> V:
        with self._lock:
            data = self._data
            if key in data or not hasattr(type(self), "__missing__"):
                return data[key]
        missing: V = type(self).__missing__(self, key)  # type: ignore[attr-defined]
        return missing

    def __setitem__(self, key: K, value: V) -> None:
        with self._lock:
            self._data[key] = value

    def __delitem__(self, key: K) -> None:
        with self._lock:
            del self._data[key]

    def __len__(self) -> int:
        with self._lock:
            return len(self._data)

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._data

    def __iter__(self) -> Iterator[K]:
        return iter(self.snapshot())

    def __reversed__(self) -> Iterator[K]:
        return reversed(self.snapshot())

    def keys(self) -> KeysView[K]:
        """The keys of a snapshot."""
        return self.snapshot().keys()

    def values(self) -> ValuesView[V]:
        """The values of a snapshot."""
        return self.snapshot().values()

    def items(self) -> ItemsView[K, V]:
        """The items of a snapshot."""
        return self.snapshot().items()

    def get(self, key: K, default: Any = None) -> Any:
        """As ``dict.get``."""
        with self._lock:
            return self._data.get(key, default)

    def setdefault(self, key: K, default: Any = None) -> Any:
        """As ``dict.setdefault``."""
        with self._lock:
            return self._data.setdefault(key, default)

    def pop(self, key: K, default: Any = _MISSING) -> Any:
        """As ``dict.pop``."""
        with self._lock:
            return self._data.pop(key) if default is _MISSING else self._data.pop(key, default)

    def popitem(self) -> tuple[K, V]:
        """As ``dict.popitem``: the item that was added last."""
        with self._lock:
            return self._data.popitem()

    def clear(self) -> None:
        """Removes everything."""
        with self._lock:
            self._data.clear()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As ``dict.update``: all of it at once."""
        added = dict(*(plain(arg) for arg in args), **kwargs)
        with self._lock:
            self._data.update(added)

    def copy(self) -> ThreadSafeDict[K, V]:
        """A copy with a lock of its own."""
        return type(self)(self.snapshot())

    __copy__ = copy

    def __or__(self, other: Any) -> ThreadSafeDict[K, V]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return type(self)({**self.snapshot(), **plain(other)})

    def __ror__(self, other: Any) -> ThreadSafeDict[K, V]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return type(self)({**plain(other), **self.snapshot()})

    def __ior__(self, other: Any) -> ThreadSafeDict[K, V]:
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        theirs = plain(other)
        return self.snapshot() == (theirs if isinstance(theirs, dict) else dict(theirs.items()))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.snapshot()!r})"

    def __reduce__(self) -> Any:
        return (type(self), (self.snapshot(),))
