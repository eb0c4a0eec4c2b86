"""The check of a state whose locks nobody can read warns if another command wrote it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.cli import drift
from framework.core.errors import EngineError
from framework.core.stack import Stack
from framework.drift import DriftReport
from framework.drift.report import Finding, FindingKind
from framework.engines.base import RecordedObjects

REPORT = DriftReport(
    Stack.of("prod"), (Finding(FindingKind.MISSING, "kubernetes:core/v1:Service", "ml/chat"),)
)


def warn(before: str, after: str | EngineError) -> DriftReport:
    def read_revision(request: Any) -> str:
        if isinstance(after, EngineError):
            raise after
        return after

    # Only the revision is read again: to settle the state once more would need the cluster.
    engine = SimpleNamespace(read_revision=read_revision)
    session = cast(Any, SimpleNamespace(engine=engine, request=None))
    recorded = RecordedObjects((), {}, revision=before)
    return drift._warn_of_other_command(session, REPORT, recorded)


@pytest.mark.parametrize(
    ("before", "after", "warns"), [("", "", False), ("a", "a", False), ("a", "b", True)]
)
def test_state_written_during_the_check_gives_a_warning(
    before: str, after: str, warns: bool
) -> None:
    report = warn(before, after)
    assert any("another command wrote the state" in text for text in report.warnings) is warns


def test_state_that_cannot_be_read_again_does_not_end_the_check() -> None:
    report = warn("a", EngineError("pulumi stack export: SlowDown"))
    assert (report.findings, report.problems) == (REPORT.findings, ())
    (warning,) = report.warnings
    assert "could not be read again" in warning
    assert "SlowDown" in warning
