"""The tour in the README: every block runs, and what does not vary prints what it says there."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(?:<!-- (?P<note>[^\n]*) -->\n)?```python\n(?P<code>.*?)```\n(?:```text\n(?P<output>.*?)```\n)?", re.S)
RUN = re.compile(r"<!-- run: aether (?P<words>[^\n]*) -->\n```text\n(?P<output>.*?)```\n", re.S)


def test_the_tour(tmp_path, monkeypatch):
    text = README.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    for block in BLOCK.finditer(text):
        note = block["note"] or ""
        if note.startswith("file: "):
            (tmp_path / note[len("file: ") :]).write_text(block["code"], encoding="utf-8")
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block["code"], f"README block {ran + 1}", "exec"), names)
        ran += 1
        assert printed.getvalue().strip(), block["code"]
        if note != "varies":
            assert printed.getvalue() == block["output"]
    commands = list(RUN.finditer(text))
    for command in commands:
        words = [sys.executable, "-m", "aether", *shlex.split(command["words"])]
        assert subprocess.run(words, capture_output=True, text=True).stdout == command["output"]
    assert ran >= 7 and commands
