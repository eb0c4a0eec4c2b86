"""The program registers the plan that the engine gives it, and loads one only where none is given.

The project's folder has no catalog, so a program that loads its plan there fails.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from framework.core.changes import Op
from framework.core.errors import EngineError
from framework.core.stack import Stack as PulumiStack
from framework.plan import Manifest, PlanStore
from tests.engines.fakes import Stack
from tests.shipped import ROOT, SHIPPED


def test_given_plan_is_registered_by_the_preview_and_the_apply(stack: Stack) -> None:
    (stack.root / "__main__.py").write_text((ROOT / "__main__.py").read_text())
    plan = PlanStore(SHIPPED).load_one(PulumiStack.of("dev")).require()
    request = replace(stack.request(), plan=plan)
    result = stack.engine.up(request, lambda _: True, stack.progress.append)
    assert result is not None
    assert not result.failures
    assert len(stack.cluster.objects) == len(plan.manifests)


def test_program_without_a_plan_loads_it(stack: Stack) -> None:
    (stack.root / "__main__.py").write_text((ROOT / "__main__.py").read_text())
    with pytest.raises(EngineError, match="dev"):
        stack.preview()


def test_given_plan_of_another_stack_is_not_registered(stack: Stack) -> None:
    (stack.root / "__main__.py").write_text((ROOT / "__main__.py").read_text())
    plan = PlanStore(SHIPPED).load_one(PulumiStack.of("dev")).require()
    plan = replace(plan, stack=PulumiStack.of("staging"))
    with pytest.raises(EngineError, match="dev"):
        stack.engine.preview(replace(stack.request(), plan=plan))


def test_narrowed_command_registers_its_models_and_keeps_the_outputs_of_others(
    stack: Stack,
) -> None:
    (stack.root / "__main__.py").write_text((ROOT / "__main__.py").read_text())
    plan = PlanStore(SHIPPED).load_one(PulumiStack.of("dev")).require()
    whole = replace(stack.request(), plan=plan)
    assert stack.engine.up(whole, lambda _: True, stack.progress.append) is not None
    before = stack.engine.outputs(whole)
    without = replace(plan, models=tuple(m for m in plan.models if m.name != "fraud"))

    preview = stack.engine.preview(replace(whole, components=frozenset({"churn"})))
    counts = Counter(change.type for change in preview.changes if change.op is Op.SAME)
    assert counts["kubernetes:apps/v1:Deployment"] == len(before["deployments"])
    assert preview.outputs == before

    narrowed = replace(whole, plan=without, components=frozenset({"churn"}))
    result = stack.engine.up(narrowed, lambda _: True, stack.progress.append)
    assert result is not None
    assert (result.changes == preview.changes, result.outputs) == (True, before)

    removal = replace(narrowed, components=frozenset({"fraud"}))
    result = stack.engine.up(removal, lambda _: True, stack.progress.append)
    assert result is not None
    assert {change.component for change in result.changes if change.op is Op.DELETE} == {"fraud"}
    for output in ("deployments", "images"):
        rest = {name: value for name, value in before[output].items() if name != "fraud"}
        assert result.outputs[output] == rest


def test_narrowed_command_keeps_the_outputs_of_a_model_whose_name_its_service_has(
    stack: Stack,
) -> None:
    (stack.root / "__main__.py").write_text((ROOT / "__main__.py").read_text())
    plan = PlanStore(SHIPPED).load_one(PulumiStack.of("dev")).require()
    churn, fraud = (model for model in plan.models if model.name in ("churn", "fraud"))
    deployments = tuple(m for m in fraud.manifests if m.kind == "Deployment")
    manifests = tuple(rename(m, "fraud") if m.kind == "Service" else m for m in churn.manifests)
    models = (replace(churn, manifests=manifests), replace(fraud, manifests=deployments))
    request = replace(stack.request(), plan=replace(plan, models=models))
    whole = stack.engine.up(request, lambda _: True, stack.progress.append)
    assert whole is not None
    assert sorted(whole.outputs["images"]) == ["churn", "fraud"]
    narrowed = replace(request, components=frozenset({"churn"}))
    assert stack.engine.preview(narrowed).outputs == whole.outputs


def rename(manifest: Manifest, name: str) -> Manifest:
    metadata = {**manifest.object["metadata"], "name": name}
    return replace(manifest, object={**manifest.object, "metadata": metadata})


def test_renamed_context_keeps_the_identifier_of_the_cluster(stack: Stack) -> None:
    """With another identifier the CLI would replace the provider, and with it every object."""
    (stack.root / "__main__.py").write_text((ROOT / "__main__.py").read_text())
    plan = PlanStore(SHIPPED).load_one(PulumiStack.of("dev")).require().narrowed_to({"churn"})
    before = replace(stack.request(), plan=plan)
    assert stack.engine.up(before, lambda _: True, stack.progress.append) is not None
    renamed = replace(plan, cluster=replace(plan.cluster, context="renamed"))
    preview = stack.engine.preview(replace(before, plan=renamed))
    (changed,) = [change for change in preview.changes if change.op is not Op.SAME]
    assert [field.path for field in changed.fields] == ["context"]
