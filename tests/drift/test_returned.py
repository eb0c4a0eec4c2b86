"""A field that comes back after `up` is named, with what to do about it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import datetime

import pytest
import yaml

from framework.core.stack import Stack
from framework.drift.report import DriftReport, Finding, FindingKind
from framework.drift.returned import warn_about_returned

FIRST = datetime.fromisoformat("2026-11-25T03:00:00Z")
UP, LATER, NEXT_DAY = "2026-11-25T09:00:00Z", "2026-11-25T09:00:04Z", "2026-11-26T09:00:00Z"


def find(kind: FindingKind = FindingKind.ADDED, **fields: str) -> Finding:
    values = {"path": "spec.paused", "manager": "mesh", "applied": UP, "time": LATER, **fields}
    found = Finding(kind, "kubernetes:apps/v1:Deployment", "ml/a", id="1", live=True)
    return replace(found, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("finding", "first", "is_named"),
    [
        pytest.param(find(), None, True, id="at once"),
        pytest.param(find(time=NEXT_DAY), FIRST, True, id="found before and after `up`"),
        pytest.param(find(manager="kubectl-edit", time=NEXT_DAY), FIRST, True, id="by a script"),
        pytest.param(find(time=UP), None, True, id="in the second of `up`"),
        pytest.param(find(time=UP), FIRST, True, id="found before, in the second of `up`"),
        pytest.param(find(manager="kubectl-edit"), None, False, id="by a person"),
        pytest.param(find(manager="k9s"), None, False, id="by a person with k9s"),
        pytest.param(find(manager="node-fetch"), None, False, id="by a person with Lens"),
        pytest.param(find(manager="Mozilla"), None, False, id="by a person with a browser"),
        pytest.param(find(manager="k9s", time=UP), FIRST, True, id="by a person twice"),
        pytest.param(find(manager="lenses-operator"), None, True, id="named like a client"),
        pytest.param(find(time=NEXT_DAY), None, False, id="a day later"),
        pytest.param(find(time="2026-11-24T09:00:00Z"), FIRST, False, id="before `up`"),
        pytest.param(find(manager=""), FIRST, False, id="by nobody that is known"),
        pytest.param(find(path=""), FIRST, False, id="whole object"),
        pytest.param(find(applied=""), FIRST, False, id="never applied"),
    ],
)
def test_field_that_comes_back_is_named(
    finding: Finding, first: datetime | None, is_named: bool
) -> None:
    report = DriftReport(Stack.of("prod"), (finding,), warnings=("warning: other",))
    since = {"1": first} if first else {}
    warnings = warn_about_returned(report, since).warnings
    assert warnings[0] == "warning: other"
    assert len(warnings) == (2 if is_named else 1)


@pytest.mark.parametrize("is_known", [True, False], ids=["history", "no history"])
def test_warning_names_the_objects_once_and_the_next_step(is_known: bool) -> None:
    findings = (*(find() for _ in range(5)), find(FindingKind.CHANGED))
    since = {"1": FIRST} if is_known else {}
    added, changed = warn_about_returned(DriftReport(Stack.of("prod"), findings), since).warnings
    when = "again after the last `up`" if is_known else "within a minute after the last `up`"
    assert f"and 2 more: mesh wrote spec.paused {when}" in added
    assert ("may come back" in added, "is likely to do so" in added) == (not is_known, is_known)
    assert ("if mesh is a controller, stop it" in changed) == (not is_known)
    assert "drift.injectors of environment.yaml: {manager: mesh, path: spec.paused," in added
    assert "stop it, keep its value with `take`, or accept" in changed


@pytest.mark.parametrize(
    "path",
    [
        'metadata.annotations["cloud.google.com/neg-status"]',
        "spec.template.spec.containers[istio-proxy]",
        'metadata.labels["it\'s: a # {key}"]',
    ],
)
@pytest.mark.parametrize("manager", ["glbc", 'a "manager": x', "12"])
def test_advised_injector_is_yaml(path: str, manager: str) -> None:
    finding = replace(find(), path=path, manager=manager)
    (warning,) = warn_about_returned(
        DriftReport(Stack.of("prod"), (finding,)), {"1": FIRST}
    ).warnings
    advice = yaml.safe_load(warning.partition("environment.yaml: ")[2])
    assert advice == {"manager": manager, "path": path, "reason": "say why"}


def test_check_does_not_load_the_yaml_editor() -> None:
    program = (
        "import sys, framework.drift.returned; sys.exit('framework.edits.yaml_edit' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
