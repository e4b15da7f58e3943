"""What the suite expects: `aether` is installed (or on the path) with its native module."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def rapid_switching():
    """Threads take turns about five thousand times as often as usual: races that need bad luck get it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
