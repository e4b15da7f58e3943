"""Thread safety for Python, with and without the GIL.

- :mod:`aether.audit` finds races and free-threading hazards in source code (the linter behind the command ``aether``);
- :mod:`aether.profile` measures how many threads a workload can use, and why not more;
- :mod:`aether.pool` is a ``concurrent.futures`` executor that finds its own size;
- :mod:`aether.check` says whether this interpreter runs without a GIL and which packages are ready for it;
- :mod:`aether.monitor` counts how often threads wait for the locks of this package;
- ``%load_ext aether.jupyter_magic`` brings the same to notebooks.

Names are imported when they are first used: ``import aether`` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aether import monitor as monitor
    from aether._atomic import atomic as atomic
    from aether._atomic import synchronized as synchronized
    from aether._collections import ThreadSafeDict as ThreadSafeDict
    from aether._collections import ThreadSafeList as ThreadSafeList
    from aether._collections import ThreadSafeSet as ThreadSafeSet
    from aether._guarded import GuardedBy as GuardedBy
    from aether._native import __version__ as __version__
    from aether.pool import AdaptiveThreadPool as AdaptiveThreadPool
    from aether.pool import par_map as par_map

__all__ = [
    "AdaptiveThreadPool",
    "GuardedBy",
    "ThreadSafeDict",
    "ThreadSafeList",
    "ThreadSafeSet",
    "__version__",
    "atomic",
    "monitor",
    "par_map",
    "synchronized",
]

_HOMES = {
    "AdaptiveThreadPool": "aether.pool",
    "GuardedBy": "aether._guarded",
    "ThreadSafeDict": "aether._collections",
    "ThreadSafeList": "aether._collections",
    "ThreadSafeSet": "aether._collections",
    "__version__": "aether._native",
    "atomic": "aether._atomic",
    "par_map": "aether.pool",
    "synchronized": "aether._atomic",
}
_SUBMODULES = frozenset({"audit", "check", "jupyter_magic", "monitor", "pool", "profile"})


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return importlib.import_module(f"aether.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_SUBMODULES})
