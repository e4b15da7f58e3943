"""The scripts ``aether`` and ``aether-lint``: the Rust command, with this process's arguments and streams."""

from __future__ import annotations

import os
import signal
import sys

from aether import _native


def main() -> int:
    """Runs the command on ``sys.argv`` and returns its exit code: 0 clean, 1 findings, 2 the run itself failed."""
    # Python's handler only notes a Ctrl-C for later, and there is no later while Rust runs: let it end the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # `profile` and `status` mean this interpreter unless a virtual environment is active or another one is named.
    os.environ.setdefault("AETHER_PYTHON", sys.executable)
    return _native.main(["aether-lint", *sys.argv[1:]])
