"""Screens: every line fits the width, and nothing is repeated."""

from __future__ import annotations

import sys

import pytest

from framework.core.changes import Change, Failure, FieldChange, Op, Preview, Result
from framework.core.stack import Stack
from framework.drift import DriftReport, Finding, FindingKind
from framework.drift.run import DriftRun
from framework.output.changes import render_changes, render_messages, render_result
from framework.output.drift import render_drift
from framework.output.text import (
    WIDTH,
    render_wrapped,
    screen_width,
)
from framework.output.values import render_field, render_values
from framework.plan import PlanStore, StackPlan
from tests.shipped import SHIPPED

LONG = "a-model-with-a-name-of-forty-characters"


@pytest.fixture(scope="module")
def plan() -> StackPlan:
    return PlanStore(SHIPPED).load_one(Stack.of("staging")).require()


def make_change(kind: str, op: Op, component: str, **more: object) -> Change:
    name = str(more.pop("name", component))
    return Change(
        urn=f"urn:{kind}:{name}",
        type=f"kubernetes:apps/v1:{kind}",
        name=name,
        op=op,
        object=f"ml-staging/{name}",
        component=component,
        **more,  # type: ignore[arg-type]
    )


def is_narrow(text: str) -> bool:
    return all(len(line) <= WIDTH for line in text.splitlines())


KINDS = ("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "PodDisruptionBudget")


@pytest.mark.parametrize("op", [Op.CREATE, Op.DELETE])
def test_long_list_of_kinds_is_wrapped(plan: StackPlan, op: Op) -> None:
    changes = [make_change(kind, op, LONG, name=f"{LONG}-canary") for kind in KINDS]
    text = render_changes(Preview(tuple(changes)), plan)
    assert is_narrow(text)
    assert all(kind in text for kind in KINDS)


def test_changed_file_shows_only_the_lines_that_differ(plan: StackPlan) -> None:
    old = "".join(f"line {number}\n" for number in range(50))
    field = FieldChange("data[model.yaml]", old, old.replace("line 30\n", "line thirty\n"))
    change = make_change("ConfigMap", Op.REPLACE, "sentiment", fields=(field,))
    text = render_changes(Preview((change,)), plan)
    assert "-line 30\n" in text
    assert "+line thirty\n" in text
    assert "line 29" not in text


def test_long_values_are_below_their_path(plan: StackPlan) -> None:
    field = FieldChange(f"spec.template.spec.containers[{LONG}].command", "a" * 70, "b" * 70)
    change = make_change("Deployment", Op.UPDATE, LONG, fields=(field, field))
    text = render_changes(Preview((change,)), plan)
    assert is_narrow(text)
    assert " -> bbb" in text


def test_consent_is_shown_only_if_needed(plan: StackPlan) -> None:
    preview = Preview((make_change("Service", Op.DELETE, "old-ranker"),))
    assert "needs YES=1" in render_changes(preview, plan, needs_consent=lambda change: True)
    assert "needs YES=1" not in render_changes(preview, plan)


def test_messages_are_wrapped_line_by_line() -> None:
    text = render_messages([f"warning: {'words ' * 30}\nand more"])
    assert is_narrow(text)
    assert text.splitlines()[-1] == "  and more"


def test_note_names_its_objects(plan: StackPlan) -> None:
    gone = make_change("Service", Op.DELETE, "sentiment", note="is gone from the cluster")
    other = make_change("Ingress", Op.DELETE, "sentiment")
    text = render_changes(Preview((gone, other)), plan)
    assert "Service ml-staging/sentiment: is gone from the cluster" in text


def test_narrowed_list_counts_what_it_did_not_look_at(plan: StackPlan) -> None:
    changes = [make_change("Service", Op.SAME, name) for name in ("sentiment", "fraud", "whisper")]
    text = render_changes(Preview(tuple(changes)), None, components={"fraud"})
    assert text == "  1 unchanged, 2 not looked at"
    # What is planned and not recorded counts as well.
    missing = sum(len(model.manifests) for model in plan.models if model.name != "fraud")
    text = render_changes(Preview(()), plan, components={"fraud"})
    assert text == f"  0 unchanged, {missing} not looked at"


def test_first_rollout_has_no_waves(plan: StackPlan) -> None:
    change = make_change("Deployment", Op.CREATE, "sentiment")
    text = render_changes(Preview((change,)), plan)
    assert "at most" in text
    assert "wave" not in text


def test_drift_report_fits_the_width(plan: StackPlan) -> None:
    path = f"spec.template.spec.containers[model].env[{LONG.upper()}]"
    finding = Finding(
        FindingKind.ADDED,
        "kubernetes:apps/v1:Deployment",
        "ml-staging/sentiment",
        path=path,
        live="x" * 80,
        manager="kubectl-set",
        time="2026-11-22T17:40:00Z",
    )
    report = DriftReport(plan.stack, (finding,), objects=1, models=1)
    text = render_drift(DriftRun("staging", report.checked, (report,), seconds=1.0))
    assert is_narrow(text)
    assert "by kubectl-set, 2026-11-22 17:40" in text


def test_failed_rollout_names_its_deployment_once_and_the_image_position(
    plan: StackPlan,
) -> None:
    change = make_change("Deployment", Op.UPDATE, "sentiment")
    reason = f"Deployment sentiment did not roll out within 6m20s: {'Pod x is stuck; ' * 8}"
    result = Result((change,), (Failure(change, reason, rollout=True),))
    text = render_result(result, plan, 3.0, {})
    assert is_narrow(text)
    assert text.count("Deployment sentiment") == 1
    assert "catalog/sentiment.yaml:" in text


@pytest.mark.parametrize(
    ("columns", "is_terminal", "width"),
    [
        pytest.param("80", True, 80, id="terminal"),
        pytest.param("20", True, 60, id="narrow"),
        pytest.param("999", True, 200, id="wide"),
        pytest.param("80", False, WIDTH, id="pipe"),
    ],
)
def test_text_is_wrapped_to_the_terminal(
    columns: str, is_terminal: bool, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    assert screen_width() == width
    longest = max(map(len, render_wrapped("word " * 100).splitlines()))
    assert width - 5 < longest <= width


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (None, "", 'added ""'),
        ("", None, 'removed (was "")'),
        ("", " ", '"" -> " "'),
        (None, "a  b", "added a b"),
    ],
)
def test_empty_value_is_shown_in_quotes(old: str | None, new: str | None, shown: str) -> None:
    assert render_values(FieldChange("env[EMPTY]", old, new)) == shown


def test_diff_of_long_lines_shows_where_they_differ() -> None:
    old, new = (f"a\n{'x' * 500}{word}{'y' * 500}" for word in ("old", "new"))
    text = render_field("data.conf", FieldChange("data.conf", old, new))
    _, removed, added = text.splitlines()
    assert ("old" in removed, "new" in added) == (True, True)
    assert max(map(len, text.splitlines())) <= 205
