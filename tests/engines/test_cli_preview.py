"""The change list of the CLI's preview, where the list of the CLI itself has gaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.changes import Op
from framework.core.errors import EngineError
from framework.core.stack import Stack
from framework.engines.base import Request
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_preview import preview_stack
from framework.engines.cli_stack import CliStack
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.urns import build_manifest_urn, build_model_urn
from framework.kube.provider import KubernetesProvider
from framework.plan import ModelPlan, PlanStore, StackPlan
from framework.plan.manifest import MODEL_TYPE
from tests.engines.fakes import FAKE_CLI, FakeCluster
from tests.shipped import SHIPPED

PROJECT = "modelcatalog"
PROVIDER = "urn:pulumi:dev::modelcatalog::pulumi:providers:kubernetes::cluster"


@pytest.fixture(scope="module")
def plan() -> StackPlan:
    whole = PlanStore(SHIPPED).load_one(Stack.of("dev")).require()
    return replace(whole, models=whole.narrowed_to({"churn"}).models)


def rename(model: ModelPlan, name: str) -> ModelPlan:
    """Returns a model under another name, its objects included."""
    manifests = []
    for manifest in model.manifests:
        metadata = manifest.object["metadata"]
        metadata = {**metadata, "name": name + metadata["name"].removeprefix(model.name)}
        logical_name = name + manifest.logical_name.removeprefix(model.name)
        body = {**manifest.object, "metadata": metadata}
        manifests.append(replace(manifest, logical_name=logical_name, object=body))
    return replace(model, name=name, manifests=tuple(manifests))


def record(plan: StackPlan) -> list[Resource]:
    """Returns the records of a plan."""
    records: list[dict[str, Any]] = [{"urn": PROVIDER, "custom": True, "id": "1", "inputs": {}}]
    records[0]["type"] = "pulumi:providers:kubernetes"
    for model in plan.models:
        component = build_model_urn("dev", PROJECT, model.name)
        records.append({"urn": component, "custom": False, "type": MODEL_TYPE})
    for name, manifest in plan.list_manifests():
        inputs = manifest.build_inputs()
        raw = {"urn": build_manifest_urn("dev", PROJECT, name, manifest), "custom": True}
        raw |= {"type": manifest.type_token, "id": manifest.id, "inputs": inputs}
        raw |= {"outputs": {**inputs, "__inputs": inputs}, "provider": f"{PROVIDER}::1"}
        records.append({**raw, "parent": build_model_urn("dev", PROJECT, name)})
    return [Resource(raw) for raw in records]


@pytest.mark.parametrize("by_key", [False, True], ids=["previousName", "renamed key"])
@pytest.mark.parametrize(
    "in_memory", [True, False], ids=["settled in memory", "pulumi ended early"]
)
def test_renamed_object_is_not_deleted_where_the_list_has_gaps(
    plan: StackPlan, in_memory: bool, by_key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CLI lists nothing here, so the former URNs come from the plan."""
    (churn,) = plan.models
    if by_key:
        urns = [build_manifest_urn("dev", PROJECT, "churn", item) for item in churn.manifests]
        manifests = [
            replace(item, logical_name=f"{item.logical_name}-key", former_urn=urn)
            for item, urn in zip(churn.manifests, urns, strict=True)
        ]
        planned = replace(plan, models=(replace(churn, manifests=tuple(manifests)),))
    else:
        planned = replace(plan, models=(replace(rename(churn, "zz"), previous_name="churn"),))
    request = Request(Path(), plan.stack, plan=planned)
    resources = tuple(record(plan))
    cluster = FakeCluster()
    for manifest in plan.manifests:
        cluster.objects[manifest.kind, manifest.id] = manifest.build_inputs()
    monkeypatch.setattr("framework.engines.cli_preview.add_preflight", lambda found, *_: found)
    # The server refuses one object, so the CLI ends early.
    refused = None if in_memory else EngineError("refused")
    cluster.taken = set() if in_memory else {plan.namespace.id}
    stack = SimpleNamespace(
        cli=FAKE_CLI,
        project=SimpleNamespace(name=PROJECT),
        preview=lambda *_, **options: refused,
    )
    opened = OpenedStack(
        cast(CliStack, stack),
        request,
        Checkpoint("dev", resources),
        cast(Any, None),
        is_settled_in_memory=in_memory,
    )
    provider = cast(KubernetesProvider, cluster)
    previewed = preview_stack(opened, None, provider)
    ops = {change.op for change in previewed.preview.changes if change.component}
    assert ops == {Op.SAME if by_key else Op.REPLACE}
