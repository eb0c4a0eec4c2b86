"""Drift: the differences between the desired, recorded and live objects of a stack.

`find_drift` reads the live objects, compares them, and returns a `DriftReport`. It works with both
engines and writes nothing.
"""

from framework.drift.compare import find_drift
from framework.drift.report import DriftReport, Finding, FindingKind

__all__ = ["DriftReport", "Finding", "FindingKind", "find_drift"]
