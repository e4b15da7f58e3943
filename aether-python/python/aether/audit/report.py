"""What an audit found, as objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from aether import _native

CONFIDENCES = ("low", "medium", "high")


@dataclass(frozen=True)
class Location:
    """A stretch of source. Lines and columns count from 1, columns in characters; the end is exclusive."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    cell: Optional[int] = None
    """The cell of a notebook; lines then count within it."""

    def __str__(self) -> str:
        cell = "" if self.cell is None else f"cell {self.cell}:"
        return f"{self.path}:{cell}{self.line}:{self.column}"


@dataclass(frozen=True)
class Evidence:
    """Another place that belongs to a finding."""

    role: str
    """What it proves: ``other-access``, ``root-starts``, ``call-path``, ``lock`` or ``definition``."""
    text: str
    location: Location
    thread: Optional[str] = None
    """The thread that runs this place, where that is known."""


@dataclass(frozen=True)
class Finding:
    """One hazard: what happens, where, why we believe it and what to do."""

    code: str
    name: str
    family: str
    level: str
    """``info``, ``warning`` or ``error``: how grave, by the settings."""
    confidence: str
    """``low``, ``medium`` or ``high``: how sure the analysis is."""
    message: str
    location: Location
    label: str = ""
    thread: Optional[str] = None
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[str, ...] = ()
    help: Optional[str] = None

    @property
    def line_number(self) -> int:
        """The line, from 1."""
        return self.location.line

    @property
    def column(self) -> int:
        """The column, from 1."""
        return self.location.column

    def __str__(self) -> str:
        return f"{self.location}: {self.level}[{self.code}] {self.message}"


class AuditReport(Sequence[Finding]):
    """The findings of one audit, in reading order. Empty, and therefore false, if there is nothing to report."""

    def __init__(self, checked: _native.Checked, findings: Sequence[Finding]) -> None:
        self._checked = checked
        self._findings = tuple(findings)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding."""
        return self._findings

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that were checked."""
        return tuple(self._checked.paths)

    @property
    def skipped(self) -> tuple[str, ...]:
        """What was left out and why, one sentence each."""
        return tuple(self._checked.skipped)

    @property
    def statistics(self) -> Mapping[str, int]:
        """What the run saw: ``files``, ``lines``, ``functions``, ``roots``, ``calls``, ``opaque_calls``, …"""
        return self._checked.statistics

    def counts(self) -> dict[str, int]:
        """How many findings each rule has, by code."""
        return dict(sorted(Counter(finding.code for finding in self._findings).items()))

    def render(self, output_format: str = "full") -> str:
        """The findings in a format of the command: ``full``, ``concise``, ``json``, ``sarif``, ``github``, …"""
        return self._checked.render(output_format)

    def to_text(self) -> str:
        """As a terminal shows them: code, evidence, notes, help."""
        return self.render("full")

    def to_sarif(self) -> str:
        """SARIF 2.1.0, for GitHub code scanning and other platforms."""
        return self.render("sarif")

    def to_json(self) -> str:
        """One array of objects."""
        return self.render("json")

    def __len__(self) -> int:
        return len(self._findings)

    # One signature where `Sequence` declares two: a slice of a report is a tuple of findings.
    def __getitem__(self, index: Any) -> Any:
        return self._findings[index]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._findings)

    def __repr__(self) -> str:
        return f"<AuditReport: {len(self)} findings in {len(self._checked.paths)} files>"


def report(checked: _native.Checked) -> AuditReport:
    """Turns what the native module found into objects."""
    return AuditReport(checked, [_finding(record) for record in json.loads(checked.render("json"))])


def _finding(record: dict[str, Any]) -> Finding:
    return Finding(
        code=record["code"],
        name=record["name"],
        family=record["family"],
        level=record["level"],
        confidence=record["confidence"],
        message=record["message"],
        location=_location(record),
        label=record["label"],
        thread=record["thread"],
        evidence=tuple(
            Evidence(item["role"], item["text"], _location(item), item["thread"]) for item in record["evidence"]
        ),
        notes=tuple(record["notes"]),
        help=record["help"],
    )


def _location(record: dict[str, Any]) -> Location:
    start, end = record["location"], record["end_location"]
    return Location(record["path"], start["line"], start["column"], end["line"], end["column"], record["cell"])
