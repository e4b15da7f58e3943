"""The linter's speed as ratios: against ruff, against parsing alone, and over one, two and four times the tree.

    python3 aether-bench/benches/ratios.py [FOLDER] [--rounds 15] [--ruff PROGRAM]

FOLDER is the standard library of this interpreter unless given. Programs take turns within a round, and a ratio is
taken within its round, so that what else the machine does hits all of them alike. CPU time is user and system time of
all threads in seconds; memory is the peak resident set. Exit code 0: this measures, and judges nothing.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build():
    for target in (["-p", "aether-lint"], ["-p", "aether-bench", "--example", "parse_only"]):
        subprocess.run(["cargo", "build", "--release", "--quiet", *target], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    return target / "aether-lint", target / "examples" / "parse_only"


def run(command):
    """CPU seconds, wall seconds and peak memory in megabytes of one run."""
    start = time.perf_counter()
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1):
        sys.exit(f"{command[0]} ended with {child.returncode}: run it by hand to see why")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1024


def measure(commands, rounds):
    runs = {name: [] for name in commands}
    for command in commands.values():
        run(command)  # the page cache
    for _ in range(rounds):
        for name in random.sample(list(commands), len(commands)):
            runs[name].append(run(commands[name]))
    return runs


def quartiles(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:5.2f} ({low:.2f}–{high:.2f})"


def table(runs, lines):
    ours = runs["aether-lint"]
    print(f"{'':22} {'CPU s':>7} {'wall s':>7} {'MB':>5}   aether-lint ÷ it: CPU      wall")
    for name, theirs in runs.items():
        cpu = quartiles([a[0] / b[0] for a, b in zip(ours, theirs)])
        wall = quartiles([a[1] / b[1] for a, b in zip(ours, theirs)])
        seconds = [statistics.median(part) for part in zip(*theirs)]
        print(f"{name:22} {seconds[0]:7.3f} {seconds[1]:7.3f} {seconds[2]:5.0f}   {cpu}   {wall}")
    peak = max(memory for _, _, memory in ours)
    print(f"memory: {peak:.0f} MB for {lines:,} lines, {peak / lines * 1e6:.0f} MB per million lines")


def scaling(linter, folder, rounds):
    with tempfile.TemporaryDirectory() as temporary:
        commands = {}
        for copies in (1, 2, 4):
            tree = Path(temporary, str(copies))
            for copy in range(copies):
                shutil.copytree(folder, tree / f"copy{copy}", symlinks=True, ignore=shutil.ignore_patterns("site-packages"))
            commands[f"{copies}x"] = [linter, "check", "--isolated", tree]
        runs = measure(commands, rounds)
    one = statistics.median(cpu for cpu, _, _ in runs["1x"])
    for name, results in runs.items():
        print(f"{name}: {statistics.median(cpu for cpu, _, _ in results) / one:.2f} times the CPU time of 1x")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--ruff", default=shutil.which("ruff"), help="the one on PATH unless given")
    options = parser.parse_args()
    if not options.folder.is_dir():
        sys.exit(f"{options.folder} is no folder: name one that holds Python files")
    linter, parse_only = build()
    commands = {"aether-lint": [linter, "check", "--isolated", options.folder], "parsing alone": [parse_only, options.folder]}
    if options.ruff:
        ruff = [options.ruff, "check", "--no-cache", "--isolated", "--select", "ASYNC", options.folder]
        commands["ruff --select ASYNC"] = ruff
    else:
        print("ruff: not run, it is not on PATH (pip install ruff)", file=sys.stderr)
    files = [path for path in options.folder.rglob("*.py") if "site-packages" not in path.parts]
    lines = sum(path.read_bytes().count(b"\n") for path in files)
    table(measure(commands, options.rounds), lines)
    scaling(linter, options.folder, max(3, options.rounds // 3))


if __name__ == "__main__":
    main()
