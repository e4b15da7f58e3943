"""What the magics show: HTML for a notebook, text for a terminal, from the same findings."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from aether.audit.report import Finding, Location

_COLORS = {"error": "#c62828", "warning": "#b26a00", "info": "#1565c0"}


@dataclass(frozen=True)
class Cells:
    """The cells an audit looked at, and how the notebook counts them."""

    sources: Sequence[str]
    numbers: Sequence[int]

    def line(self, place: Location) -> str:
        """The text of the line a place starts on."""
        source = self.sources[(place.cell or 1) - 1].splitlines()
        return source[place.line - 1] if place.line <= len(source) else ""

    def name(self, place: Location) -> str:
        """``line 3`` in the audited cell, ``In [2], line 3`` elsewhere."""
        cell = place.cell or len(self.sources)
        here = f"line {place.line}"
        return here if cell == len(self.sources) else f"In [{self.numbers[cell - 1]}], {here}"


@dataclass(frozen=True)
class Shown:
    """Findings about a cell, as Jupyter displays an object."""

    title: str
    findings: Sequence[Finding]
    cells: Cells
    verbose: bool
    nothing: str

    def to_text(self) -> str:
        """For a terminal."""
        if not self.findings:
            return f"{self.title}: {self.nothing}"
        lines = [f"{self.title}: {_count(len(self.findings))}"]
        for finding in self.findings:
            place = finding.location
            lines.append(f"{finding.level}[{finding.code}] {self.cells.name(place)}: {finding.message}")
            lines.append(f"    {self.cells.line(place).strip()}")
            lines += [f"  {line}" for line in self._details(finding)]
        return "\n".join(lines)

    def to_html(self) -> str:
        """For a notebook; in the notebook's own colours, light or dark."""
        title = f"<b>{html.escape(self.title)}</b>"
        if not self.findings:
            return f'<div>{title}: <span style="color:#2e7d32">{html.escape(self.nothing)}</span></div>'
        items = "".join(self._item(finding) for finding in self.findings)
        return f'<div>{title}: {_count(len(self.findings))}{items}</div>'

    def _item(self, finding: Finding) -> str:
        place = finding.location
        color = _COLORS.get(finding.level, _COLORS["info"])
        parts = [
            f'<div style="margin:.5em 0;padding:.2em .8em;border-left:4px solid {color}">',
            f'<b style="color:{color}">{html.escape(finding.level)}[{html.escape(finding.code)}]</b> ',
            f"{html.escape(self.cells.name(place))}: {html.escape(finding.message)}",
            f'<pre style="margin:.3em 0">{self._marked(place)}</pre>',
            "".join(f'<div style="opacity:.8">{html.escape(line)}</div>' for line in self._details(finding)),
            "</div>",
        ]
        return "".join(parts)

    def _marked(self, place: Location) -> str:
        line = self.cells.line(place)
        start = place.column - 1
        end = place.end_column - 1 if place.end_line == place.line else len(line)
        before, marked, after = line[:start], line[start:end], line[end:]
        return f"{html.escape(before)}<u><b>{html.escape(marked)}</b></u>{html.escape(after)}"

    def _details(self, finding: Finding) -> list[str]:
        lines = [f"help: {finding.help}"] if finding.help else []
        if self.verbose:
            lines = [f"{self.cells.name(item.location)}: {item.text}" for item in finding.evidence] + [
                *(f"note: {note}" for note in finding.notes),
                f"confidence: {finding.confidence}",
                *lines,
            ]
        return lines

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return self.to_text()


def _count(number: int) -> str:
    return "1 finding" if number == 1 else f"{number} findings"


def preformatted(text: str) -> str:
    """Text as HTML that keeps its columns."""
    return f'<pre style="line-height:1.3">{html.escape(text)}</pre>'
