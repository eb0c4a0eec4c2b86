"""Objects that go with their Namespace: `destroy` names them, and `up` refuses kept ones."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import Change, Op, Preview
from framework.engines.problems import RefusedError
from framework.engines.state.checkpoint import Resource
from tests.engines.fakes import FakeCluster, Stack, check_changes

NAMESPACE, CLAIM = "kubernetes:core/v1:Namespace", "kubernetes:core/v1:PersistentVolumeClaim"
PROGRAM = """
def in_namespace(name, *kept):
    inputs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    options = pulumi.ResourceOptions(provider=provider)
    pulumi.CustomResource("kubernetes:core/v1:Namespace", "namespace", inputs, options)
    for claim in kept:
        metadata = {"name": claim, "namespace": name}
        inputs = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
        options = pulumi.ResourceOptions(provider=provider, retain_on_delete=True)
        pulumi.CustomResource("kubernetes:core/v1:PersistentVolumeClaim", claim, inputs, options)


"""
LOST = "is deleted with its Namespace, and its data with it"


@pytest.fixture
def claims(stack: Stack) -> Stack:
    """A stack with two kept claims in its Namespace."""
    stack.program(f"{PROGRAM}in_namespace('old', 'weights', 'cache')")
    stack.up()
    return stack


def read_notes(preview: Preview) -> dict[str, str]:
    return {change.object: change.note for change in preview.changes if change.type == CLAIM}


def test_destroy_says_that_kept_claims_go_with_their_namespace(claims: Stack) -> None:
    assert read_notes(claims.preview_destroy()) == {"old/weights": LOST, "old/cache": LOST}


def test_claim_that_is_removed_without_its_namespace_is_kept(claims: Stack) -> None:
    claims.program(f"{PROGRAM}in_namespace('old', 'weights')")
    preview = claims.preview()
    assert not preview.problems
    assert read_notes(preview)["old/cache"] == "stays in the cluster (retainOnDelete)"


def test_other_namespace_is_refused_while_kept_claims_are_in_the_old_one(claims: Stack) -> None:
    # One claim moves, and the other one leaves the program as well.
    claims.program(f"{PROGRAM}in_namespace('new', 'weights')")
    preview = claims.preview()
    assert [problem.object for problem in preview.problems] == [
        "PersistentVolumeClaim old/cache",
        "PersistentVolumeClaim old/weights",
    ]
    assert "another `namespace` deletes the Namespace old, with" in preview.problems[0].message
    before = claims.cluster.ids()
    with pytest.raises(RefusedError):
        claims.up()
    assert claims.cluster.ids() == before


def forget_cache(claims: Stack) -> None:
    """Removes a claim from the program, which keeps it in the cluster."""
    claims.program(f"{PROGRAM}in_namespace('old', 'weights')")
    claims.up()
    assert "PersistentVolumeClaim old/cache" in claims.cluster.ids()


def test_claim_that_was_kept_before_is_named_as_well(claims: Stack) -> None:
    forget_cache(claims)
    claims.program(f"{PROGRAM}in_namespace('new')")
    assert [problem.object for problem in claims.preview().problems] == [
        "PersistentVolumeClaim old/cache",
        "PersistentVolumeClaim old/weights",
    ]
    assert claims.preview_destroy().messages == (
        f"warning: PersistentVolumeClaim old/cache is not recorded, and {LOST}",
    )


def build(name: str, type_: str, **fields: Any) -> Resource:
    urn = f"urn:pulumi:dev::test::{type_}::{name.rpartition('/')[2]}"
    provider = "urn:pulumi:dev::test::pulumi:providers:kubernetes::cluster::id"
    return Resource(
        {"urn": urn, "type": type_, "custom": True, "id": name, "provider": provider, **fields}
    )


@pytest.mark.parametrize("op", [Op.DELETE, Op.REPLACE])
@pytest.mark.parametrize(
    ("claim", "lost"),
    [
        pytest.param(build("old/weights", CLAIM, retainOnDelete=True), True, id="kept"),
        pytest.param(build("old/weights", CLAIM), False, id="deleted in any case"),
        pytest.param(build("other/weights", CLAIM, retainOnDelete=True), False, id="elsewhere"),
        pytest.param(
            build("old/weights", CLAIM, retainOnDelete=True, provider="urn::other::id"),
            False,
            id="another cluster",
        ),
    ],
)
def test_only_kept_objects_of_the_deleted_namespace_are_lost(
    claim: Resource, lost: bool, op: Op
) -> None:
    namespace = build("old", NAMESPACE)
    is_moved = op is Op.REPLACE
    changes = (
        Change(namespace.urn, NAMESPACE, "old", op, object="new" if is_moved else "old"),
        Change(claim.urn, CLAIM, "weights", op, object="new/weights" if is_moved else claim.id),
    )
    found = check_changes(changes, [namespace, claim], FakeCluster())
    assert [problem.object for problem in found.problems] == (
        ["PersistentVolumeClaim old/weights"] if lost else []
    )
    assert [change.note for change in found.changes] == ["", LOST if lost else ""]


@pytest.mark.parametrize(
    ("owners", "deleted"),
    [
        pytest.param([], "the claim", id="nobody"),
        pytest.param([{"kind": "Pod", "name": "a", "controller": True}], "", id="ephemeral"),
        pytest.param([{"kind": "Pod", "name": "a"}], "", id="Pod of a StatefulSet"),
        pytest.param(
            [{"kind": "Cluster", "name": "db", "controller": True}],
            "Cluster db, which owns the claim",
            id="operator",
        ),
        pytest.param([{"kind": "Backup", "name": "b"}], "the claim", id="no controller"),
    ],
)
@pytest.mark.parametrize("refuses", [True, False])
def test_claim_that_goes_with_its_pod_is_not_lost(
    owners: list[Any], deleted: str, refuses: bool
) -> None:
    namespace, cluster = build("old", NAMESPACE), FakeCluster()
    metadata = {"name": "scratch", "namespace": "old", "ownerReferences": owners}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    cluster.objects["PersistentVolumeClaim", "old/scratch"] = claim
    change = Change(namespace.urn, NAMESPACE, "old", Op.REPLACE, object="new")
    found = check_changes([change], [namespace], cluster, refuses_lost=refuses)
    assert len(found.problems) == (refuses and bool(deleted))
    assert len(found.messages) == (not refuses and bool(deleted))
    for problem in found.problems:
        assert problem.next_step.endswith(f"copy the data and delete {deleted}")


def test_objects_of_others_are_named_before_they_go_with_their_namespace() -> None:
    """Only those that no other named or recorded object owns, and that somebody made."""
    namespace, cluster = build("old", NAMESPACE), FakeCluster()
    inputs = {"apiVersion": "example.com/v1", "kind": "Cache", "metadata": {"name": "ours"}}
    ours = build("old/ours", "kubernetes:example.com/v1:Cache", inputs=inputs)
    replica_set = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"}
    operator = {"apiVersion": "example.com/v1", "kind": "Database", "name": "db"}
    for api_version, kind, name, *owners in (
        ("example.com/v1", "Cache", "ours"),
        ("example.com/v1", "Cache", "theirs"),
        ("v1", "Secret", "token"),
        ("v1", "Pod", "shell"),
        ("v1", "Pod", "web-1", replica_set),
        ("apps/v1", "StatefulSet", "db", operator),
        ("v1", "ConfigMap", "kube-root-ca.crt"),
        ("v1", "ServiceAccount", "default"),
    ):
        metadata = {"name": name, "namespace": "old", "ownerReferences": owners}
        obj = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
        cluster.objects[kind, f"old/{name}"] = obj
    change = Change(namespace.urn, NAMESPACE, "old", Op.DELETE, object="old")
    found = check_changes([change], [namespace, ours], cluster)
    assert not found.problems
    [message] = found.messages
    named = "Cache theirs, Pod shell, Secret token, StatefulSet db"
    assert f"objects that are not recorded: {named}; next:" in message
