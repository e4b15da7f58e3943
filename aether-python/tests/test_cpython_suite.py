"""CPython's own tests of `ThreadPoolExecutor`, from the installed interpreter, run against `AdaptiveThreadPool`.

Twice: as it is (`Adaptive…`), and with as many threads as tasks ask for (`Fixed…`, `min_workers = max_workers`), where
what depends on the number of threads must hold too. Some installations come without their tests; that is said then.
"""

from __future__ import annotations

import concurrent.futures
import functools
import importlib
import inspect
import unittest

import pytest

from aether.pool import AdaptiveThreadPool

NAMES = "an AdaptiveThreadPool names its threads after itself"
DEFAULT = "the default of max_workers is 32 whatever the machine: it is a bound, not a size"
ON_DEMAND = "threads come when they pay, not one per waiting task; the fixed pool is held to it"
OTHER_SUBJECT = "not about this pool: it runs tests of ProcessPoolExecutor"

EXCEPTIONS = {
    "test_thread_names_default": NAMES,
    "test_default_workers": DEFAULT,
    "FailingInitializerResourcesTest": OTHER_SUBJECT,
}
ADAPTIVE_EXCEPTIONS = {
    "test_saturation": ON_DEMAND,
    "test_threads_terminate": ON_DEMAND,
}

MODULES = ("test_as_completed", "test_init", "test_shutdown", "test_thread_pool", "test_wait")


class AdaptivePool(AdaptiveThreadPool):
    """As it is made by default; a worker more or less is no matter to the tests."""

    def __init__(self, max_workers=32, *args, **options):
        super().__init__(max_workers, *args, **options)


class FixedPool(AdaptiveThreadPool):
    """As many threads as there may be, and those at once."""

    def __init__(self, max_workers=32, **options):
        super().__init__(max_workers, min_workers=max(max_workers, 1), **options)


PRELUDE = """\
import concurrent.futures
from aether.pool import AdaptiveThreadPool
concurrent.futures.ThreadPoolExecutor = AdaptiveThreadPool
"""


def modules():
    """The test modules of this interpreter: one package since 3.12 (and 3.11.5), one file before."""
    try:
        return [importlib.import_module(f"test.test_concurrent_futures.{name}") for name in MODULES]
    except ImportError:
        pass
    try:
        return [importlib.import_module("test.test_concurrent_futures")]
    except ImportError:
        return []


def cases(executor_type):
    """Every test case of a thread pool, as (class, method)."""
    found = []
    for module in modules():
        for name, case in inspect.getmembers(module, inspect.isclass):
            is_case = issubclass(case, unittest.TestCase) and case.__module__ == module.__name__
            if is_case and getattr(case, "executor_type", None) is concurrent.futures.ThreadPoolExecutor:
                ours = type(name, (case,), {"executor_type": executor_type, "__module__": case.__module__})
                methods = unittest.TestLoader().getTestCaseNames(ours)
                found += [pytest.param(ours, method, module, id=f"{name}.{method}") for method in methods]
    return found


def run(case, method, module, monkeypatch):
    monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", case.executor_type)
    if hasattr(module, "assert_python_ok"):
        # Scripts that the tests run in interpreters of their own use our pool too.
        original = module.assert_python_ok

        def with_our_pool(flag, script, *more, **options):
            script = script.replace(case.executor_type.__name__, "ThreadPoolExecutor")
            return original(flag, PRELUDE + script, *more, **options)

        monkeypatch.setattr(module, "assert_python_ok", with_our_pool)
    result = unittest.TestResult()
    case(method).run(result)
    if result.skipped:
        pytest.skip(result.skipped[0][1])
    problems = result.failures + result.errors
    assert not problems, problems[0][1]
    assert result.testsRun == 1


@pytest.mark.parametrize(("case", "method", "module"), cases(AdaptivePool))
def test_adaptive(case, method, module, monkeypatch):
    reason = {**EXCEPTIONS, **ADAPTIVE_EXCEPTIONS}.get(method) or EXCEPTIONS.get(case.__name__)
    if reason:
        pytest.skip(f"exception: {reason}")
    run(case, method, module, monkeypatch)


@pytest.mark.parametrize(("case", "method", "module"), cases(FixedPool))
def test_fixed(case, method, module, monkeypatch):
    reason = EXCEPTIONS.get(method) or EXCEPTIONS.get(case.__name__)
    if reason:
        pytest.skip(f"exception: {reason}")
    run(case, method, module, monkeypatch)


@pytest.mark.skipif(bool(modules()), reason="this interpreter has its tests, and they were run above")
def test_installation_has_tests():
    pytest.skip("NOT RUN: this Python was installed without test.test_concurrent_futures")
