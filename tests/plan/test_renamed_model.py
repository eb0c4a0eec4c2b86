"""MODEL=<old name> of a renamed model is refused: it would delete what `previousName` keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.errors import UsageError
from framework.plan import StackPlan
from framework.plan.selection import check_renamed, select_components
from tests.plan.small_catalog import check, write_files

A = "catalog/a.yaml"


@pytest.fixture
def plan(tmp_path: Path) -> StackPlan:
    return check(write_files(tmp_path, {A: "+previousName: before\n"})).require()


def select(plan: StackPlan, pattern: str, *recorded: str) -> frozenset[str]:
    components = select_components(plan, pattern, lambda: recorded)
    assert components is not None
    check_renamed(plan, components)
    return components


@pytest.mark.parametrize("pattern", ["before", "befor?", "b[e]*e"])
def test_old_name_alone_is_refused_with_the_new_one(plan: StackPlan, pattern: str) -> None:
    new = plan.models[0].name
    with pytest.raises(UsageError) as refused:
        select(plan, pattern, "before")
    assert str(refused.value) == (
        f"before is renamed to {new} ({plan.models[0].renamed_at}): use MODEL={new}"
    )
    assert plan.models[0].renamed_at.startswith(f"{A}:")


def test_new_name_alone_or_with_the_old_one_is_allowed(plan: StackPlan) -> None:
    new = plan.models[0].name
    assert select(plan, new, "before") == {new}
    assert select(plan, "*", "before") >= {new, "before"}


def test_old_name_is_refused_while_both_names_are_recorded(plan: StackPlan) -> None:
    """After an interrupted rename the new Deployment may not serve yet."""
    with pytest.raises(UsageError, match="before is renamed to"):
        select(plan, "before", "before", plan.models[0].name)
