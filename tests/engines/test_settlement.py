"""The records of an interrupted replacement, when the user reverts the change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from framework.engines.embedded.settlement import restore_wanted
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.state.journal import fold
from framework.plan import StackPlan

TYPE = "kubernetes:core/v1:ConfigMap"
URN = f"urn:pulumi:dev::test::{TYPE}::app"
PROVIDER = "urn:pulumi:dev::test::pulumi:providers:kubernetes::cluster"


@dataclass(frozen=True)
class Wanted:
    id: str
    type_token: str = TYPE


@dataclass(frozen=True)
class Plan:
    manifests: tuple[Wanted, ...]


def plan_of(*names: str) -> StackPlan:
    return cast(StackPlan, Plan(tuple(Wanted(f"ns/{name}") for name in names)))


def record(name: str, **fields: Any) -> Resource:
    raw = {"urn": URN, "custom": True, "type": TYPE, "id": f"ns/{name}", **fields}
    return Resource({**raw, "provider": f"{PROVIDER}::1"})


@pytest.fixture
def interrupted() -> Checkpoint:
    """`app-1` was replaced by `app-2`, and is not deleted yet."""
    provider = {"urn": PROVIDER, "custom": True, "type": "pulumi:providers:kubernetes", "id": "1"}
    return Checkpoint(
        "organization/test/dev",
        (Resource(provider), record("app-2"), record("app-1", delete=True)),
    )


def find_ids(checkpoint: Checkpoint) -> dict[str, bool]:
    objects = [resource for resource in checkpoint.resources if resource.is_object]
    return {resource.id: resource.pending_delete for resource in objects}


def test_reverted_change_restores_the_record_of_the_old_object(interrupted: Checkpoint) -> None:
    lines = restore_wanted(interrupted, plan_of("app-1"))
    assert find_ids(fold(interrupted, lines)) == {"ns/app-1": False, "ns/app-2": True}


@pytest.mark.parametrize("names", [("app-2",), ("app-3",), ("app-1", "app-2"), ()], ids=str)
def test_any_other_plan_changes_no_record(interrupted: Checkpoint, names: tuple[str, ...]) -> None:
    assert restore_wanted(interrupted, plan_of(*names)) == ()


@pytest.mark.parametrize("written", [1, 2])
def test_crash_between_the_lines_loses_no_record(interrupted: Checkpoint, written: int) -> None:
    lines = restore_wanted(interrupted, plan_of("app-1"))
    cut = fold(interrupted, lines[:written])
    assert set(find_ids(cut)) == {"ns/app-1", "ns/app-2"}
    live = replace(cut).live[URN]
    assert live.id == ("ns/app-2" if written == 1 else "ns/app-1")
