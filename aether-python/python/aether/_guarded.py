"""``GuardedBy``: which lock guards an attribute, said in its annotation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GuardedBy:
    """Names the lock that must be held wherever the annotated attribute is read or written.

    >>> from typing import Annotated
    >>> class Cache:
    ...     _items: Annotated[dict[str, int], GuardedBy("_lock")]

    Nothing is checked at run time: ``aether check`` reports every access that does not hold the lock (AET103).
    """

    lock: str
    """The lock's name, an attribute of the same object (or a global of the same module)."""

    def __post_init__(self) -> None:
        if not isinstance(self.lock, str):
            raise TypeError(f"GuardedBy() takes the lock's name, not {type(self.lock).__name__}")
        if not all(part.isidentifier() for part in self.lock.split(".")):
            raise ValueError(f"GuardedBy() takes the lock's name like '_lock', not {self.lock!r}")
