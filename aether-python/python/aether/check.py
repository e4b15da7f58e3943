"""Does this interpreter run without a GIL, and which installed packages are ready for it?

>>> from aether.check import GILStatusChecker
>>> status = GILStatusChecker().get_status()
>>> status.gil_status, status.python_version
"""

from __future__ import annotations

import enum
import json
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Optional

from aether import _native

__all__ = [
    "GILStatus",
    "GILStatusChecker",
    "GILStatusInfo",
    "PackageStatus",
    "get_gil_status",
    "is_free_threaded",
    "print_status",
]


class GILStatus(enum.Enum):
    """Whether the GIL is in force."""

    ENABLED = "enabled"
    """It is; this build knows no other mode."""
    FORCED = "forced"
    """It is, although this build can do without: an option, a variable or an extension module asked for it."""
    DISABLED = "disabled"
    """It is not: threads run in parallel."""


@dataclass(frozen=True)
class PackageStatus:
    """An installed package that ships extension modules, or says something about free threading."""

    name: str
    version: str
    verdict: str
    """``ready``, ``unknown``, ``needs-newer`` or ``forces-gil``."""
    because: str
    """What the verdict rests on."""
    advice: Optional[str] = None


@dataclass(frozen=True)
class GILStatusInfo:
    """This interpreter and what is installed for it."""

    gil_status: GILStatus
    python_version: str
    """As in ``3.13.0``."""
    implementation: str
    is_free_threaded_build: bool
    """Whether this build can run without a GIL."""
    is_free_threaded: bool
    """Whether it does."""
    explanation: str
    """Why, and what would change it."""
    free_threaded_packages: tuple[str, ...]
    """Names of the packages known to support free threading."""
    potentially_unsafe_packages: tuple[str, ...]
    """Names of the other packages with extension modules."""
    packages: tuple[PackageStatus, ...]
    """Both, with reasons."""


class GILStatusChecker:
    """Asks this interpreter.

    :param try_imports: on a free-threaded build, import the installed extension modules in a process of their own and
        see whether the GIL comes on. Runs the packages' code.
    """

    def __init__(self, *, try_imports: bool = False) -> None:
        self._try_imports = try_imports

    def get_status(self) -> GILStatusInfo:
        """The facts, judged."""
        return _info(json.loads(self._native().to_json()))

    def get_gil_status(self) -> GILStatus:
        """Whether the GIL is in force now."""
        return get_gil_status()

    def is_free_threaded(self) -> bool:
        """Whether threads run in parallel now."""
        return is_free_threaded()

    def to_text(self, *, full: bool = False) -> str:
        """What ``aether status`` prints; ``full``: with every package."""
        return self._native().to_text(full)

    def print_status(self, *, full: bool = False) -> None:
        """Prints :meth:`to_text`."""
        print(self.to_text(full=full).rstrip())

    def _native(self) -> _native.Status:
        if self._try_imports and is_free_threaded() and sys.executable:
            return _native.probe_status(sys.executable, True)
        return _native.judge_status(json.dumps(_facts()))


def get_gil_status() -> GILStatus:
    """Whether the GIL is in force now. Cheap: looks at no package."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return GILStatus.ENABLED
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    return GILStatus.FORCED if enabled else GILStatus.DISABLED


def is_free_threaded() -> bool:
    """Whether threads run in parallel now: the GIL is not in force."""
    return get_gil_status() is GILStatus.DISABLED


def print_status(*, full: bool = False) -> None:
    """Prints what ``aether status`` prints, about this interpreter."""
    GILStatusChecker().print_status(full=full)


def _facts() -> Mapping[str, Any]:
    """The facts, collected by the same code the command runs in the interpreter it asks."""
    module = ModuleType("aether._status_questions")
    exec(compile(_native.status_questions(), "<aether status>", "exec"), module.__dict__)
    facts: Mapping[str, Any] = module.__dict__["facts"]()
    return facts


def _info(data: Mapping[str, Any]) -> GILStatusInfo:
    interpreter = data["interpreter"]
    return GILStatusInfo(
        gil_status=GILStatus(data["gil_status"]),
        python_version=interpreter["version"],
        implementation=interpreter["implementation"],
        is_free_threaded_build=data["is_free_threaded_build"],
        is_free_threaded=data["is_free_threaded"],
        explanation=data["gil_explanation"],
        free_threaded_packages=tuple(data["free_threaded_packages"]),
        potentially_unsafe_packages=tuple(data["potentially_unsafe_packages"]),
        packages=tuple(
            PackageStatus(found["name"], found["version"], found["verdict"], found["because"], found["advice"])
            for found in data["packages"]
        ),
    )
