"""Fixtures of the fault tests: those of the scenarios."""

from __future__ import annotations

from tests.scenarios.conftest import kube, make_quick_project

__all__ = ["kube", "make_quick_project"]
