"""Drift: the differences between the recorded objects of a stack and the live ones.

`find_drift` reads the live objects, compares them, and returns a `DriftReport`. It works with both
engines and writes nothing.
"""

from framework.drift.compare import find_drift
from framework.drift.report import DriftFinding, DriftReport, FindingKind

__all__ = ["DriftFinding", "DriftReport", "FindingKind", "find_drift"]
