"""Audits of texts, files and trees. Python threads go on while they run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Optional, Union

from aether import _native
from aether.audit.report import CONFIDENCES, AuditReport, report

StrPath = Union[str, "os.PathLike[str]"]


def options(
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    min_confidence: Optional[str] = None,
    free_threaded: Optional[bool] = None,
    target_version: Optional[str] = None,
    exclude: Iterable[str] = (),
    isolated: bool = False,
    threads: Optional[int] = None,
) -> list[str]:
    """The command's words for these settings; what is not given is left to the configuration."""
    if min_confidence is not None and min_confidence not in CONFIDENCES:
        raise ValueError(f"min_confidence is one of {', '.join(CONFIDENCES)}, not {min_confidence!r}")
    words = [f"--select={rule}" for rule in _several("select", select)]
    words += [f"--ignore={rule}" for rule in _several("ignore", ignore)]
    words += [f"--exclude={glob}" for glob in _several("exclude", exclude)]
    if min_confidence is not None:
        words.append(f"--min-confidence={min_confidence}")
    if free_threaded is not None:
        words.append("--free-threaded" if free_threaded else "--no-free-threaded")
    if target_version is not None:
        words.append(f"--target-version={target_version}")
    if isolated:
        words.append("--isolated")
    if threads is not None:
        words.append(f"--threads={threads}")
    return words


def _several(name: str, values: Iterable[str]) -> list[str]:
    if isinstance(values, str):
        raise TypeError(f"{name} takes several strings; write [{values!r}] for one")
    return list(values)


def audit_code(
    source: str,
    filename: StrPath = "<string>",
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    min_confidence: Optional[str] = None,
    free_threaded: Optional[bool] = None,
    target_version: Optional[str] = None,
    config: bool = False,
) -> AuditReport:
    """Audits a module given as text.

    What is found depends on the arguments alone, unless ``config`` asks for the configuration that governs
    ``filename``. A syntax error is a finding (AETX01).

    :raises ValueError: a rule, confidence or version that does not exist.
    """
    words = options(
        select=select,
        ignore=ignore,
        min_confidence=min_confidence,
        free_threaded=free_threaded,
        target_version=target_version,
        isolated=not config,
    )
    return report(_native.check_text(source, filename, words))


def audit_directory(
    path: StrPath,
    exclude_dirs: Iterable[str] = (),
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    min_confidence: Optional[str] = None,
    free_threaded: Optional[bool] = None,
    target_version: Optional[str] = None,
    config: bool = True,
    threads: Optional[int] = None,
) -> AuditReport:
    """Audits a file or every Python file of a tree as one program, as ``aether check PATH`` does.

    ``exclude_dirs`` are names (``"build"``, anywhere in the tree) or paths below ``path`` (``"src/vendor"``). Hidden,
    git-ignored and virtual-environment folders are left out in any case. The nearest ``aether.toml`` or
    ``pyproject.toml`` holds unless ``config`` is false.

    :raises FileNotFoundError: there is no such path.
    :raises aether.audit.ConfigurationError: a configuration file is wrong.
    :raises ValueError: a rule, confidence or version that does not exist.
    """
    words = options(
        select=select,
        ignore=ignore,
        min_confidence=min_confidence,
        free_threaded=free_threaded,
        target_version=target_version,
        exclude=[_below(path, folder) for folder in _several("exclude_dirs", exclude_dirs)],
        isolated=not config,
        threads=threads,
    )
    return report(_native.check([*words, "--", os.fspath(path)]))


def _below(path: StrPath, folder: str) -> str:
    folder = folder.replace(os.sep, "/").rstrip("/")
    return os.path.join(os.path.abspath(path), folder) if "/" in folder else folder


class StaticScanner:
    """Scans with every rule and at every confidence, whatever the project's configuration selects.

    What a linter would rather not show by default (rules that are off, findings of low confidence) is shown here: this
    is for a review, :func:`audit_directory` for every day.
    """

    def __init__(
        self,
        *,
        select: Iterable[str] = ("ALL",),
        ignore: Iterable[str] = (),
        min_confidence: str = "low",
        free_threaded: Optional[bool] = None,
        target_version: Optional[str] = None,
    ) -> None:
        self._select = tuple(_several("select", select))
        self._ignore = tuple(_several("ignore", ignore))
        self._min_confidence = min_confidence
        self._free_threaded = free_threaded
        self._target_version = target_version

    def scan(self, path: StrPath, exclude_dirs: Iterable[str] = ()) -> AuditReport:
        """Scans a file or a tree; errors as in :func:`audit_directory`."""
        return audit_directory(
            path,
            exclude_dirs,
            select=self._select,
            ignore=self._ignore,
            min_confidence=self._min_confidence,
            free_threaded=self._free_threaded,
            target_version=self._target_version,
        )

    def scan_code(self, source: str, filename: StrPath = "<string>") -> AuditReport:
        """Scans a module given as text."""
        return audit_code(
            source,
            filename,
            select=self._select,
            ignore=self._ignore,
            min_confidence=self._min_confidence,
            free_threaded=self._free_threaded,
            target_version=self._target_version,
        )
