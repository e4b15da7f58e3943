"""Collections for several threads. Locks always: the GIL makes no read-modify-write atomic either."""

from aether._dict import ThreadSafeDict
from aether._list import ThreadSafeList
from aether._set import ThreadSafeSet

__all__ = ["ThreadSafeDict", "ThreadSafeList", "ThreadSafeSet"]
