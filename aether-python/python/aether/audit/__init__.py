"""Finds races and free-threading hazards in source code, without running it.

>>> from aether.audit import audit_code
>>> report = audit_code("import threading\\ncount = 0\\n...")
>>> print(report.to_text())
"""

from __future__ import annotations

from aether._native import ConfigurationError
from aether.audit.free_thread_detector import FreeThreadDetector, FreeThreadFinding, FreeThreadThreat
from aether.audit.report import AuditReport, Evidence, Finding, Location
from aether.audit.scanner import StaticScanner, audit_code, audit_directory

__all__ = [
    "AuditReport",
    "ConfigurationError",
    "Evidence",
    "Finding",
    "FreeThreadDetector",
    "FreeThreadFinding",
    "FreeThreadThreat",
    "Location",
    "StaticScanner",
    "audit_code",
    "audit_directory",
]
