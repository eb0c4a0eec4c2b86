"""Claims that others created are taken over with the class that they have, and lose nothing."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import Op
from framework.kube.adopting import CannotAdoptError
from framework.kube.client import KubeClient
from framework.kube.last_applied import compare_with_last_applied
from framework.kube.object_diff import LiveStatus
from framework.kube.provider import KubernetesProvider
from tests.kube.objects import urn

pytestmark = pytest.mark.cluster
URN = urn("weights")


def build_claim(namespace: str, **spec: Any) -> dict[str, Any]:
    """Builds a claim as a model's volume renders it, with further fields of `spec`."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "1Gi"}},
            **spec,
        },
    }


@pytest.mark.parametrize("manager", ["kubectl-create", "pulumi-kubernetes", "helm"])
@pytest.mark.parametrize(
    "spec",
    [
        {"storageClassName": "standard"},
        {"storageClassName": "standard", "volumeMode": "Filesystem", "volumeName": "pv-1"},
        {"storageClassName": "", "selector": {"matchLabels": {"a": "b"}}},
        {},
    ],
    ids=["class", "volume", "selector", "nothing"],
)
def test_existing_claim_keeps_its_class_and_volume(
    provider: KubernetesProvider,
    kube: KubeClient,
    namespace: str,
    manager: str,
    spec: dict[str, Any],
) -> None:
    made = build_claim(namespace, **spec)
    made["metadata"]["labels"] = {"added": "by-hand"}
    live = kube.create(made, manager=manager)
    wanted = build_claim(namespace)
    diff = provider.diff_adopted(URN, wanted, (), forced=True)
    assert [field.path for field in diff.fields] == ["metadata.labels.added"]
    state = provider.adopt(URN, wanted, (), live["metadata"]["uid"])
    assert state.outputs["spec"] == live["spec"]
    # Later commands find nothing to remove, and nothing that others added.
    assert provider.diff(URN, state, wanted, ()).op is Op.SAME
    assert compare_with_last_applied(state, provider.read(state), ()).status is LiveStatus.SAME
    updated = provider.update(URN, state, wanted, ())
    assert updated.outputs["spec"] == live["spec"]


def test_kept_claim_is_taken_back_with_the_class_that_the_server_chose(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    """The state does not have it any more, and its class is in the entry of the creator."""
    wanted = build_claim(namespace)
    kept = provider.create(URN, build_claim(namespace, volumeMode="Filesystem"))
    manager = kept.outputs["__fieldManager"]
    again = provider.create(URN, build_claim(namespace, volumeMode="Filesystem"))
    assert again.outputs["metadata"]["uid"] == kept.outputs["metadata"]["uid"]
    assert again.outputs["__fieldManager"] == manager
    assert provider.diff(URN, None, wanted | {"spec": kept.inputs["spec"]}, ()).fields == ()


def test_another_class_is_refused_with_the_value_and_what_keeps_the_data(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    kube.create(build_claim(namespace, storageClassName="standard"), manager="kubectl-create")
    wanted = build_claim(namespace, storageClassName="fast")
    with pytest.raises(CannotAdoptError) as refused:
        provider.diff_adopted(URN, wanted, (), forced=False)
    text = str(refused.value)
    assert "spec.storageClassName: standard -> fast" in text
    assert "such as `claim.storageClass`, or mount it as it is, with `claim: weights`" in text
    assert "under another name" not in text


def test_removed_immutable_field_is_named(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    metadata = {"name": "settings", "namespace": namespace}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}
    kube.create({**config, "immutable": True}, manager="kubectl-create")
    with pytest.raises(CannotAdoptError, match="immutable: true -> none"):
        provider.diff_adopted(URN, config, (), forced=False)


def test_own_class_that_is_no_longer_set_is_still_refused(
    provider: KubernetesProvider, namespace: str
) -> None:
    """`up` does not say that it changed a class which it cannot change."""
    made = provider.create(URN, build_claim(namespace, storageClassName="standard"))
    diff = provider.diff(URN, made, build_claim(namespace), ())
    assert (diff.op, diff.delete_first) == (Op.REPLACE, True)
