"""The magics, in a real kernel driven by nbclient."""

from __future__ import annotations

import pytest

nbclient = pytest.importorskip("nbclient", reason="not run: the extra `jupyter` and nbclient are not installed")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LOAD = "%load_ext aether.jupyter_magic"
SETUP = "import threading\n\ncount = 0\n\ndef work():\n    global count\n    count += 1\n"
START = "workers = [threading.Thread(target=work) for _ in range(4)]\nfor worker in workers:\n    worker.start()\n"


def execute(*cells, allow_errors=False):
    """Runs cells in a fresh kernel; the outputs of each."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=allow_errors)
    client.execute()
    return [cell.outputs for cell in notebook.cells]


def data(outputs, mime):
    return "".join(output["data"].get(mime, "") for output in outputs if "data" in output)


def stream(outputs):
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def errors(outputs):
    return [(output["ename"], output["evalue"]) for output in outputs if output["output_type"] == "error"]


def test_audit_sees_the_cells_before_and_runs_the_cell():
    outputs = execute(
        LOAD,
        "%%audit\n" + SETUP,
        START,
        "%%audit --verbose\n" + SETUP.replace("count += 1", "count = count + 1") + START,
        "%%audit --no-run\nnever_assigned = 1",
        "print('never_assigned' in globals(), count > 0)",
        "%%audit\n%time total = sum(range(10))\ntotal",
    )
    assert "nothing to report" in data(outputs[1], "text/plain")
    text, html = data(outputs[3], "text/plain"), data(outputs[3], "text/html")
    # The line of the magic is line 1, as the notebook counts.
    assert "error[AET102] line 8:" in text and "count = count + 1" in text and "note:" in text
    assert "AET102" in html and "<u><b>count" in html and "<script" not in html
    assert "False True" in stream(outputs[5])
    assert data(outputs[6], "text/plain").endswith("45")


def test_a_race_in_an_old_cell_is_shown_where_its_threads_start():
    outputs = execute(LOAD, SETUP, "x = 1", "%%audit -v\n" + START, "%%audit\nx = 2")
    text = data(outputs[3], "text/plain")
    assert "[AET101] In [2], line 7" in text and "line 2: " in text, text
    assert "nothing to report" in data(outputs[4], "text/plain")


def test_an_exception_in_an_audited_cell_is_the_cells_own():
    outputs = execute(LOAD, "%%audit\nx = 1\nraise KeyError('mine')", "%%audit\nawait nothing", "%%audit --nonsense\n1", allow_errors=True)
    assert errors(outputs[1])[0][0] == "KeyError"
    assert "await" in str(outputs[2]) and "nonsense" in str(outputs[3])


def test_free_threaded_check_reports_and_does_not_run():
    cell = "frame = sys._getframe()\nframe.f_locals\nwith warnings.catch_warnings():\n    ran = True\n"
    outputs = execute(LOAD, "import sys, warnings", "%%free_threaded_check\n" + cell, "'ran' in globals()")
    text = data(outputs[2], "text/plain")
    assert "2 findings" in text and "[AET001] line 3" in text and "[AET002] line 4" in text
    assert data(outputs[3], "text/plain") == "False"


def test_profile_threads_measures_the_cell_as_a_task():
    outputs = execute(
        LOAD,
        "import time\npause = 0.002",
        "%%profile_threads --max-threads 2 --duration 0.2\nlocal_name = pause\ntime.sleep(local_name)",
        "%%profile_threads --max-threads 0\ntime.sleep(pause)",
        "%%profile_threads\n",
        allow_errors=True,
    )
    assert "The peak is" in data(outputs[2], "text/plain") and "srcdoc=" in data(outputs[2], "text/html")
    assert "max_threads" in str(outputs[3])
    assert outputs[4], "an empty cell is refused"


def test_gil_status_is_shown():
    outputs = execute(LOAD, "%gil_status", "%gil_status --full", "%audit?")
    assert "GIL:" in data(outputs[1], "text/plain") and data(outputs[1], "text/html").startswith("<pre")
    assert len(data(outputs[2], "text/plain")) >= len(data(outputs[1], "text/plain"))
