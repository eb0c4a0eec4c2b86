"""Warnings of the Pulumi program are printed once, and are in the JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from framework.cli import deploy, drift
from framework.cli.session import Session
from framework.core.changes import Change, Op, Preview, Result
from framework.core.stack import Stack
from framework.drift import DriftReport
from framework.engines.base import RecordedObject, RecordedObjects, Request
from framework.plan import PlanStore
from tests.shipped import SHIPPED

WARNINGS = ("warning: no GPU nodes",)
CHANGE = Change(
    "urn:x", "kubernetes:core/v1:Service", "churn", Op.UPDATE, "ml-dev/churn", component="churn"
)


RECORDED = RecordedObject(
    "urn:x", CHANGE.type, CHANGE.object, "churn", "", "", (), inputs={}, outputs={}
)


class WarningEngine:
    """Changes one object; warns in its preview, and again with one more warning in its result."""

    name = "embedded"

    def preview(self, request: Request) -> Preview:
        return Preview((CHANGE,), {}, WARNINGS)

    def recorded_objects(self, request: Request, **options: bool) -> RecordedObjects:
        return RecordedObjects((RECORDED,), {}, WARNINGS)

    def check_refresh(self, request: Request) -> None:
        return None

    def up(self, request: Request, confirm: Any, on_progress: Any) -> Result:
        assert confirm(self.preview(request))
        return Result((CHANGE,), messages=(*WARNINGS, "warning: slow disk"))


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    @contextmanager
    def open_session(*arguments: object, **options: object) -> Iterator[Session]:
        engine: Any = WarningEngine()
        yield Session(
            PlanStore(SHIPPED).load_one(Stack.of("dev")).require(),
            engine,
            "as requested",
            Request(SHIPPED, Stack.of("dev")),
            deploys=True,
        )

    def find_drift(request: Request, recorded: RecordedObjects, **more: object) -> DriftReport:
        return DriftReport(request.stack, (), objects=1, models=1, warnings=recorded.messages)

    for module in (deploy, drift):
        monkeypatch.setattr(module, "open_session", open_session)
    monkeypatch.setattr(drift, "find_drift", find_drift)
    return argparse.Namespace(
        verb="up",
        environment="dev",
        yes=True,
        json=False,
        model=None,
        out=None,
        why=False,
        plan=None,
    )


@pytest.mark.parametrize("run", [deploy.run_preview, drift.run_drift])
def test_preview_and_drift_print_warnings_once(
    run: Callable[..., int], options: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    run(SHIPPED, options)
    assert capsys.readouterr().out.count(WARNINGS[0]) == 1
    options.json = True
    run(SHIPPED, options)
    assert json.loads(capsys.readouterr().out)["messages"] == list(WARNINGS)


def test_up_prints_each_warning_once(
    options: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.run_up(SHIPPED, options) == 0
    output = capsys.readouterr().out
    assert [output.count(text) for text in (WARNINGS[0], "warning: slow disk")] == [1, 1]
