"""Drift: what differs between the recorded objects of a stack and the live ones.

`find_drift` reads and compares, for both engines, and returns a `DriftReport`. Nothing is written.
"""

from framework.drift.finding import find_drift
from framework.drift.report import DriftFinding, DriftReport, FindingKind

__all__ = ["DriftFinding", "DriftReport", "FindingKind", "find_drift"]
