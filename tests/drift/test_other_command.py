"""The check of a state whose locks nobody can read warns if another command wrote it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.cli import drift
from framework.cli.session import Session
from framework.core.stack import Stack
from framework.drift import DriftReport
from framework.engines.base import RecordedObjects


@pytest.mark.parametrize(
    ("before", "after", "warns"), [("", "", False), ("a", "a", False), ("a", "b", True)]
)
def test_state_written_during_the_check_gives_a_warning(
    monkeypatch: pytest.MonkeyPatch, before: str, after: str, warns: bool
) -> None:
    revisions = iter([before, after])

    def read_recorded(session: Session) -> RecordedObjects:
        return RecordedObjects((cast(Any, SimpleNamespace()),), {}, revision=next(revisions))

    session = cast(Session, SimpleNamespace())
    monkeypatch.setattr(drift, "read_recorded", read_recorded)
    recorded = read_recorded(session)
    report = drift._warn_of_other_command(session, DriftReport(Stack.of("prod"), ()), recorded)
    assert any("another command wrote the state" in text for text in report.warnings) is warns
