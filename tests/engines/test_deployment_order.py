"""The order of the Deployments of one model, and the first run of the CLI that it asks for."""

from __future__ import annotations

import pytest

from framework.core.changes import Change, FieldChange, Op
from framework.core.stack import Stack
from framework.engines.cli_steps import CliStep, find_failed_needs, find_first_stage
from framework.engines.deployment_order import (
    find_deployment_waits,
    find_obsolete_autoscalers,
    note_waits,
)
from framework.engines.urns import build_urn, list_model_urns
from framework.kinds.kind import Manifest
from framework.plan import PlanStore
from tests.shipped import SHIPPED


def change(
    name: str,
    op: Op = Op.UPDATE,
    replicas: tuple[int, int] | None = None,
    kind: str = "apps/v1:Deployment",
    model: str = "ranker",
) -> Change:
    fields = (FieldChange("spec.replicas", *replicas),) if replicas else ()
    type_ = f"kubernetes:{kind}"
    urn = build_urn("dev", "p", "", type_, name)
    return Change(urn, type_, name, op, f"ml/{name}", model, fields)


STABLE_SHRINKS = change("ranker", replicas=(10, 8))
CANARY_STARTS = change("ranker-canary", Op.CREATE)


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ([STABLE_SHRINKS, CANARY_STARTS], {"ranker": ["ranker-canary"]}),
        (
            [change("ranker", replicas=(8, 9)), change("ranker-canary", replicas=(2, 1))],
            {"ranker-canary": ["ranker"]},
        ),
        ([change("ranker", replicas=(8, 10)), change("ranker-canary", Op.DELETE)], {}),
        ([STABLE_SHRINKS], {}),
        ([STABLE_SHRINKS, change("ranker-canary", Op.SAME)], {}),
        ([STABLE_SHRINKS, change("other", Op.CREATE, model="other")], {}),
        ([STABLE_SHRINKS, change("settings", Op.CREATE, kind="core/v1:ConfigMap")], {}),
    ],
    ids=["start", "shrink", "abort", "alone", "unchanged", "another model", "another kind"],
)
def test_track_that_shrinks_waits_for_the_other(
    changes: list[Change], waits: dict[str, list[str]]
) -> None:
    names = {item.urn: item.name for item in changes}
    found = find_deployment_waits(changes)
    assert {
        names[urn]: [names[other] for other in before] for urn, before in found.items()
    } == waits


AUTOSCALER_GOES = change("ranker", Op.DELETE, kind="autoscaling/v2:HorizontalPodAutoscaler")


@pytest.mark.parametrize(
    ("deployment", "is_first"),
    [
        (change("ranker", replicas=(6, 2)), True),
        (change("ranker", Op.SAME), True),
        (change("ranker", Op.DELETE), False),
        (change("ranker-v2", Op.CREATE), False),
        (change("ranker", model="other"), False),
    ],
    ids=["changed", "unchanged", "deleted as well", "renamed", "of another model"],
)
def test_autoscaler_is_deleted_first_if_its_deployment_stays(
    deployment: Change, is_first: bool
) -> None:
    found = find_obsolete_autoscalers([deployment, AUTOSCALER_GOES])
    assert found == ((AUTOSCALER_GOES,) if is_first else ())


def test_deployment_that_depends_on_the_shrinking_one_is_not_waited_for() -> None:
    needs = {CANARY_STARTS.urn: ["between"], "between": [STABLE_SHRINKS.urn]}
    assert find_deployment_waits([STABLE_SHRINKS, CANARY_STARTS], needs) == {}


def test_note_says_what_is_waited_for() -> None:
    waits = find_deployment_waits([STABLE_SHRINKS, CANARY_STARTS])
    assert note_waits(STABLE_SHRINKS, waits).note == "once ranker-canary is available"
    assert note_waits(CANARY_STARTS, waits) is CANARY_STARTS


def test_first_run_of_the_cli_has_what_the_growing_track_needs() -> None:
    config, canary_config = (
        change(name, Op.REPLACE, kind="core/v1:ConfigMap") for name in ("config", "canary-config")
    )
    account = change("account", Op.CREATE, kind="core/v1:ServiceAccount")
    gone = change("gone", Op.DELETE, kind="core/v1:Service")
    namespace = change("ml", Op.CREATE, kind="core/v1:Namespace", model="")
    other = change("other", Op.CREATE, model="other")
    changes = [
        namespace, STABLE_SHRINKS, CANARY_STARTS, config, canary_config, account, gone, other,
    ]  # fmt: skip
    steps = [
        CliStep(
            item,
            Manifest(item.name, {}, track="canary" if "canary" in item.name else "stable"),
            None,
            item.op,
        )
        for item in changes
        if item is not gone
    ]
    first = find_first_stage(steps, changes, find_deployment_waits(changes))
    names = {item.name for item in changes if item.urn in first}
    assert names == {"ml", "ranker-canary", "canary-config", "account"}


@pytest.mark.parametrize(
    ("failed", "cause"),
    [
        pytest.param(["ranker-canary"], "ranker-canary", id="the Deployment"),
        pytest.param(["config", "ranker-canary"], "ranker-canary", id="both"),
        pytest.param(["config"], "config", id="its ConfigMap"),
        pytest.param(["service"], "", id="an object that Pods do without"),
        pytest.param(["other-config"], "", id="another model"),
    ],
)
def test_deployment_keeps_its_pods_if_what_it_waits_for_fails_or_is_skipped(
    failed: list[str], cause: str
) -> None:
    config = change("config", Op.CREATE, kind="core/v1:ConfigMap")
    other = change("other-config", Op.CREATE, kind="core/v1:ConfigMap", model="other")
    service = change("service", Op.CREATE, kind="core/v1:Service")
    changes = [STABLE_SHRINKS, CANARY_STARTS, config, other, service]
    steps = [
        CliStep(item, Manifest(item.name, {}, used_by_pods="config" in item.name), None, item.op)
        for item in changes
    ]
    waits = find_deployment_waits(changes)
    causes = find_failed_needs(steps, [item for item in changes if item.name in failed], waits)
    assert {urn: found.name for urn, found in causes.items()} == (
        {STABLE_SHRINKS.urn: cause} if cause else {}
    )


def test_urns_of_a_plan_are_those_that_the_program_registers() -> None:
    plan = PlanStore(SHIPPED).load_one(Stack.of("dev")).require().narrowed_to({"churn"})
    model = "urn:pulumi:dev::modelcatalog::modelcatalog:index:Model"
    urns = dict(list_model_urns(plan, "modelcatalog"))
    assert urns[f"{model}::churn"] == ""
    assert urns[f"{model}$kubernetes:apps/v1:Deployment::churn"] == f"{model}::churn"
