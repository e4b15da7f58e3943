"""``@atomic`` and ``synchronized``: one lock around a function, or around everything an object does."""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Optional, Protocol, TypeVar, overload

from aether.monitor import AnyLock, lock

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class _Lock(Protocol):
    """Whatever can be taken and given back."""

    def acquire(self) -> Any: ...
    def release(self) -> Any: ...


_SELF = frozenset({"self", "cls", "mcs", "mcls", "metacls"})


class _Guards:
    """One lock per object, kept beside the objects: they stay as picklable, copyable and comparable as they were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[int, tuple[weakref.ref[Any], AnyLock]] = {}

    def of(self, owner: Any) -> AnyLock:
        entry = self._entries.get(id(owner))
        return entry[1] if entry is not None else self._make(owner)

    def _make(self, owner: Any) -> AnyLock:
        key = id(owner)

        def forget(_: object) -> None:
            # Before the object's memory, and with it its id, can belong to another. No lock: this may run anywhere.
            self._entries.pop(key, None)

        try:
            reference = weakref.ref(owner, forget)
        except TypeError:
            message = f"cannot lock {type(owner).__name__!r} objects: give the class a '__weakref__' slot"
            raise TypeError(message) from None
        name = owner.__qualname__ if isinstance(owner, type) else type(owner).__qualname__
        made = lock(name)
        with self._lock:
            return self._entries.setdefault(key, (reference, made))[1]


_guards = _Guards()


class _Holding:
    """Takes a lock within a time limit, for a ``with`` statement."""

    __slots__ = ("_lock", "_timeout", "_what")

    def __init__(self, guard: Any, timeout: Optional[float], what: str) -> None:
        self._lock = guard
        self._timeout = timeout
        self._what = what

    def __enter__(self) -> None:
        if self._timeout is None:
            self._lock.acquire()
        elif not self._lock.acquire(timeout=self._timeout):
            raise TimeoutError(f"{self._what}: the lock was not free within {self._timeout} seconds")

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_val: Optional[BaseException],
        exc_tb: Optional[TracebackType],
    ) -> None:
        self._lock.release()


@overload
def atomic(target: T) -> T: ...
@overload
def atomic(*, timeout: Optional[float] = None) -> Callable[[T], T]: ...
def atomic(target: Any = None, *, timeout: Optional[float] = None) -> Any:
    """Runs a function under a lock, so that no two threads are in it at once.

    A plain function has one lock. Methods and properties share one reentrant lock per instance (class methods: per
    class): all ``@atomic`` members of an object exclude each other, and may call each other.

    With ``timeout``, ``TimeoutError`` is raised if the lock is not free within so many seconds.

    :raises TypeError: for async functions and generators, which would let go of the lock, or block the event loop, in
        the middle.
    """
    _check_timeout(timeout)
    if target is None:
        return functools.partial(_atomic, timeout=timeout)
    return _atomic(target, timeout=timeout)


def _check_timeout(timeout: Optional[float]) -> None:
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout is None or a number of seconds, not {timeout!r}")


def _atomic(target: Any, *, timeout: Optional[float]) -> Any:
    if isinstance(target, property):
        parts = (target.fget, target.fset, target.fdel)
        fget, fset, fdel = (part and _guarded(part, _of_first, timeout) for part in parts)
        return property(fget, fset, fdel, target.__doc__)
    if isinstance(target, classmethod):
        return classmethod(_guarded(target.__func__, _of_first, timeout))
    if isinstance(target, staticmethod):
        return staticmethod(_guarded(target.__func__, _own(target.__func__), timeout))
    if isinstance(target, type):
        raise TypeError(f"@atomic is for functions and methods, not for classes ({target.__qualname__})")
    if not callable(target):
        raise TypeError(f"@atomic is for functions and methods, not for {type(target).__name__} objects")
    return _guarded(target, _of_first if _is_method(target) else _own(target), timeout)


def _is_method(function: Callable[..., Any]) -> bool:
    """Whether a function stands in a class and takes its instance first."""
    inner = getattr(function, "__qualname__", "").rpartition("<locals>.")[2]
    if "." not in inner:
        return False
    first = next(iter(inspect.signature(function).parameters), "")
    if first not in _SELF:
        raise TypeError(
            f"@atomic cannot tell what {inner}() locks: name its first parameter 'self' or 'cls', "
            "or write @atomic above @staticmethod"
        )
    return True


def _refuse_what_suspends(function: Callable[..., Any]) -> None:
    for test, what, why in (
        (inspect.iscoroutinefunction, "an async function", "use an asyncio.Lock inside"),
        (inspect.isasyncgenfunction, "an async generator", "use an asyncio.Lock inside"),
        (inspect.isgeneratorfunction, "a generator", "it would run after the lock is released; take the lock inside"),
    ):
        if test(function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(f"{name}() is {what}, which a thread lock cannot guard: {why}")


def _own(function: Callable[..., Any]) -> Callable[[tuple[Any, ...]], Any]:
    """One lock for the function."""
    own = lock(getattr(function, "__qualname__", repr(function)))
    return lambda args: own


def _of_first(args: tuple[Any, ...]) -> Any:
    """The lock of the object a method is called on."""
    return _guards.of(args[0])


def _guarded(function: Any, find: Callable[[tuple[Any, ...]], Any], timeout: Optional[float]) -> Any:
    _refuse_what_suspends(function)
    if timeout is None:

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with find(args):
                return function(*args, **kwargs)

        return call
    what = getattr(function, "__qualname__", repr(function))

    @functools.wraps(function)
    def call_in_time(*args: Any, **kwargs: Any) -> Any:
        with _Holding(find(args), timeout, what):
            return function(*args, **kwargs)

    return call_in_time


class _Synchronized(AbstractContextManager[None]):
    """What ``synchronized(lock)`` and ``synchronized(object)`` return: a context manager, and a decorator."""

    def __init__(self, find: Callable[[tuple[Any, ...]], Any], timeout: Optional[float], what: str) -> None:
        self._find = find
        self._timeout = timeout
        self._what = what

    def __call__(self, function: F) -> F:
        guarded: F = _guarded(function, self._find, self._timeout)
        return guarded

    def __enter__(self) -> None:
        _Holding(self._find(()), self._timeout, self._what).__enter__()

    def __exit__(
        self,
        exc_type: Optional[type[BaseException]],
        exc_val: Optional[BaseException],
        exc_tb: Optional[TracebackType],
    ) -> None:
        self._find(()).release()


class _ByName:
    """What ``synchronized("name")`` returns: a decorator for methods."""

    def __init__(self, name: str, timeout: Optional[float]) -> None:
        self._name = name
        self._timeout = timeout

    def __call__(self, function: F) -> F:
        guarded: F = _guarded(function, self._find, self._timeout)
        return guarded

    def _find(self, args: tuple[Any, ...]) -> Any:
        return getattr(args[0], self._name)


@overload
def synchronized(target: str, *, timeout: Optional[float] = None) -> _ByName: ...  # type: ignore[overload-overlap]
@overload
def synchronized(target: _Lock, *, timeout: Optional[float] = None) -> _Synchronized: ...
@overload
def synchronized(target: F, *, timeout: Optional[float] = None) -> F: ...  # type: ignore[overload-overlap]
@overload
def synchronized(target: object, *, timeout: Optional[float] = None) -> _Synchronized: ...
def synchronized(target: Any, *, timeout: Optional[float] = None) -> Any:
    """Guards with a lock of your choice.

    - ``@synchronized(lock)`` above a function: runs it under that lock.
    - ``@synchronized("_lock")`` above a method: under the instance's attribute of that name.
    - ``with synchronized(obj):`` holds the lock that the ``@atomic`` methods of ``obj`` take.
    - ``@synchronized`` above a function or method: the same as ``@atomic``.

    With ``timeout``, ``TimeoutError`` is raised if the lock is not free within so many seconds.
    """
    _check_timeout(timeout)
    if isinstance(target, str):
        if not target.isidentifier():
            raise ValueError(f"synchronized() takes the name of an attribute, not {target!r}")
        return _ByName(target, timeout)
    if hasattr(target, "acquire") and hasattr(target, "release"):
        return _Synchronized(lambda args: target, timeout, repr(target))
    if isinstance(target, (property, classmethod, staticmethod)) or inspect.isroutine(target):
        return _atomic(target, timeout=timeout)
    return _Synchronized(lambda args: _guards.of(target), timeout, repr(target))
