"""The URNs of a run of the CLI that must not delete anything but its targets."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from framework.engines.cli_deletions import RunScope, build_scope
from framework.engines.state.checkpoint import Resource

PREFIX = "urn:pulumi:dev::test::"
MODEL, OBJECT = "test:index:Model", "kubernetes:apps/v1:Deployment"


def build_urn(name: str) -> str:
    return f"{PREFIX}{MODEL if name.startswith('model') else OBJECT}::{name}"


def build_resource(name: str, parent: str, needs: Iterable[str], pending: bool) -> Resource:
    is_object = not name.startswith("model")
    raw = {"urn": build_urn(name), "custom": is_object, "type": OBJECT if is_object else MODEL}
    raw |= {"dependencies": [build_urn(need) for need in needs], "delete": pending}
    return Resource({**raw, "parent": build_urn(parent) if parent else ""})


# Name, parent, dependencies. The config of a canary comes before the budget, which depends on it.
STACK = [
    ("namespace", "", []),
    ("model-a", "", []),
    ("config", "model-a", ["namespace"]),
    ("canary", "model-a", ["namespace", "config"]),
    ("budget", "model-a", ["namespace", "config"]),
    ("model-b", "", []),
    ("b", "model-b", ["namespace"]),
]
FIRST = {"namespace", "model-a", "config", "canary"}
ALL = {name for name, _, _ in STACK}


@pytest.mark.parametrize(
    ("changed", "deleted", "pending", "targets", "excluded"),
    [
        pytest.param({"canary"}, set(), set(), FIRST, set(), id="nothing is deleted"),
        pytest.param(
            {"canary"}, {"model-b", "b"}, set(), FIRST - {"namespace"}, set(), id="another model"
        ),
        pytest.param({"canary"}, {"budget"}, set(), {"canary"}, set(), id="the same model"),
        pytest.param(
            {"canary"}, set(), {"b"}, FIRST - {"namespace"}, set(), id="left by a replacement"
        ),
        pytest.param({"canary"}, {"canary"}, set(), FIRST, set(), id="a target"),
        pytest.param(
            {"canary", "config"}, {"budget"}, set(), None, ALL - FIRST, id="needs a changed one"
        ),
        pytest.param(
            {"canary", "namespace"},
            set(),
            {"b"},
            FIRST - {"namespace"},
            set(),
            id="exclude would not keep it",
        ),
    ],
)
def test_run_names_no_target_that_a_deletion_needs(
    changed: set[str],
    deleted: set[str],
    pending: set[str],
    targets: set[str] | None,
    excluded: set[str],
) -> None:
    resources = [
        build_resource(name, parent, needs, name in pending) for name, parent, needs in STACK
    ]

    def name_urns(names: set[str]) -> frozenset[str]:
        return frozenset(map(build_urn, names))

    scope = build_scope(
        name_urns(FIRST), name_urns(changed), name_urns(deleted), name_urns(ALL), resources
    )
    expected = None if targets is None else name_urns(targets)
    assert scope == RunScope(expected, name_urns(excluded))


def test_run_that_only_deletes_excludes_nothing() -> None:
    """`--exclude` would name every other URN of the stack."""
    resources = [build_resource(name, parent, needs, False) for name, parent, needs in STACK]
    gone = frozenset(map(build_urn, ("canary", "config", "budget")))
    targets = frozenset(map(build_urn, ("canary", "config")))
    scope = build_scope(targets, gone, gone, frozenset(map(build_urn, ALL)), resources)
    assert scope == RunScope(frozenset({build_urn("canary")}))
