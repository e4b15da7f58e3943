"""Magics for IPython and Jupyter: ``%load_ext aether.jupyter_magic``.

- ``%%audit [--verbose] [--no-run]`` finds races in a cell, together with the cells that ran before it, and runs it;
- ``%%profile_threads [--max-threads N] [--duration S]`` measures how many threads the cell can use;
- ``%%free_threaded_check [--verbose]`` looks for the six threats of free threading, without running the cell;
- ``%gil_status [--full]`` says whether the GIL is in force, and which packages can do without.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Optional

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from aether import _native
from aether._notebook import Cells, Shown, preformatted
from aether.audit.report import Finding, report
from aether.audit.scanner import options
from aether.check import GILStatusChecker
from aether.profile import SaturationCliffProfiler

_OURS = ("%%audit", "%%profile_threads", "%%free_threaded_check")
_THREATS = ("AET001", "AET002", "AET003", "AET004", "AET005", "AET006")


@magics_class
class AetherMagics(Magics):
    """The four magics."""

    @property
    def _shell(self) -> InteractiveShell:
        shell = self.shell
        assert isinstance(shell, InteractiveShell)
        return shell

    @magic_arguments()
    @argument("--verbose", "-v", action="store_true", help="evidence and notes too, and findings of low confidence")
    @argument("--no-run", action="store_true", help="only audit the cell, do not run it")
    @cell_magic
    def audit(self, line: str, cell: str) -> Any:
        """Finds races and free-threading hazards in the cell, then runs it.

        The cells that ran before it are part of the program; shown is what this cell has a part in.
        """
        arguments = parse_argstring(self.audit, line)
        words = options(min_confidence="low" if arguments.verbose else None, isolated=True)
        display(self._look(cell, "audit", words, verbose=arguments.verbose, nothing="nothing to report"))
        return None if arguments.no_run else self._run(cell)

    @magic_arguments()
    @argument("--max-threads", type=int, default=16, help="the largest number of threads (16)")
    @argument("--duration", type=float, default=1.0, help="seconds of measurement at each number of threads (1.0)")
    @cell_magic
    def profile_threads(self, line: str, cell: str) -> None:
        """Measures how many threads the cell can use.

        The cell is one task, as the body of a function: it sees the notebook's variables, what it assigns is its own.
        """
        arguments = parse_argstring(self.profile_threads, line)
        try:
            profiler = SaturationCliffProfiler(
                self._task(cell),
                duration_per_run=arguments.duration,
                max_threads=arguments.max_threads,
                name="the cell",
            )
        except ValueError as error:
            raise UsageError(str(error)) from None
        analysis = profiler.profile()
        display({"text/html": analysis._repr_html_(), "text/plain": analysis.to_text()}, raw=True)

    @magic_arguments()
    @argument("--verbose", "-v", action="store_true", help="evidence and notes too")
    @cell_magic
    def free_threaded_check(self, line: str, cell: str) -> None:
        """Looks for the six threats of free threading in the cell, at every confidence. Does not run it."""
        arguments = parse_argstring(self.free_threaded_check, line)
        words = options(select=_THREATS, min_confidence="low", isolated=True)
        nothing = "none of the six threats"
        display(self._look(cell, "free-threading check", words, verbose=arguments.verbose, nothing=nothing))

    @magic_arguments()
    @argument("--full", action="store_true", help="every package, with what its verdict rests on")
    @line_magic
    def gil_status(self, line: str) -> None:
        """Says whether the GIL is in force and why, and which installed packages are ready to do without."""
        arguments = parse_argstring(self.gil_status, line)
        text = GILStatusChecker().to_text(full=arguments.full)
        display({"text/html": preformatted(text), "text/plain": text.rstrip()}, raw=True)

    def _look(self, cell: str, title: str, words: list[str], *, verbose: bool, nothing: str) -> Shown:
        """What this cell does wrong, alone or together with those before it."""
        # The line of the magic stays, empty: lines count as the notebook shows them.
        source = "\n" + cell
        past = self._past()
        number = past[-1][0] + 1 if past else 1
        if past and past[-1][1].strip() == source.strip():
            number, _ = past.pop()  # This very cell: it is in the history before it runs.
        valid = [(number, source) for number, source in past if source.strip() and self._tree(source) is not None]
        numbered = _without_superseded([*valid, (number, source)], self._tree)
        cells = Cells([source for _, source in numbered], [number for number, _ in numbered])
        found = report(_native.check_cells(list(cells.sources), "notebook", words))
        here: list[Finding] = [finding for finding in found if _touches(finding, len(cells.sources))]
        return Shown(title, here, cells, verbose, nothing)

    def _past(self) -> list[tuple[int, str]]:
        """The cells of this session, with their numbers."""
        manager = self._shell.history_manager
        past = manager.input_hist_raw if manager is not None else []
        return [(number, _without_our_magic(source)) for number, source in enumerate(past) if number > 0]

    def _tree(self, source: str) -> Optional[ast.Module]:
        """The cell's tree, unless it is invalid or another magic's: HTML, shell, or run by who knows whom."""
        if source.lstrip().startswith("%%"):
            return None
        try:
            tree: ast.Module = ast.parse(self._shell.transform_cell(source))
        except (SyntaxError, ValueError):
            return None
        return tree

    def _parse(self, cell: str) -> ast.Module:
        """The cell, IPython's own syntax translated."""
        tree: ast.Module = ast.parse(self._shell.transform_cell(cell), filename="<cell>")
        compile(tree, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if any(isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)) for node in _at_top(tree)):
            raise UsageError("a cell with `await` at its top cannot run inside a magic: use `%%audit --no-run` and run it")
        return tree

    def _run(self, cell: str) -> Any:
        """Runs the cell as the notebook would; the value of its last expression becomes its result."""
        tree = self._parse(cell)
        name = self._shell.compile.cache(cell)
        names = self._shell.user_ns
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr) or cell.rstrip().endswith(";"):
            exec(compile(tree, name, "exec"), names)
            return None
        exec(compile(ast.Module(tree.body[:-1], []), name, "exec"), names)
        return eval(compile(ast.Expression(last.value), name, "eval"), names)

    def _task(self, cell: str) -> Callable[[], object]:
        """The cell as a function without arguments."""
        tree = self._parse(cell)
        if not tree.body:
            raise UsageError("there is nothing in the cell to measure")
        shell = ast.parse("def workload(): pass")
        function = shell.body[0]
        assert isinstance(function, ast.FunctionDef)
        function.body = tree.body
        names: dict[str, Any] = {}
        code = compile(ast.fix_missing_locations(shell), self._shell.compile.cache(cell), "exec")
        exec(code, self._shell.user_ns, names)
        workload: Callable[[], object] = names["workload"]
        return workload


def _touches(finding: Finding, cell: int) -> bool:
    """Whether a finding is in the cell, or rests on it: the race may be in an old cell, and its threads start here."""
    return any(place.cell == cell for place in (finding.location, *(item.location for item in finding.evidence)))


def _without_our_magic(source: str) -> str:
    """A past cell, whose first line may have been one of ours; lines stay where they were."""
    first, newline, rest = source.partition("\n")
    return newline + rest if first.split(" ")[0] in _OURS else source


def _without_superseded(
    cells: list[tuple[int, str]], parse: Callable[[str], Optional[ast.Module]]
) -> list[tuple[int, str]]:
    """The cells without the functions and classes that a later cell defines again, as cells that are run twice do.

    Their lines stay, empty, so that no other line moves.
    """
    defined: set[str] = set()
    kept: list[tuple[int, str]] = []
    for number, source in reversed(cells):
        tree = parse(source)
        lines = source.splitlines()
        for node in tree.body if tree is not None else []:
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                continue
            if node.name in defined:
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                last = node.end_lineno or node.lineno
                lines[first - 1 : last] = [""] * (last - first + 1)
            defined.add(node.name)
        kept.append((number, "\n".join(lines)))
    return kept[::-1]


def _at_top(tree: ast.Module) -> list[ast.AST]:
    """Every node that is in no function of its own."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by ``%load_ext aether.jupyter_magic``."""
    shell.register_magics(AetherMagics)
