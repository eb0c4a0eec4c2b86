"""The forecast of a replacement says how many Pods run while the old and the new Deployment do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from framework.core.changes import Change, FieldChange, Op, Preview
from framework.core.rolling_update import Budget, resolve_replacement
from framework.core.stack import Stack
from framework.output.changes import render_changes
from framework.output.json import build_preview
from framework.plan import PlanStore, StackPlan
from tests.shipped import SHIPPED

RENAMED = FieldChange("metadata.name", "attrition", "churn")


@pytest.mark.parametrize(
    ("replicas", "before", "fewest", "peak", "serving"),
    [
        pytest.param(2, 2, 2, 4, 2, id="as many"),
        pytest.param(3, 2, 3, 5, 2, id="more"),
        pytest.param(2, 4, 2, 6, 2, id="fewer"),
        pytest.param(9, 9, 6, 18, 6, id="autoscaled"),
        pytest.param(2, 0, 2, 2, 0, id="none before"),
        pytest.param(0, 2, 0, 2, 0, id="none after"),
    ],
)
def test_replacement_adds_the_pods_of_both(
    replicas: int, before: int, fewest: int, peak: int, serving: int
) -> None:
    budget = resolve_replacement(replicas, before, fewest)
    assert (budget.peak, budget.minimum_available) == (peak, serving)
    assert budget.waves == (1 if replicas else 0)


def load_plan(**changes: object) -> StackPlan:
    """Returns the plan of dev with changes to the only track of churn."""
    plan = PlanStore(SHIPPED).load_one(Stack.of("dev")).require().narrowed_to({"churn"})
    (model,) = plan.models
    (track,) = model.tracks
    track = replace(track, seconds=600, down_seconds=0, **changes)  # type: ignore[arg-type]
    return replace(plan, models=(replace(model, tracks=(track,)),))


@pytest.mark.parametrize(
    ("fields", "track", "text", "json"),
    [
        pytest.param(
            [RENAMED],
            {},
            "2 replicas beside the 2 of attrition, deleted afterwards: peak 4 Pods, never below 2, "
            "at most 10m",
            (4, 2, 0),
            id="renamed",
        ),
        pytest.param(
            [RENAMED, FieldChange("spec.replicas", 3, 2)],
            {},
            "2 replicas beside the 3 of attrition, deleted afterwards: peak 5 Pods, never below 2, "
            "at most 10m",
            (5, 2, 0),
            id="renamed and smaller",
        ),
        pytest.param(
            [RENAMED],
            {"recreate": True, "budget": Budget(2, 0, 2)},
            "2 replicas beside the 2 of attrition, deleted afterwards: peak 4 Pods, never below 2, "
            "at most 10m",
            (4, 2, 0),
            id="Recreate",
        ),
        pytest.param(
            [RENAMED],
            {"autoscaled": True, "fewest_replicas": 1},
            "autoscaled, with all 2 replicas beside the 2 of attrition, deleted afterwards: peak "
            "4 Pods, never below 1, at most 10m",
            (4, 1, 0),
            id="autoscaled",
        ),
        pytest.param(
            [FieldChange("metadata.namespace", "ml-old", "ml-dev")],
            {},
            "2 replicas beside the 2 of ml-old/churn, deleted afterwards: peak 4 Pods, never below "
            "2, at most 10m",
            (4, 2, 0),
            id="other Namespace",
        ),
        pytest.param(
            [FieldChange("spec.selector.matchLabels.app", "a", "b")],
            {"startup_seconds": 60},
            "2 replicas, the old ones are deleted first: down for about 1m, at most 10m",
            (2, 0, 60),
            id="in its place",
        ),
    ],
)
def test_forecast_of_a_replacement_is_the_same_in_text_and_json(
    fields: list[FieldChange],
    track: dict[str, object],
    text: str,
    json: tuple[int, int, int],
) -> None:
    plan = load_plan(**track)
    type_ = "kubernetes:apps/v1:Deployment"
    change = Change("urn:x", type_, "churn", Op.REPLACE, "ml-dev/churn", "churn", tuple(fields))
    preview = Preview((change,))
    assert text in " ".join(render_changes(preview, plan).split())
    forecast = build_preview(preview, plan, "embedded").forecasts["churn"]
    assert (forecast.peak, forecast.minimum_available, forecast.down_seconds) == json


def test_long_path_of_one_field_begins_a_line_of_its_own() -> None:
    field = FieldChange('metadata.labels["example.com/a-team"]', "old", "new")
    type_ = "kubernetes:core/v1:Namespace"
    change = Change("urn:x", type_, "q-stg", Op.UPDATE, "q-stg", "", (field,), takes_over=True)
    text = render_changes(Preview((change,)), None, needs_consent=lambda change: True)
    assert max(map(len, text.splitlines())) <= 100
    assert text.splitlines()[1].strip() == 'metadata.labels["example.com/a-team"]  old -> new'
