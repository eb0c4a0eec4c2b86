"""An object that is recorded under another URN is renamed, and never deleted as the old one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework.core.changes import Op
from framework.core.stack import Stack as PulumiStack
from framework.engines.base import Request
from framework.engines.embedded.settlement import restore_wanted
from framework.engines.project import load_project
from framework.engines.record_aliases import find_former_urns, with_record_aliases
from framework.engines.state.backend import open_backend
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.state.journal import fold
from framework.engines.state.stack_state import StackState
from framework.engines.urns import build_manifest_urn, build_model_urn, list_model_urns
from framework.plan import Manifest, PlanStore, StackPlan
from framework.plan.manifest import MODEL_TYPE
from tests.engines.fakes import Stack, ops
from tests.shipped import SHIPPED

PROJECT = "modelcatalog"
PROVIDER = "urn:pulumi:dev::modelcatalog::pulumi:providers:kubernetes::cluster::x"


@pytest.fixture(scope="module")
def plan() -> StackPlan:
    return PlanStore(SHIPPED).load_one(PulumiStack.of("dev")).require()


def record_model(plan: StackPlan, model: str, recorded_as: str) -> list[Resource]:
    """Returns the records of a model of the plan, as if its component had another name."""
    component = build_model_urn("dev", PROJECT, recorded_as)
    records = [Resource({"urn": component, "type": MODEL_TYPE})]
    (planned,) = plan.narrowed_to({model}).models
    for manifest in planned.manifests:
        logical_name = recorded_as + manifest.logical_name.removeprefix(model)
        records.append(record(replace(manifest, logical_name=logical_name), component))
    return records


def record(manifest: Manifest, component: str, **fields: Any) -> Resource:
    model = component.rpartition("::")[2]
    urn = build_manifest_urn("dev", PROJECT, model, manifest)
    raw = {"urn": urn, "type": manifest.type_token, "id": manifest.id, "custom": True}
    return Resource({**raw, "parent": component, "provider": PROVIDER, **fields})


def complete(plan: StackPlan, records: list[Resource], *components: str) -> StackPlan:
    request = Request(Path(), plan.stack, frozenset(components) or None, plan=plan)
    completed = with_record_aliases(request, PROJECT, records).plan
    assert completed is not None
    return completed


def test_recorded_plan_is_not_changed(plan: StackPlan) -> None:
    records = [found for name in ("churn", "fraud") for found in record_model(plan, name, name)]
    assert complete(plan, records) == plan


def test_reverted_rename_finds_the_name_that_is_recorded(plan: StackPlan) -> None:
    completed = complete(plan, record_model(plan, "churn", "attrition"))
    (churn,) = completed.narrowed_to({"churn"}).models
    assert churn.previous_name == "attrition"
    assert complete(plan, record_model(plan, "churn", "attrition"), "fraud") == plan


def test_reverted_rename_of_the_cli_has_the_old_object_under_its_own_urn(plan: StackPlan) -> None:
    """The CLI renames the component alone, and leaves the old Deployment to be deleted."""
    component = build_model_urn("dev", PROJECT, "attrition")
    (churn,) = plan.narrowed_to({"churn"}).models
    records = [Resource({"urn": component, "type": MODEL_TYPE})]
    records += [record(manifest, component, delete=True) for manifest in churn.manifests]
    records = [Resource({**found.raw, "urn": found.urn}) for found in records]
    (completed,) = complete(plan, records).narrowed_to({"churn"}).models
    assert completed.previous_name == "attrition"
    lines = restore_wanted(Checkpoint("x", tuple(records)), plan)
    restored = fold(Checkpoint("x", tuple(records)), lines)
    assert {found.pending_delete for found in restored.resources} == {False}


def test_third_name_finds_the_second_one(plan: StackPlan) -> None:
    """churn became attrition, which failed, and is now called fraud, formerly churn."""
    records = record_model(plan, "churn", "attrition")
    # The Deployment that serves is left behind by the replacement that failed.
    records = [
        Resource({**found.raw, "delete": True}) if found.kind == "Deployment" else found
        for found in records
    ]
    renamed = replace(
        plan,
        models=tuple(
            replace(model, previous_name="churn") if model.name == "fraud" else model
            for model in plan.models
            if model.name != "churn"
        ),
    )
    completed = complete(renamed, records)
    assert {m.name: m.previous_name for m in completed.models}["fraud"] == "attrition"


@pytest.mark.parametrize("version", ["", "v1beta1"], ids=["new key", "new version"])
def test_object_is_found_by_its_kind_and_name(plan: StackPlan, version: str) -> None:
    records = record_model(plan, "churn", "churn")
    (churn,) = plan.narrowed_to({"churn"}).models
    (service,) = [manifest for manifest in churn.manifests if manifest.kind == "Service"]
    index = [found.kind for found in records].index("Service")
    former = replace(service, logical_name="churn-public")
    if version:
        former = replace(service, object={**service.object, "apiVersion": version})
    records[index] = record(former, build_model_urn("dev", PROJECT, "churn"))
    (completed,) = complete(plan, records).narrowed_to({"churn"}).models
    urns = {manifest.kind: manifest.former_urn for manifest in completed.manifests}
    assert urns["Service"] == records[index].urn
    assert urns["Deployment"] == ""


def test_object_that_moves_to_another_model_keeps_its_record(plan: StackPlan) -> None:
    metadata = {"name": "shared", "namespace": "ml-dev"}
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    before = record(Manifest("churn/shared", obj), build_model_urn("dev", PROJECT, "churn"))
    after = Manifest("fraud/shared", obj)
    moved = replace(
        plan,
        models=tuple(
            replace(model, manifests=(*model.manifests, after)) if model.name == "fraud" else model
            for model in plan.models
        ),
    )
    (fraud,) = complete(moved, [before]).narrowed_to({"fraud"}).models
    assert fraud.manifests[-1].former_urn == before.urn
    assert before.urn not in {urn for urn, _ in list_model_urns(moved, PROJECT)}


def test_former_urns_are_those_of_the_previous_name(plan: StackPlan) -> None:
    """As Pulumi finds them itself, for a state that Pulumi has not read."""
    (churn,) = plan.narrowed_to({"churn"}).models
    renamed = replace(plan, models=(replace(churn, previous_name="attrition"),))
    records = record_model(plan, "churn", "attrition")
    urns = [urn for urn, _ in list_model_urns(renamed, PROJECT)]
    expected = dict(zip(urns, [found.urn for found in records], strict=True))
    assert find_former_urns(renamed, PROJECT, expected.values()) == expected
    # What has the new URN already is not renamed.
    assert find_former_urns(renamed, PROJECT, {*expected.values(), *urns}) == {}
    assert find_former_urns(plan, PROJECT, expected.values()) == {}


def test_former_urn_of_a_renamed_key_is_that_of_the_record(plan: StackPlan) -> None:
    (churn,) = plan.narrowed_to({"churn"}).models
    (service,) = [manifest for manifest in churn.manifests if manifest.kind == "Service"]
    component = build_model_urn("dev", PROJECT, "churn")
    former = record(replace(service, logical_name="churn-public"), component).urn
    planned = replace(
        plan, models=(replace(churn, manifests=(replace(service, former_urn=former),)),)
    )
    assert find_former_urns(planned, PROJECT, {component, former}) == {
        build_manifest_urn("dev", PROJECT, "churn", service): former
    }


# A program without a plan: at least nothing that is in use is deleted.

A = """
    m = Model('a')
    c = config_map('a-config', parent=m)
    deployment('a', parent=m, depends_on=[c])
"""
B = """
    m = Model('b', pulumi.ResourceOptions(aliases=[pulumi.Alias(name='a')]))
    c = config_map('b-config', parent=m)
    deployment('b', 'v2', parent=m, depends_on=[c])
"""


@pytest.mark.parametrize("failing", ["refused", "bad"])
@pytest.mark.parametrize("restores", [True, False])
def test_revert_of_a_failed_rename_keeps_the_deployment(
    stack: Stack, failing: str, restores: bool
) -> None:
    stack.program(A)
    stack.up()
    getattr(stack.cluster, failing).add("ns/b-config" if failing == "refused" else "ns/b")
    stack.program(B)
    assert stack.up().failures
    getattr(stack.cluster, failing).clear()
    if restores:
        restore(stack, "Deployment ns/a", "ConfigMap ns/a-config")
    stack.program(A)
    assert stack.up().failures == ()
    assert {"Deployment ns/a", "ConfigMap ns/a-config"} <= {*stack.cluster.ids()}
    assert ("delete", "Deployment ns/a") not in stack.cluster.log
    assert stack.preview().clean


def restore(stack: Stack, *objects: str) -> None:
    """Does what a command with a plan does first."""
    manifests = []
    for text in objects:
        kind, _, name = text.partition(" ")
        namespace, _, name = name.partition("/")
        version = "apps/v1" if kind == "Deployment" else "v1"
        metadata = {"name": name, "namespace": namespace}
        manifests.append(
            Manifest(name, {"apiVersion": version, "kind": kind, "metadata": metadata})
        )
    project = load_project(stack.root)
    state = StackState(project, open_backend(project, "dev"))
    plan: Any = type("Plan", (), {"manifests": manifests})
    state.record(*restore_wanted(state.get_current(), plan))
    state.close()


def test_renamed_resource_of_one_object_keeps_the_object(stack: Stack) -> None:
    stack.program("config_map('one', object_name='shared')")
    stack.up()
    stack.program("config_map('two', object_name='shared')")
    assert Op.DELETE.value not in ops(stack.preview()).values()
    stack.up()
    assert stack.cluster.ids() == ["ConfigMap ns/shared"]
    assert stack.preview().clean
    stack.destroy()
    assert stack.cluster.ids() == []
