"""Runs a Python workload on real threads and reports what it counted. Standard library only, Python >= 3.8.

`aether-bench` carries this file and talks to it over standard input and output, one JSON object a line:

    -> {"threads": 4, "warm_ns": ..., "measure_ns": ..., "window_ns": ..., "hard_ns": ..., "rate": null}
    <- {"kind": "ready", "tids": [...]}            every thread exists, none works yet
    <- {"kind": "result", "workers": [...], ...}     or {"kind": "error", "what": ..., "traceback": ...}

Deadlines live in the workers: 64 threads that fight for the GIL starve any coordinator. Hangs are the parent's business.
A workload that raises, exits, prints or forks gives an error and never a number.
"""

import sys

if sys.version_info < (3, 8):
    sys.exit("Python 3.8 or later is needed; this is %d.%d" % sys.version_info[:2])

import ast
import faulthandler
import importlib.util
import inspect
import io
import itertools
import json
import os
import queue
import tempfile
import threading
import time
import traceback

QUOTA = 3  # windows every worker notes before the run may end
KEPT = 20000  # durations kept per run, over all workers

clock = time.perf_counter_ns
cpu_clock = time.thread_time_ns


class Refused(BaseException):
    """Raised into a workload that prints. Not an Exception: workloads catch those."""


class Guard:
    """Notices what a workload must not do while it is measured."""

    def __init__(self):
        self.active = False
        self.what = None
        self.trace = ""

    def report(self, what, trace):
        if self.what is None:
            self.what, self.trace = what, trace

    def before_fork(self):
        if self.active:
            self.report("fork", workload_stack())

    def in_forked_child(self):
        if self.active:
            os._exit(0)  # Or there would be two of us, answering the same commands.


def is_ours(file):
    """Frames of this file, and of the machinery that imports a script for it, tell nobody anything."""
    return file == __file__ or file.startswith("<frozen importlib")


def workload_traceback():
    """The exception being handled, from the script's first frame on."""
    kind, error, frames = sys.exc_info()
    while frames is not None and is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(kind, error, frames))


def workload_stack():
    """Where the calling worker is, from the script's first frame on."""
    frames = traceback.extract_stack()
    while frames and is_ours(frames[-1].filename):
        frames.pop()
    ours = [at for at, frame in enumerate(frames) if is_ours(frame.filename)]
    return "".join(traceback.format_list(frames[ours[-1] + 1 :] if ours else frames))


class RefusingStdout(io.TextIOBase):
    """Stands in for `sys.stdout` while the workload is measured."""

    def __init__(self, guard):
        self.guard = guard

    def writable(self):
        return True

    def write(self, text):
        self.guard.report("print", workload_stack())
        raise Refused(text)


def load(path, function, setup):
    """Returns the callable to measure."""
    with open(path, "rb") as file:
        source = file.read()
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    sys.argv = [path]
    tree = ast.parse(source, path)
    if function is None and "workload" in top_level_names(tree):
        function = "workload"
    if function is None and setup is None:
        code = compile(tree, path, "exec")

        def body():
            exec(code, {"__name__": "__main__", "__file__": path})

        return body
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if setup is not None:
        find(module, setup, path)()
    return checked(find(module, function or "workload", path), path)


def top_level_names(tree):
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name


def find(module, name, path):
    found = getattr(module, name, None)
    if not callable(found):
        raise LookupError("%s defines no function %r" % (path, name))
    return found


def checked(function, path):
    for test, kind in (
        (inspect.iscoroutinefunction, "a coroutine function"),
        (inspect.isgeneratorfunction, "a generator function"),
        (inspect.isasyncgenfunction, "an asynchronous generator function"),
    ):
        if test(function):
            raise TypeError("%s: %r is %s: calling it runs nothing" % (path, function.__name__, kind))
    return function


class Run:
    """One measurement: what the workers of a run share."""

    def __init__(self, order, workload, guard):
        self.threads = order["threads"]
        self.warm = order["warm_ns"]
        self.length = order["warm_ns"] + order["measure_ns"]
        self.hard = order["hard_ns"]
        self.window = order["window_ns"]
        self.rate = order["rate"]
        self.workload = workload
        self.guard = guard
        self.kept = max(64, KEPT // self.threads)
        self.barrier = threading.Barrier(self.threads + 1)
        self.reports = queue.SimpleQueue()
        self.epoch = 0
        self.arrived = []  # list.append is atomic with and without the GIL
        self.quota_met = []
        self.end = None  # known once all have met it
        self.noted = []  # workers with a mark past the end; they work on until all have one
        self.begin = None  # when the last worker arrived
        self.tickets = itertools.count()
        self.ticket_lock = threading.Lock()

    def work(self, worker):
        try:
            self.reports.put(("ready", threading.get_native_id()))
            self.barrier.wait()
            loop = self.closed_loop if self.rate is None else self.open_loop
            self.reports.put(("done", loop(worker)))
        except Refused:
            self.fail(worker, "print")
        except SystemExit:
            self.fail(worker, "exit")
        except BaseException:
            self.fail(worker, "raise")

    def fail(self, worker, what):
        self.reports.put(("error", (worker, what, workload_traceback())))

    def arrive(self):
        now = clock() - self.epoch
        self.arrived.append(now)
        if len(self.arrived) == self.threads:
            self.begin = now
        return now

    def closed_loop(self, worker):
        workload, guard, epoch, window = self.workload, self.guard, self.epoch, self.window
        started = self.arrive()
        marks = [(started, 0, cpu_clock())]
        durations, stride, count, begin = [], 1, 0, None
        next_mark = started + window
        while True:
            workload()
            now = clock() - epoch
            count += 1
            if begin is not None and started >= begin + self.warm and count % stride == 0:
                durations.append(now - started)
                if len(durations) > self.kept:
                    durations = durations[::2]
                    stride *= 2
            started = now
            if now >= next_mark:
                next_mark = now + window
                marks.append((now, count, cpu_clock()))
                begin = self.begin
                if len(marks) == QUOTA + 1:
                    self.quota_met.append(worker)
                    if len(self.quota_met) == self.threads:
                        self.end = max(now, self.begin + self.length)
                end = self.end
                if now >= self.hard or (end is not None and now >= end):
                    break
            if guard.what is not None:
                break
        self.noted.append(worker)
        self.work_on()
        return {"marks": marks, "service": durations, "sojourn": []}

    def work_on(self):
        """Keeps the load up for those that still measure: without it the last windows of the slow look fast."""
        while len(self.noted) < self.threads and self.guard.what is None and clock() - self.epoch < self.hard:
            self.workload()

    def open_loop(self, worker):
        marks = [(self.arrive(), 0, cpu_clock())]
        service, sojourn = [], []
        while self.guard.what is None:
            with self.ticket_lock:
                due = int(next(self.tickets) * 1e9 / self.rate)
            if due >= self.length:
                break
            early = due - (clock() - self.epoch)
            if early > 0:
                time.sleep(early / 1e9)
            started = clock() - self.epoch
            self.workload()
            now = clock() - self.epoch
            if due >= self.warm:
                service.append(now - started)
                sojourn.append(now - due)
        marks.append((clock() - self.epoch, len(service), cpu_clock()))
        return {"marks": marks, "service": service, "sojourn": sojourn}

    def execute(self, reply):
        for worker in range(self.threads):
            threading.Thread(target=self.work, args=(worker,), daemon=True).start()
        reply({"kind": "ready", "tids": [self.reports.get()[1] for _ in range(self.threads)]})
        self.guard.active = True
        self.epoch = clock()
        self.barrier.wait()
        workers = []
        while len(workers) < self.threads:
            kind, content = self.reports.get()
            if kind == "error":
                return failure(*content)
            workers.append(content)
        self.guard.active = False
        return {"kind": "result", "workers": workers, "gil": gil_enabled()}


def failure(worker, what, trace):
    return {"kind": "error", "what": what, "worker": worker, "traceback": trace}


def gil_enabled():
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def hello():
    import platform
    import sysconfig

    return {
        "kind": "hello",
        "version": "%s %s" % (platform.python_implementation(), platform.python_version()),
        "path": sys.executable,
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil": gil_enabled(),
    }


def private_channel():
    """Moves the protocol away from the workload's standard input and output."""
    commands = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    printed = tempfile.TemporaryFile()
    os.dup2(printed.fileno(), 1)

    def reply(message):
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    return commands, reply


def printed_bytes():
    """What went to descriptor 1 past `sys.stdout`, from C or by os.write."""
    return os.fstat(1).st_size


def measure(order, workload, guard, reply):
    honest, sys.stdout = sys.stdout, RefusingStdout(guard)
    before = printed_bytes()
    answer = Run(order, workload, guard).execute(reply)
    sys.stdout = honest
    if answer["kind"] == "error" and answer["what"] not in ("raise", "exit"):
        guard.report(answer["what"], answer["traceback"])
    if guard.what is None and answer["kind"] == "result" and printed_bytes() != before:
        guard.report("print", "(written to descriptor 1 directly, not through sys.stdout)")
    if guard.what is not None:
        return failure(answer.get("worker", 0), guard.what, guard.trace)
    return answer


def main():
    script, function, setup = sys.argv[1:4]
    faulthandler.enable()
    commands, reply = private_channel()
    guard = Guard()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=guard.before_fork, after_in_child=guard.in_forked_child)
    pid = os.getpid()
    try:
        workload = load(script, function or None, setup or None)
    except BaseException:
        reply(failure(0, "load", workload_traceback()))
        os._exit(0)
    if os.getpid() != pid:
        os._exit(0)  # A child that the setup forked and that came back here.
    sys.stdout.flush()
    reply(hello())
    for line in commands:
        answer = measure(json.loads(line), workload, guard, reply)
        reply(answer)
        if answer["kind"] == "error":
            break
    os._exit(0)  # Threads that hang must not keep us.


if __name__ == "__main__":
    main()
