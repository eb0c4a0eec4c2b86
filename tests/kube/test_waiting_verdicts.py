"""Rollout waits on a real control plane: old verdicts, quotas, permissions and old events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.core.errors import EngineError
from framework.kinds.registry import RULES
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from framework.kube.waiting import RolloutCounts
from tests.kube.objects import deployment, live_of, urn

pytestmark = pytest.mark.cluster

URN = urn("sentiment")
Roll = Callable[[ObjectState], ObjectState]
VOLUMES = {"volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}}]}


def weights(namespace: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A volume and the claim that binds it."""
    volume = f"weights-{namespace}"
    common = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
    }
    capacity = {"storage": "1Gi"}
    claim = {**common, "volumeName": volume, "resources": {"requests": capacity}}
    spec = {**common, "capacity": capacity, "hostPath": {"path": "/weights"}}
    return (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume},
            "spec": spec,
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "weights", "namespace": namespace},
            "spec": claim,
        },
    )


def wait_s(provider: KubernetesProvider, state: ObjectState, seconds: float) -> ObjectState:
    return provider.wait(
        state, timeout_s=seconds, on_counts=lambda counts: None, stop=threading.Event()
    )


def quota(namespace: str, pods: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": namespace},
        "spec": {"hard": {"pods": str(pods)}},
    }


# --- old verdicts


@pytest.mark.parametrize("change", ["none", "labels"])
def test_old_verdict_is_ignored_once_its_cause_is_gone(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, roll_out: Roll, change: str
) -> None:
    inputs = deployment(namespace, pod=VOLUMES, progressDeadlineSeconds=3)
    state = provider.create(URN, inputs)
    with pytest.raises(EngineError, match="cannot be scheduled"):
        roll_out(state)
    for missing in weights(namespace):
        kube.create(missing, manager="tests")
    if change == "labels":
        inputs["metadata"]["labels"] = {**inputs["metadata"]["labels"], "team": "ml"}
    done = roll_out(provider.update(URN, state, inputs, ()))
    assert done.outputs["status"]["availableReplicas"] == 2
    kube.delete("v1", "PersistentVolume", f"weights-{namespace}", propagation="Background")


def test_old_verdict_with_its_cause_fails_after_a_new_deadline(
    provider: KubernetesProvider, namespace: str, roll_out: Roll
) -> None:
    inputs = deployment(namespace, pod={"nodeSelector": {"no": "where"}}, progressDeadlineSeconds=2)
    state = provider.create(URN, inputs)
    with pytest.raises(EngineError, match="made no progress within progressDeadlineSeconds"):
        roll_out(state)
    began = time.monotonic()
    again = provider.update(URN, state, inputs, ())
    with pytest.raises(EngineError, match=r"made no progress .*cannot be scheduled"):
        roll_out(again)
    assert 2 <= time.monotonic() - began < 10


# --- scaling up


def test_scale_up_beyond_a_quota_fails_at_the_progress_deadline(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, roll_out: Roll
) -> None:
    state = roll_out(provider.create(URN, deployment(namespace, image="x/model:v0")))
    state = roll_out(provider.update(URN, state, deployment(namespace, replicas=3), ()))
    kube.create(quota(namespace, 3), manager="tests")
    more = deployment(namespace, replicas=6, progressDeadlineSeconds=2)
    state = provider.update(URN, state, more, ())
    with pytest.raises(EngineError) as caught:
        roll_out(state)
    assert "made no progress within progressDeadlineSeconds" in str(caught.value)
    assert "exceeded quota: few" in str(caught.value)
    assert str(caught.value).endswith("; 3 of 6 Pods serve")


# --- permissions


@pytest.fixture
def restricted(
    kube: KubeClient, kubeconfig: Path, namespace: str, tmp_path: Path
) -> Iterator[Callable[..., KubeClient]]:
    """Makes a client of a user who may use only these verbs on Deployments of the Namespace."""
    opened: list[KubeClient] = []

    def connect(*verbs: str) -> KubeClient:
        account = {"name": "deployer", "namespace": namespace}
        rbac = "rbac.authorization.k8s.io"
        rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": list(verbs)}
        subject = {"kind": "ServiceAccount", **account}
        role = {"apiGroup": rbac, "kind": "Role", "name": "deployer"}
        for made in (
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
            {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": account, "rules": [rule]},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": account,
                "roleRef": role,
                "subjects": [subject],
            },
        ):
            kube.create(made, manager="tests")
        token = kube.connection.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/deployer/token",
            "token",
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
            media="application/json",
        )["status"]["token"]
        document = yaml.safe_load(kubeconfig.read_text())
        document["users"][0]["user"] = {"token": token}
        path = tmp_path / "deployer"
        path.write_text(yaml.safe_dump(document))
        opened.append(KubeClient.connect(path, "local"))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


@pytest.mark.parametrize(
    "verbs",
    [
        pytest.param(("get",), id="list"),
        pytest.param(("get", "list"), id="watch"),
    ],
)
def test_rollout_without_a_permission_is_read_instead(
    provider: KubernetesProvider,
    namespace: str,
    restricted: Callable[..., KubeClient],
    verbs: tuple[str, ...],
) -> None:
    state = provider.create(URN, deployment(namespace))
    counts: list[RolloutCounts] = []
    done = KubernetesProvider(restricted(*verbs), rules=RULES).wait(
        state, timeout_s=30, on_counts=counts.append, stop=threading.Event()
    )
    assert done.outputs["status"]["availableReplicas"] == 2
    assert counts[-1].available == 2


def test_rollout_goes_on_without_permission_to_read_the_reason(
    provider: KubernetesProvider,
    namespace: str,
    restricted: Callable[..., KubeClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framework.kube.waiting.STUCK_S", 0.5)
    state = provider.create(URN, deployment(namespace, minReadySeconds=3))
    messages: list[str] = []
    done = KubernetesProvider(restricted("get", "list", "watch"), rules=RULES).wait(
        state,
        timeout_s=30,
        on_counts=lambda counts: messages.append(counts.message),
        stop=threading.Event(),
    )
    assert done.outputs["status"]["availableReplicas"] == 2
    assert any('cannot list resource "replicasets"' in message for message in messages)


def test_wait_without_permission_to_read_names_the_permission(
    provider: KubernetesProvider, namespace: str, restricted: Callable[..., KubeClient]
) -> None:
    state = provider.create(URN, deployment(namespace))
    began = time.monotonic()
    with pytest.raises(ApiError, match=f'cannot get resource "deployments".*"{namespace}"'):
        wait_s(KubernetesProvider(restricted("patch"), rules=RULES), state, 30)
    assert time.monotonic() - began < 5


# --- old events


def test_state_is_never_older_than_what_apply_returned(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, roll_out: Roll
) -> None:
    inputs = deployment(namespace)
    inputs["metadata"]["labels"] = {**inputs["metadata"]["labels"], "team": "ml"}
    state = roll_out(provider.create(URN, inputs))
    watch = provider._watches.for_object(state.outputs)
    with watch.subscribed("other"):
        for _ in range(10):
            live = live_of(kube, inputs)
            live["metadata"]["labels"].pop("team")
            live["metadata"].pop("managedFields")
            kube.replace(live, manager="k9s")
            state = provider.update(URN, state, inputs, ())
            applied = state.outputs["metadata"]["resourceVersion"]
            state = roll_out(state)
            assert state.outputs["metadata"]["labels"]["team"] == "ml"
            assert int(state.outputs["metadata"]["resourceVersion"]) >= int(applied)
