"""The six named threats of free threading, in one module's source."""

from __future__ import annotations

import ast
import enum
import os
from dataclasses import dataclass
from typing import Union

from aether import _native
from aether.audit.report import AuditReport, Evidence, Finding, report
from aether.audit.scanner import options


class FreeThreadThreat(enum.Enum):
    """What can go wrong."""

    FRAME_LOCALS_ACCESS = "frame_locals_access"
    WARNING_CATCH_CONTEXT = "warning_catch_context"
    SHARED_ITERATOR = "shared_iterator"
    ASYNC_THREADING_MIX = "async_threading_mix"
    SIGNAL_HANDLER_RACE = "signal_handler_race"
    EXCEPTION_GROUP_RACE = "exception_group_race"


_THREATS = {
    "AET001": FreeThreadThreat.FRAME_LOCALS_ACCESS,
    "AET002": FreeThreadThreat.WARNING_CATCH_CONTEXT,
    "AET003": FreeThreadThreat.SHARED_ITERATOR,
    "AET004": FreeThreadThreat.ASYNC_THREADING_MIX,
    "AET005": FreeThreadThreat.SIGNAL_HANDLER_RACE,
    "AET006": FreeThreadThreat.EXCEPTION_GROUP_RACE,
}

# On a free-threaded build these take the interpreter down, or corrupt its memory, in at least one supported version.
_CRASHES = frozenset(
    {
        FreeThreadThreat.FRAME_LOCALS_ACCESS,
        FreeThreadThreat.SHARED_ITERATOR,
        FreeThreadThreat.ASYNC_THREADING_MIX,
    }
)

# The modules the threats are about. A snippet that uses one without importing it means this one.
_MODULES = frozenset({"asyncio", "inspect", "itertools", "signal", "sys", "threading", "warnings"})

# What makes a text no module: invalid syntax, and nesting that CPython refuses too.
_NO_MODULE = frozenset({"AETX01", "AETX05"})


@dataclass(frozen=True)
class FreeThreadFinding:
    """One threat."""

    threat_type: FreeThreadThreat
    description: str
    """What happens."""
    recommendation: str
    """What to do."""
    line_number: int
    """From 1."""
    crash_risk: bool
    """Whether a free-threaded interpreter can crash here, rather than give a wrong result."""
    column: int
    """From 1, in characters."""
    code: str
    """The rule, as ``aether explain`` knows it."""
    confidence: str
    """``low``, ``medium`` or ``high``; low means that no thread is known to reach it."""
    related: tuple[Evidence, ...] = ()
    """The other places: the other access, where the thread starts."""


class FreeThreadDetector:
    """Finds the six threats in one module, at every confidence."""

    def __init__(self, filename: Union[str, "os.PathLike[str]"] = "<string>") -> None:
        self.filename = filename

    def detect(self, source: str) -> list[FreeThreadFinding]:
        """The threats in ``source``, in reading order.

        :raises SyntaxError: the source is no Python; with position, as ``compile`` would.
        """
        words = options(select=sorted(_THREATS), min_confidence="low", isolated=True)
        found = report(_native.check_text(_complete(source), self.filename, words))
        self._refuse_what_is_no_module(found, source)
        return [_threat(finding) for finding in found if finding.code in _THREATS]

    def _refuse_what_is_no_module(self, found: AuditReport, source: str) -> None:
        for finding in found:
            if finding.code in _NO_MODULE:
                place = finding.location
                lines = source.splitlines()
                line = lines[place.line - 1] if place.line <= len(lines) else ""
                raise SyntaxError(finding.message, (os.fspath(self.filename), place.line, place.column, line))


def _threat(finding: Finding) -> FreeThreadFinding:
    threat = _THREATS[finding.code]
    return FreeThreadFinding(
        threat_type=threat,
        description=finding.message,
        recommendation=finding.help or "; ".join(finding.notes),
        line_number=finding.line_number,
        crash_risk=threat in _CRASHES,
        column=finding.column,
        code=finding.code,
        confidence=finding.confidence,
        related=finding.evidence,
    )


def _complete(source: str) -> str:
    """The source, with the imports that a snippet left out; behind it, so that no line moves."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source  # The linter says what is wrong, or knows newer syntax than this interpreter.
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    missing = sorted((names & _MODULES) - bound)
    return f"{source}\nimport {', '.join(missing)}\n" if missing else source
