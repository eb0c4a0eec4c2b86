"""Waiting for rollouts and deletions on a real control plane."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from framework.core.errors import ClusterError, EngineError
from framework.kinds.registry import RULES
from framework.kube.client import KubeClient
from framework.kube.objects import ObjectState, field_manager
from framework.kube.provider import KubernetesProvider, RecreatedError
from framework.kube.waiting import wait_namespace_active
from tests.kube.objects import config_map, deployment, service, urn

pytestmark = pytest.mark.cluster

URN = urn("sentiment")
Roll = Callable[[ObjectState], ObjectState]


def test_wait_reports_counts_until_the_rollout_is_complete(
    provider: KubernetesProvider, namespace: str
) -> None:
    counts: list[Any] = []
    state = provider.create(URN, deployment(namespace, replicas=3))
    done = provider.wait(state, timeout_s=30, on_counts=counts.append, stop=threading.Event())
    assert done.outputs["status"]["availableReplicas"] == 3
    assert (counts[-1].updated, counts[-1].ready, counts[-1].desired) == (3, 3, 3)


def test_failed_rollout_names_the_unschedulable_pod(
    provider: KubernetesProvider, namespace: str, roll_out: Roll
) -> None:
    state = roll_out(provider.create(URN, deployment(namespace)))
    broken = deployment(namespace, pod={"nodeSelector": {"no": "where"}}, progressDeadlineSeconds=2)
    state = provider.update(URN, state, broken, ())
    with pytest.raises(EngineError) as caught:
        roll_out(state)
    words = str(caught.value)
    assert "made no progress within progressDeadlineSeconds: sentiment-" in words
    assert "cannot be scheduled" in words
    assert "of 2 old Pods still serve" in words
    fixed = provider.update(URN, state, deployment(namespace), ())
    assert roll_out(fixed).outputs["status"]["updatedReplicas"] == 2


def test_failed_rollout_names_the_exceeded_quota(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    kube.create(quota, manager="tests")
    state = provider.create(URN, deployment(namespace))
    with pytest.raises(EngineError, match=r"did not roll out within 2s: .*exceeded quota: none"):
        provider.wait(state, timeout_s=2, on_counts=lambda c: None, stop=threading.Event())


def test_stop_ends_the_wait_for_a_rollout(provider: KubernetesProvider, namespace: str) -> None:
    stop = threading.Event()
    stop.set()
    state = provider.create(URN, deployment(namespace, pod={"nodeSelector": {"no": "where"}}))
    with pytest.raises(EngineError, match="no longer waited for"):
        provider.wait(state, timeout_s=60, on_counts=lambda c: None, stop=stop)


def test_skip_await_does_not_wait(provider: KubernetesProvider, namespace: str) -> None:
    inputs = deployment(namespace, pod={"nodeSelector": {"no": "where"}})
    inputs["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    state = provider.create(URN, inputs)
    assert provider.wait(state, timeout_s=1, on_counts=print, stop=threading.Event()) is state


def test_delete_of_a_deployment_waits_for_its_pods(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, roll_out: Roll
) -> None:
    state = roll_out(provider.create(URN, deployment(namespace)))
    provider.delete(state, timeout_s=30)
    assert provider.read(state) is None
    assert kube.list_objects("v1", "Pod", namespace) == []
    provider.delete(state, timeout_s=1)


def test_delete_leaves_another_object_of_the_same_name(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    state = provider.create(URN, service(namespace))
    provider.delete(state, timeout_s=10)
    kube.create(service(namespace), manager="someone")
    assert provider.read(state) is None
    with pytest.raises(RecreatedError, match="is not deleted"):
        provider.delete(state, timeout_s=10)
    assert kube.get("v1", "Service", "sentiment", namespace) is not None


def test_timeout_of_a_deletion_names_the_finalizer(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = config_map(namespace)
    inputs["metadata"]["finalizers"] = ["example.com/hold"]
    state = provider.create(URN, inputs)
    with pytest.raises(ClusterError, match=r"waiting for: finalizer example\.com/hold"):
        provider.delete(state, timeout_s=0.2)
    operations = [{"op": "remove", "path": "/metadata/finalizers"}]
    kube.json_patch(
        "v1", "ConfigMap", "settings", namespace, operations=operations, manager="tests"
    )
    assert provider.read(state) is None


def test_create_in_a_namespace_being_deleted_fails(
    provider: KubernetesProvider, namespace: str, kube: KubeClient
) -> None:
    held = config_map(namespace)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    kube.create(held, manager="tests")
    kube.delete("v1", "Namespace", namespace, propagation="Background")
    with pytest.raises(ClusterError, match="its Namespace is being deleted"):
        provider.create(URN, config_map(namespace, "other"))
    operations = [{"op": "remove", "path": "/metadata/finalizers"}]
    kube.json_patch(
        "v1", "ConfigMap", "settings", namespace, operations=operations, manager="tests"
    )


def test_field_manager_is_recorded_else_annotated_else_derived() -> None:
    inputs = config_map("n")
    annotated = config_map("n")
    annotated["metadata"]["annotations"] = {"pulumi.com/patchFieldManager": "me"}
    recorded = ObjectState("n/x", inputs, {"__fieldManager": "it"})
    assert field_manager(URN, recorded, annotated) == "it"
    assert field_manager(URN, dataclasses.replace(recorded, outputs={}), annotated) == "me"
    assert field_manager(URN, None, inputs).startswith("pulumi-kubernetes-")


def test_wait_reports_the_reason_of_a_stuck_rollout(
    provider: KubernetesProvider, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.kube.waiting.STUCK_S", 0.5)
    messages: list[str] = []
    state = provider.create(URN, deployment(namespace, pod={"nodeSelector": {"no": "where"}}))
    with pytest.raises(EngineError, match="did not roll out within 3s"):
        provider.wait(
            state,
            timeout_s=3,
            on_counts=lambda counts: messages.append(counts.message),
            stop=threading.Event(),
        )
    assert "cannot be scheduled" in messages[-1]


@pytest.mark.parametrize("when", ["before", "while"])
def test_wait_fails_when_the_deployment_is_deleted(
    provider: KubernetesProvider,
    kube: KubeClient,
    namespace: str,
    when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("framework.kube.waiting.SILENT_S", 0.5)
    state = provider.create(URN, deployment(namespace, pod={"nodeSelector": {"no": "where"}}))
    path = ("apps/v1", "Deployment", "sentiment", namespace)
    delay = 0 if when == "before" else 1
    timer = threading.Timer(delay, lambda: kube.delete(*path, propagation="Background"))
    timer.start()
    if when == "before":
        timer.join()
    with pytest.raises(EngineError, match="it was deleted in the meantime"):
        provider.wait(state, timeout_s=20, on_counts=lambda c: None, stop=threading.Event())
    timer.join()


def test_wait_for_a_namespace_ends_when_it_is_active(
    provider: KubernetesProvider, namespace: str
) -> None:
    inputs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{namespace}-2"}}
    state = provider.create(URN, inputs)
    done = provider.wait(state, timeout_s=10, on_counts=lambda c: None, stop=threading.Event())
    assert done.outputs["status"]["phase"] == "Active"
    provider.delete(done, timeout_s=30)
    assert provider.read(done) is None


def test_wait_for_a_terminating_namespace_fails_with_advice() -> None:
    class Client:
        def get(self, *what: str) -> dict[str, Any]:
            return {"status": {"phase": "Terminating"}}

    with pytest.raises(ClusterError, match=r"^Namespace ml: is Terminating .*run the same command"):
        wait_namespace_active(Client(), "ml", 0)  # type: ignore[arg-type]


def test_many_waits_share_one_watch(kube: KubeClient, namespace: str) -> None:
    provider = KubernetesProvider(kube, rules=RULES)
    names = [f"m{i}" for i in range(12)]
    with ThreadPoolExecutor(len(names)) as pool:
        made = pool.map(lambda n: provider.create(urn(n), deployment(namespace, n)), names)
        states = list(made)
        done = pool.map(
            lambda s: provider.wait(
                s, timeout_s=60, on_counts=lambda c: None, stop=threading.Event()
            ),
            states,
        )
        assert all(s.outputs["status"]["availableReplicas"] == 2 for s in done)
    watches = [
        t for t in threading.enumerate() if t.name == f"watch/apps/v1/Deployment/{namespace}"
    ]
    assert len(watches) == 1
