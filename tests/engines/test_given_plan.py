"""The program registers the plan that the engine gives it, and loads one only where none is given.

The project's folder has no catalog, so a program that loads its plan there fails.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from framework.core.errors import EngineError
from framework.core.stack import Stack as PulumiStack
from framework.plan import PlanStore
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
