"""The linter from Python: findings as objects, errors as exceptions, other threads go on."""

from __future__ import annotations

import json
import threading
import time

import pytest

from aether.audit import (
    ConfigurationError,
    FreeThreadDetector,
    FreeThreadThreat,
    StaticScanner,
    audit_code,
    audit_directory,
)

RACE = """\
import threading

count = 0

def work():
    global count
    count += 1

for _ in range(4):
    threading.Thread(target=work).start()
"""

TEXTBOOK = """\
import sys
import warnings

def inspect_caller():
    frame = sys._getframe()
    local_vars = frame.f_locals
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(local_vars)
"""

SNIPPET = """\
frame = sys._getframe()
local_vars = frame.f_locals
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
"""

THREATS = {
    FreeThreadThreat.FRAME_LOCALS_ACCESS: """\
import sys
def peek():
    for frame in sys._current_frames().values():
        print(frame.f_locals)
""",
    FreeThreadThreat.WARNING_CATCH_CONTEXT: """\
import warnings, threading
def work():
    with warnings.catch_warnings():
        pass
threading.Thread(target=work).start()
""",
    FreeThreadThreat.SHARED_ITERATOR: """\
import threading
numbers = iter(range(100))
def work():
    for number in numbers:
        print(number)
for _ in range(2):
    threading.Thread(target=work).start()
""",
    FreeThreadThreat.ASYNC_THREADING_MIX: """\
import asyncio, threading
async def main():
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: loop.call_soon(print)).start()
asyncio.run(main())
""",
    FreeThreadThreat.SIGNAL_HANDLER_RACE: """\
import signal, threading
lock = threading.Lock()
def handler(signum, frame):
    with lock:
        print("signal")
signal.signal(signal.SIGTERM, handler)
""",
    FreeThreadThreat.EXCEPTION_GROUP_RACE: """\
import threading
CLOSED = RuntimeError("closed")
def read():
    raise CLOSED
for _ in range(4):
    threading.Thread(target=read).start()
""",
}


@pytest.mark.parametrize("source", [TEXTBOOK, SNIPPET], ids=["module", "snippet without imports"])
def test_the_textbook_snippet_has_exactly_two_threats(source):
    findings = FreeThreadDetector("textbook.py").detect(source)
    assert [finding.threat_type for finding in findings] == [
        FreeThreadThreat.FRAME_LOCALS_ACCESS,
        FreeThreadThreat.WARNING_CATCH_CONTEXT,
    ]
    assert [finding.crash_risk for finding in findings] == [True, False]
    lines = source.splitlines()
    assert "f_locals" in lines[findings[0].line_number - 1]
    assert "catch_warnings" in lines[findings[1].line_number - 1]
    assert all(finding.description and finding.recommendation for finding in findings)


@pytest.mark.parametrize("threat", FreeThreadThreat, ids=lambda threat: threat.value)
def test_every_threat_is_found(threat):
    assert threat in [finding.threat_type for finding in FreeThreadDetector().detect(THREATS[threat])]


def test_threats_have_the_names_people_know():
    assert {threat.name: threat.value for threat in FreeThreadThreat} == {
        "FRAME_LOCALS_ACCESS": "frame_locals_access",
        "WARNING_CATCH_CONTEXT": "warning_catch_context",
        "SHARED_ITERATOR": "shared_iterator",
        "ASYNC_THREADING_MIX": "async_threading_mix",
        "SIGNAL_HANDLER_RACE": "signal_handler_race",
        "EXCEPTION_GROUP_RACE": "exception_group_race",
    }


def test_a_finding_says_where_and_how_sure():
    (finding,) = FreeThreadDetector("a.py").detect(THREATS[FreeThreadThreat.SHARED_ITERATOR])
    assert (finding.line_number, finding.code, finding.confidence) == (4, "AET003", "high")
    assert finding.column >= 1 and finding.related
    assert any(item.role == "root-starts" and item.location.line == 7 for item in finding.related)


def test_a_detector_says_nothing_about_other_problems():
    assert audit_code(RACE) and FreeThreadDetector().detect(RACE) == []


@pytest.mark.parametrize(
    ("source", "line"), [("x = (1,\n", 2), ("def f(:\n    pass\n", 1), ("ok = 1\nfor\n", 2), ("(" * 5000, 1)]
)
def test_what_is_no_python_raises_syntax_error_with_its_position(source, line):
    with pytest.raises(SyntaxError) as caught:
        FreeThreadDetector("broken.py").detect(source)
    assert (caught.value.filename, caught.value.lineno) == ("broken.py", line)
    assert caught.value.offset >= 1 and caught.value.msg


def test_audit_code_returns_objects_text_and_sarif():
    report = audit_code(RACE, "counter.py")
    (finding,) = report
    assert (finding.code, finding.line_number, finding.column, finding.confidence) == ("AET101", 7, 5, "high")
    assert finding.location.path == "counter.py" and finding.evidence[0].location.line == 10
    assert str(finding).startswith("counter.py:7:5: error[AET101] ")
    assert report[0] is finding and len(report) == 1 and report.counts() == {"AET101": 1}
    assert "count += 1" in report.to_text() and "help:" in report.to_text()
    sarif = json.loads(report.to_sarif())
    assert sarif["version"] == "2.1.0" and sarif["runs"][0]["results"][0]["ruleId"] == "AET101"
    assert json.loads(report.to_json())[0]["code"] == "AET101"
    assert report.statistics["files"] == 1 and report.statistics["roots"] >= 1
    with pytest.raises(ValueError, match="sarif"):
        report.render("poem")


def test_a_clean_text_gives_an_empty_report_and_a_broken_one_a_finding():
    assert not audit_code("x = 1\n")
    assert audit_code("x = (\n").counts() == {"AETX01": 1}
    assert not audit_code("\ufeffx = 1\n") and not audit_code("# -*- coding: latin-1 -*-\nx = 'é€'\n")


def test_rules_and_confidence_are_chosen_by_argument():
    assert not audit_code(RACE, ignore=["AET101"])
    assert not audit_code(RACE, select=["locks"])
    low = audit_code(TEXTBOOK, min_confidence="low")
    assert len(low) > len(audit_code(TEXTBOOK))
    for mistake in (
        {"select": ["AET999"]},
        {"min_confidence": "certain"},
        {"target_version": "two"},
    ):
        with pytest.raises(ValueError):
            audit_code(RACE, **mistake)
    with pytest.raises(TypeError, match=r"\['AET101'\]"):
        audit_code(RACE, select="AET101")


@pytest.fixture
def tree(tmp_path):
    for folder in ("src", "tools", "src/vendor", "build", ".venv"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "job.py").write_text(RACE)
    return tmp_path


def test_a_tree_is_audited_without_the_excluded_folders(tree):
    assert len(audit_directory(tree)) == 3, "`build` and `.venv` are always left out"
    assert [finding.location.path.rsplit("/", 2)[-2] for finding in audit_directory(tree, ["tools"])] == ["src", "vendor"]
    assert len(audit_directory(tree, exclude_dirs=["tools", "src/vendor/"])) == 1
    assert len(audit_directory(tree / "src" / "job.py")) == 1
    scanned = StaticScanner().scan(tree, exclude_dirs=["tools", "vendor"])
    assert scanned.counts()["AET101"] == 1
    assert StaticScanner(select=["AET101"]).scan_code(RACE).counts() == {"AET101": 1}


def test_the_configuration_of_the_tree_holds_unless_it_is_not_wanted(tree):
    (tree / "aether.toml").write_text('ignore = ["AET101"]\n')
    assert not audit_directory(tree)
    assert len(audit_directory(tree, config=False)) == 3
    (tree / "aether.toml").write_text("no-such-key = 1\n")
    with pytest.raises(ConfigurationError, match="no-such-key"):
        audit_directory(tree)


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        audit_directory(tmp_path / "nowhere")
    assert str(caught.value.filename).endswith("nowhere")


def test_other_threads_go_on_while_a_big_tree_is_audited(tmp_path):
    body = "".join(f"def f{n}(a, b):\n    c = a + b\n    return [c, a, b, {n}]\n\n" for n in range(2000))
    for number in range(8):
        (tmp_path / f"big{number}.py").write_text(body)
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    while not ticks:
        time.sleep(0.001)
    started = time.monotonic()
    report = audit_directory(tmp_path, threads=1)
    ended = time.monotonic()
    stop.set()
    ticker.join()
    assert report.statistics["lines"] == 8 * 8000
    during = [at for at in ticks if started < at < ended]
    # Held, the interpreter would let the ticker run once or twice in all this time.
    assert len(during) > 20, f"{len(during)} ticks in {ended - started:.2f} s"
