"""Create, and the diff of an object that does not exist, on a real API server."""

from __future__ import annotations

import pytest

from framework.core.changes import Op
from framework.core.errors import EngineError
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.kube.managed_fields import writers
from framework.kube.objects import Object, ObjectState, field_manager
from framework.kube.ownership import AlreadyExistsError
from framework.kube.provider import KubernetesProvider
from tests.kube.objects import config_map, deployment, live_of, secret, urn

pytestmark = pytest.mark.cluster

URN = urn("sentiment")


def test_create_records_the_state_as_the_cli_does(
    provider: KubernetesProvider, namespace: str
) -> None:
    inputs = deployment(namespace)
    state = provider.create(URN, inputs)
    assert state.id == f"{namespace}/sentiment"
    assert state.inputs == state.outputs["__inputs"] == inputs
    assert state.outputs["__initialApiVersion"] == "apps/v1"
    assert state.outputs["__fieldManager"] == field_manager(URN, None, inputs)
    assert state.outputs["spec"]["progressDeadlineSeconds"] == 600


def test_object_of_somebody_else_is_never_changed(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    foreign = kube.create(config_map(namespace, A="1"), manager="helm")
    ours = config_map(namespace, A="2")
    for attempt in (lambda: provider.diff(URN, None, ours, ()), lambda: provider.create(URN, ours)):
        with pytest.raises(
            AlreadyExistsError, match=r"not managed by this stack \(its managers: helm\)"
        ):
            attempt()
    assert live_of(kube, ours) == foreign


def test_unrecorded_create_is_taken_over(provider: KubernetesProvider, namespace: str) -> None:
    made = provider.create(URN, config_map(namespace, A="1"))
    again = config_map(namespace, A="2")
    assert "taken over" in provider.diff(URN, None, again, ()).note
    state = provider.create(URN, again)
    assert state.outputs["metadata"]["uid"] == made.outputs["metadata"]["uid"]
    assert state.outputs["data"] == {"A": "2"}


def test_unrecorded_create_of_a_namespace_is_taken_over(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{namespace}-2"}}
    made = provider.create(URN, inputs)
    again = provider.create(URN, inputs)
    assert again.outputs["metadata"]["uid"] == made.outputs["metadata"]["uid"]
    assert provider.diff(URN, again, inputs, ()).op is Op.SAME
    kube.delete("v1", "Namespace", f"{namespace}-2", propagation="Background")


IDENTITY = {"app.kubernetes.io/name": "churn", "app.kubernetes.io/part-of": "modelcatalog"}


def labelled(namespace: str, **labels: str) -> Object:
    """Builds a ConfigMap with the labels of a model, and further ones."""
    obj = config_map(namespace)
    obj["metadata"]["labels"] = {**IDENTITY, **labels}
    return obj


@pytest.mark.parametrize(
    ("written_by", "owner"),
    [
        ("pulumi-kubernetes-58430e23", "pulumi-kubernetes-58430e23"),
        ("pulumi-kubernetes", "derived"),
    ],
)
def test_kept_object_of_the_cli_is_taken_over(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, written_by: str, owner: str
) -> None:
    kept = labelled(namespace, tier="gold")
    if owner == "derived":
        kube.create(kept, manager=written_by)
    else:
        kube.apply(kept, manager=written_by, force=False, dry_run=False)
    again = labelled(namespace, tier="silver")
    same = provider.diff(URN, None, kept, ())
    assert (same.op, same.already_own, same.takes_over) == (Op.CREATE, True, False)
    diff = provider.diff(URN, None, again, ())
    assert (diff.op, diff.already_own, diff.takes_over) == (Op.UPDATE, True, True)
    assert [(f.path, f.old, f.new) for f in diff.fields] == [
        ("metadata.labels.tier", "gold", "silver")
    ]
    assert diff.live["metadata"]["labels"]["tier"] == "gold"
    state = provider.create(URN, again)
    derived = field_manager(URN, None, again)
    assert state.outputs["__fieldManager"] == (derived if owner == "derived" else owner)
    bare = labelled(namespace)
    assert provider.diff(URN, state, bare, ()).live["metadata"]["labels"]["tier"] == "silver"
    assert provider.update(URN, state, bare, ()).outputs["metadata"]["labels"] == IDENTITY


@pytest.mark.parametrize("labels", [{}, {**IDENTITY, "app.kubernetes.io/name": "fraud"}])
def test_object_of_pulumi_with_other_labels_is_refused(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, labels: dict[str, str]
) -> None:
    other = config_map(namespace)
    other["metadata"]["labels"] = labels
    kube.apply(other, manager="pulumi-kubernetes-58430e23", force=False, dry_run=False)
    with pytest.raises(AlreadyExistsError, match="another Pulumi stack owns it"):
        provider.diff(URN, None, labelled(namespace), ())


def test_kept_object_is_left_to_one_manager_of_the_cli(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    provider.create(URN, labelled(namespace, tier="gold"))
    provider.prepare_create(URN, labelled(namespace, tier="gold"))
    # The CLI creates it again, under a name of its own.
    inputs, manager = labelled(namespace, tier="gold"), "pulumi-kubernetes-58430e23"
    made = kube.apply(inputs, manager=manager, force=True, dry_run=False)
    assert writers(made) == ("pulumi-kubernetes", manager)
    state = ObjectState("", inputs, {**made, "__fieldManager": manager})
    updated = provider.update(URN, state, labelled(namespace), ()).outputs
    assert updated["metadata"]["labels"] == IDENTITY
    assert writers(updated) == (manager,)


def test_object_without_a_namespace_is_created_in_default(provider: KubernetesProvider) -> None:
    inputs = config_map("default", "test-no-namespace-means-default")
    del inputs["metadata"]["namespace"]
    state = provider.create(URN, inputs)
    provider.delete(state, timeout_s=10)
    assert state.id == "default/test-no-namespace-means-default"


def test_string_data_of_a_secret_is_sent_as_data(
    provider: KubernetesProvider, namespace: str
) -> None:
    state = provider.create(URN, secret(namespace, token="s3cr3t"))
    assert state.inputs["data"] == state.outputs["data"] == {"token": "czNjcjN0"}
    assert "stringData" not in state.inputs
    assert provider.diff(URN, state, secret(namespace, token="s3cr3t"), ()).op is Op.SAME


def test_create_without_a_name_fails(provider: KubernetesProvider) -> None:
    with pytest.raises(EngineError, match=r"no metadata\.name"):
        provider.create(URN, {"apiVersion": "v1", "kind": "ConfigMap"})


def test_diff_in_a_missing_namespace_is_a_create_with_a_note(provider: KubernetesProvider) -> None:
    diff = provider.diff(URN, None, deployment("not-there"), ())
    assert (diff.op, diff.note) == (
        Op.CREATE,
        "not validated by the server: Namespace not-there does not exist yet",
    )


def test_diff_of_an_unserved_kind_is_a_create_with_a_note(
    provider: KubernetesProvider, namespace: str
) -> None:
    route = {**config_map(namespace), "apiVersion": "gateway.networking.k8s.io/v1"}
    diff = provider.diff(URN, None, {**route, "kind": "HTTPRoute"}, ())
    assert diff.op is Op.CREATE
    assert "does not serve gateway.networking.k8s.io/v1 HTTPRoute yet" in diff.note


def test_deleted_object_is_recreated(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = config_map(namespace)
    state = provider.create(URN, inputs)
    kube.delete("v1", "ConfigMap", "settings", namespace, propagation="Background")
    assert provider.read(state) is None
    diff = provider.diff(URN, state, inputs, ())
    assert (diff.op, diff.note) == (Op.CREATE, "was deleted from the cluster")
    assert provider.update(URN, state, inputs, ()).outputs["data"] == inputs["data"]


def test_diff_refuses_what_the_server_refuses(provider: KubernetesProvider, namespace: str) -> None:
    wrong = deployment(namespace, strategi={})
    with pytest.raises(ApiError, match=r"spec\.strategi") as caught:
        provider.diff(URN, None, wrong, ())
    assert f"Deployment {namespace}/sentiment" in str(caught.value)
