"""Objects that go with their Namespace: `destroy` names them, and `up` refuses kept ones."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from framework.core.changes import Change, Op, Preview
from framework.engines.problems import RefusedError
from framework.engines.state.checkpoint import Resource
from framework.kube.api_error import ApiError
from tests.engines.fakes import FakeCluster, Stack, check_changes, ops

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
CLAIM_KIND = "PersistentVolumeClaim"
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
        f"warning: PersistentVolumeClaim old/cache is not managed by this stack, and {LOST}",
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
        pytest.param(
            build("old/weights", CLAIM, retainOnDelete=True, provider="urn::own::id"),
            True,
            id="another provider of the same cluster",
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


def read(kind: str, name: str) -> Resource:
    """Returns the record of an object of the Namespace `old` that the program reads with `get`."""
    inputs = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
    return build(f"old/{name}", f"kubernetes:core/v1:{kind}", inputs=inputs, external=True)


@pytest.mark.parametrize(
    ("op", "object_name", "note"),
    [
        pytest.param(Op.DELETE, "old/data", LOST, id="get removed"),
        pytest.param(Op.REPLACE, "new/data", LOST, id="get moved"),
        pytest.param(Op.SAME, "old/data", "", id="get unchanged"),
    ],
)
@pytest.mark.parametrize("refuses", [True, False], ids=["up", "destroy"])
def test_claim_that_the_program_only_reads_is_one_of_others(
    op: Op, object_name: str, note: str, refuses: bool
) -> None:
    namespace, claim, cluster = build("old", NAMESPACE), read(CLAIM_KIND, "data"), FakeCluster()
    add(cluster, "v1", CLAIM_KIND, "data")
    changes = (
        Change(namespace.urn, NAMESPACE, "old", Op.REPLACE, object="new"),
        Change(claim.urn, CLAIM, "data", op, object=object_name),
    )
    found = check_changes(changes, [namespace, claim], cluster, refuses_lost=refuses)
    assert [change.note for change in found.changes] == ["", note]
    message = f"PersistentVolumeClaim old/data is not managed by this stack, and {LOST}"
    assert [problem.message for problem in found.problems] == [message] * refuses
    assert found.messages == (f"warning: {message}",) * (not refuses)


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


def add(
    cluster: FakeCluster, api_version: str, kind: str, name: str, *owners: Any, **metadata: Any
) -> Any:
    """Adds an object to the Namespace `old`, and returns a reference to it as an owner."""
    metadata |= {"name": name, "namespace": "old", "ownerReferences": list(owners)}
    obj = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
    cluster.objects[kind, f"old/{name}"] = obj
    return {"apiVersion": api_version, "kind": kind, "name": name, "controller": True}


def read_warnings(cluster: FakeCluster, *recorded: Resource) -> tuple[str, ...]:
    """Returns the warnings about the deletion of the Namespace `old`."""
    namespace = build("old", NAMESPACE)
    deleted = [namespace, *recorded]
    changes = [Change(r.urn, r.type, r.name, Op.DELETE, object=r.id) for r in deleted]
    found = check_changes(changes, deleted, cluster)
    assert not found.problems
    return found.messages


def test_objects_of_others_are_named_before_they_go_with_their_namespace() -> None:
    """Only those that no other named or recorded object owns, and that somebody made."""
    cluster = FakeCluster()
    inputs = {"apiVersion": "example.com/v1", "kind": "Cache", "metadata": {"name": "ours"}}
    ours = build("old/ours", "kubernetes:example.com/v1:Cache", inputs=inputs)
    add(cluster, "example.com/v1", "Cache", "ours")
    add(cluster, "example.com/v1", "Cache", "theirs")
    add(cluster, "v1", "ConfigMap", "read")
    add(cluster, "v1", "ServiceAccount", "default")
    add(cluster, "keda.sh/v1alpha1", "ScaledObject", "theirs")
    add(cluster, "rbac.authorization.k8s.io/v1", "RoleBinding", "theirs")
    add(cluster, "v1", "Secret", "token")
    add(cluster, "v1", "Pod", "shell")
    add(cluster, "v1", "Pod", "web-1", {"apiVersion": "apps/v1", "kind": "ReplicaSet"})
    add(cluster, "apps/v1", "StatefulSet", "db", {"apiVersion": "cluster/v1", "kind": "Tenant"})
    for api_version, kind, name in (
        ("v1", "ConfigMap", "kube-root-ca.crt"),
        ("v1", "Endpoints", "web"),
        ("v1", "Event", "web.1"),
        ("discovery.k8s.io/v1", "EndpointSlice", "web-1"),
        ("coordination.k8s.io/v1", "Lease", "operator"),
    ):
        add(cluster, api_version, kind, name)
    reads = [read("ConfigMap", "read"), read("ServiceAccount", "default")]
    assert read_warnings(cluster, ours, *reads) == (
        "warning: Namespace old is deleted with objects that this stack does not manage: Cache "
        "theirs, ConfigMap read, Pod shell, RoleBinding theirs, ScaledObject theirs, Secret token, "
        "StatefulSet db; next: move those that somebody needs to another Namespace",
    )


def test_long_list_of_objects_of_others_is_cut() -> None:
    cluster = FakeCluster()
    for number in range(12):
        add(cluster, "v1", "ConfigMap", f"theirs-{number:02}")
    [warning] = read_warnings(cluster)
    assert "ConfigMap theirs-07 and 4 more; next:" in warning


@pytest.mark.parametrize(("provider", "is_ours"), [("own", True), ("other", False)])
def test_claim_of_another_provider_is_recorded_if_its_cluster_is_the_same(
    provider: str, is_ours: bool
) -> None:
    namespace, cluster = build("old", NAMESPACE), FakeCluster()
    add(cluster, "v1", "PersistentVolumeClaim", "data")
    claim = build("old/data", CLAIM, provider=f"urn::{provider}::id")
    changes = [
        Change(namespace.urn, NAMESPACE, "old", Op.REPLACE, object="new"),
        Change(claim.urn, CLAIM, "data", Op.REPLACE, object="new/data"),
    ]
    found = check_changes(changes, [namespace, claim], cluster)
    assert [problem.object for problem in found.problems] == (
        [] if is_ours else ["PersistentVolumeClaim old/data"]
    )


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(
    ("uids", "lost"),
    [
        pytest.param([], "", id="on another cluster"),
        pytest.param(
            ["theirs"], "is not managed by this stack", id="of the same name on another cluster"
        ),
        pytest.param(["ours"], "stays in the stack", id="on this cluster"),
    ],
)
def test_claim_of_a_provider_that_only_the_cli_can_use_is_found_by_its_uid(
    uids: list[str], lost: str, kept: bool
) -> None:
    namespace, cluster = build("old", NAMESPACE), FakeCluster()
    for uid in uids:
        add(cluster, "v1", "PersistentVolumeClaim", "data", uid=uid)
    inputs = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    outputs = {"metadata": {"uid": "ours"}}
    fields = {"inputs": inputs, "outputs": outputs, "retainOnDelete": kept}
    claim = build("old/data", CLAIM, provider="urn::inline::id", **fields)
    changes = [
        Change(namespace.urn, NAMESPACE, "old", Op.REPLACE, object="new"),
        Change(claim.urn, CLAIM, "data", Op.SAME, object="old/data"),
    ]
    problems = check_changes(changes, [namespace, claim], cluster).problems
    assert len(problems) == bool(lost)
    for problem in problems:
        assert problem.object == "PersistentVolumeClaim old/data"
        assert ("is kept" if kept and uids == ["ours"] else lost) in problem.message


def test_namespace_of_a_provider_that_only_the_cli_can_use_is_not_read() -> None:
    provider = {"provider": "urn::inline::id"}
    namespace = build("old", NAMESPACE, inputs={"kind": "Namespace"}, **provider)
    claim = build("old/data", CLAIM, retainOnDelete=True, **provider)
    change = Change(namespace.urn, NAMESPACE, "old", Op.DELETE, object="old")
    found = check_changes([change], [namespace, claim], FakeCluster())
    contents, recreated = found.messages
    assert "old is deleted with all that is in it; could not be listed: all kinds; " in contents
    assert "only the pulumi CLI can use the provider: Namespace old; next: " in recreated
    assert [problem.object for problem in found.problems] == ["PersistentVolumeClaim old/data"]


@pytest.mark.parametrize("provider", [{}, {"provider": "urn::own::id"}], ids=["same", "own"])
def test_objects_of_a_recorded_release_are_not_those_of_others(provider: dict[str, str]) -> None:
    type_ = "kubernetes:helm.sh/v3:Release"
    release = build("old/redis", type_, inputs={"chart": "redis"}, **provider)
    cluster = FakeCluster()
    annotations = {f"meta.helm.sh/release-{key}": "redis" for key in ("name", "namespace")}
    annotations["meta.helm.sh/release-namespace"] = "old"

    def install(kind: str, name: str, manager: str) -> Any:
        entry = {"manager": manager, "operation": "Update", "apiVersion": "v1"}
        fields = {"annotations": annotations, "managedFields": [entry]}
        return add(cluster, "example.com/v1", kind, name, **fields)

    # What an operator makes of an object of the Release does not have the annotations.
    add(cluster, "v1", "Pod", "redis-0", install("Redis", "redis", "helm"))
    labels = {"owner": "helm", "name": "redis"}
    add(cluster, "v1", "Secret", "sh.helm.release.v1.redis.v1", labels=labels)
    assert read_warnings(cluster, release) == ()
    install("Redis", "copy", "kubectl-client-side-apply")
    add(cluster, "v1", "Secret", "sh.helm.release.v1.other.v1", labels={**labels, "name": "other"})
    [warning] = read_warnings(cluster, release)
    assert ": Redis copy, Secret sh.helm.release.v1.other.v1; next:" in warning


def make_ray_service(cluster: FakeCluster) -> Resource:
    """Adds a RayService with all that its operator makes of it, and returns its record."""
    inputs = {"apiVersion": "example.com/v1", "kind": "RayService", "metadata": {"name": "llm"}}
    service = add(cluster, "example.com/v1", "RayService", "llm")
    ray_cluster = add(cluster, "example.com/v1", "RayCluster", "llm-x", service)
    for number in range(3):
        add(cluster, "v1", "Pod", f"llm-{number}", ray_cluster)
    return build("old/llm", "kubernetes:example.com/v1:RayService", inputs=inputs)


def test_objects_that_a_recorded_one_owns_in_two_steps_are_not_those_of_others() -> None:
    cluster = FakeCluster()
    assert read_warnings(cluster, make_ray_service(cluster)) == ()


@pytest.mark.parametrize("kind", ["RayCluster", "RayService"])
def test_kind_that_may_not_be_listed_is_named(kind: str) -> None:
    """And an owner of this kind in place of its Pods, unless it is recorded."""
    cluster = FakeCluster()
    cluster.forbidden = {kind, "Secret"}
    named = "objects that this stack does not manage: RayCluster llm-x"
    what = named if kind == "RayCluster" else "all that is in it"
    [warning] = read_warnings(cluster, make_ray_service(cluster))
    assert f"deleted with {what}; could not be listed: {kind}, Secret; next:" in warning


def test_server_that_does_not_tell_its_kinds_is_asked_for_the_well_known_ones() -> None:
    cluster = FakeCluster()
    add(cluster, "v1", "Secret", "token")
    add(cluster, "example.com/v1", "Cache", "theirs")
    cluster.list_namespaced_kinds = Mock(side_effect=ApiError("/api", 406, "", ""))  # type: ignore[method-assign]
    [warning] = read_warnings(cluster)
    assert "manage: Secret token; could not be listed: all other kinds; next:" in warning


RELEASE = "kubernetes:helm.sh/v3:Release"
CONFIG = "kubernetes:core/v1:ConfigMap"


@pytest.mark.parametrize(
    ("type_", "op", "object_name", "is_named"),
    [
        pytest.param(RELEASE, Op.SAME, "", True, id="release of the CLI"),
        pytest.param(RELEASE, Op.REPLACE, "", False, id="moved release of the CLI"),
        pytest.param(CONFIG, Op.SAME, "old/x", True, id="unchanged"),
        pytest.param(CONFIG, Op.UPDATE, "old/x", True, id="updated"),
        pytest.param(CONFIG, Op.REPLACE, "old/x", True, id="replaced"),
        pytest.param(CONFIG, Op.REPLACE, "new/x", False, id="moved"),
        pytest.param(CONFIG, Op.DELETE, "old/x", False, id="deleted"),
    ],
)
@pytest.mark.parametrize("provider", ["own", "other"])
def test_object_that_stays_in_a_deleted_namespace_is_named(
    type_: str, op: Op, object_name: str, is_named: bool, provider: str
) -> None:
    namespace = build("old", NAMESPACE)
    resource = build("old/x", type_, provider=f"urn::{provider}::id")
    changes = [
        Change(namespace.urn, NAMESPACE, "old", Op.REPLACE, object="new"),
        Change(resource.urn, type_, "x", op, object=object_name),
    ]
    found = check_changes(changes, [namespace, resource], FakeCluster())
    assert not found.problems
    kind = type_.rpartition(":")[2]
    warning = (
        "warning: Namespace old is to be deleted with objects that stay in the stack: "
        f"{kind} x; next: move them to another Namespace"
    )
    assert found.messages == ((warning,) if is_named and provider == "own" else ())


def test_claim_that_stays_in_a_deleted_namespace_is_refused() -> None:
    namespace, claim = build("old", NAMESPACE), build("old/weights", CLAIM)
    changes = [
        Change(namespace.urn, NAMESPACE, "old", Op.REPLACE, object="new"),
        Change(claim.urn, CLAIM, "weights", Op.SAME, object="old/weights"),
    ]
    [problem] = check_changes(changes, [namespace, claim], FakeCluster()).problems
    assert problem.object == "PersistentVolumeClaim old/weights"
    assert problem.message == f"PersistentVolumeClaim old/weights stays in the stack, and {LOST}"


@pytest.mark.parametrize("moved", [True, False], ids=["moved", "removed"])
def test_embedded_engine_keeps_a_namespace_that_objects_of_the_stack_are_in(
    stack: Stack, moved: bool
) -> None:
    """The preview says so, and announces no deletion of it."""
    program = PROGRAM.replace(", retain_on_delete=True", "")
    program = program.replace('"namespace": name}', '"namespace": "old"}')
    stack.program(f"{program}in_namespace('old', 'weights', 'cache')")
    stack.up()
    inside = f"{program}in_namespace('new', 'weights')"
    if not moved:
        register = 'pulumi.CustomResource("kubernetes:core/v1:Namespace",'
        inside = inside.replace(register, "print(")
    stack.program(inside)
    preview = stack.preview()
    warning = (
        "warning: Namespace old stays, because PersistentVolumeClaim weights of this stack still "
        "needs it; next: change that one or remove it"
    )
    assert not preview.problems
    assert preview.messages == (warning,)
    expected = {"PersistentVolumeClaim cache": "delete"}
    if moved:
        expected["Namespace namespace"] = "replace"
    assert ops(preview) == expected
    result = stack.up()
    assert not result.failures
    assert ops(result) == expected
    new = ["Namespace new"] if moved else []
    assert stack.cluster.ids() == [*new, "Namespace old", "PersistentVolumeClaim old/weights"]
    assert stack.preview().clean
    assert stack.up().messages == (warning,)

    stack.program(inside.replace(", 'weights')", ")"))
    assert not stack.up().failures
    assert stack.cluster.ids() == new


def test_claim_that_names_its_namespace_by_id_moves_with_it(stack: Stack) -> None:
    program = PROGRAM.replace(", retain_on_delete=True", "")
    program = program.replace(
        '    pulumi.CustomResource("kubernetes:core/v1:Namespace',
        '    namespace = pulumi.CustomResource("kubernetes:core/v1:Namespace',
    )
    program = program.replace('"namespace": name}', '"namespace": namespace.id}')
    stack.program(f"{program}in_namespace('old', 'weights')")
    stack.up()
    stack.program(f"{program}in_namespace('new', 'weights')")
    preview = stack.preview()
    assert not preview.problems
    assert ops(preview)["PersistentVolumeClaim weights"] == "replace"
    assert not stack.up().failures
    assert stack.cluster.ids() == ["Namespace new", "PersistentVolumeClaim new/weights"]
