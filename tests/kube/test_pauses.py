"""A paused Deployment is resumed by an apply, and never counts as rolled out in a wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from framework.core.errors import EngineError
from framework.kube.client import KubeClient
from framework.kube.objects import ObjectState
from framework.kube.provider import KubernetesProvider
from tests.kube.objects import deployment, live_of, urn

pytestmark = pytest.mark.cluster

URN = urn("sentiment")
Roll = Callable[[ObjectState], ObjectState]


def pause(kube: KubeClient, obj: dict[str, Any], manager: str = "k9s") -> None:
    metadata = {key: obj["metadata"][key] for key in ("name", "namespace")}
    paused = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"paused": True},
    }
    kube.apply(paused, manager=manager, force=True, dry_run=False)


def test_deployment_paused_while_it_rolls_fails(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, roll_out: Roll
) -> None:
    state = roll_out(provider.create(URN, deployment(namespace)))
    broken = deployment(namespace, pod={"nodeSelector": {"no": "where"}})
    state = provider.update(URN, state, broken, ())
    pause(kube, broken)
    resume = f"kubectl rollout resume deployment/sentiment --namespace {namespace}"
    with pytest.raises(EngineError, match=f"is paused by k9s: .*{resume}"):
        roll_out(state)


@pytest.mark.parametrize("manager", ["k9s", "kubectl-rollout"])
def test_update_resumes_a_paused_deployment(
    provider: KubernetesProvider,
    kube: KubeClient,
    namespace: str,
    roll_out: Roll,
    manager: str,
) -> None:
    before = deployment(namespace)
    state = roll_out(provider.create(URN, before))
    pause(kube, before, manager)
    found = provider.diff(URN, state, before, ())
    assert [(f.path, f.old, f.new) for f in found.fields] == [("spec.paused", True, None)]
    assert found.fields[0].manager == manager
    after = deployment(namespace, image="x/model:v2")
    state = provider.update(URN, state, after, ())
    assert "paused" not in state.outputs["spec"]
    done = roll_out(state)
    assert done.outputs["status"]["updatedReplicas"] == 2
    assert provider.diff(URN, done, after, ()).fields == ()
    settled = provider.update(URN, done, after, ())
    assert "paused" not in live_of(kube, after)["spec"]
    assert provider.diff(URN, settled, after, ()).fields == ()


def test_pause_in_the_inputs_is_kept(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, roll_out: Roll
) -> None:
    state = roll_out(provider.create(URN, deployment(namespace)))
    paused = deployment(namespace, image="x/model:v2", paused=True)
    state = roll_out(provider.update(URN, state, paused, ()))
    assert state.outputs["spec"]["paused"] is True
    assert provider.diff(URN, state, paused, ()).fields == ()


def test_ignored_pause_is_kept(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, roll_out: Roll
) -> None:
    before = deployment(namespace)
    state = roll_out(provider.create(URN, before))
    pause(kube, before)
    after = deployment(namespace, image="x/model:v2")
    state = provider.update(URN, state, after, ("spec.paused",))
    assert state.outputs["spec"]["paused"] is True
    with pytest.raises(EngineError, match="is paused by k9s"):
        roll_out(state)


def test_create_that_was_interrupted_resumes_a_paused_deployment(
    provider: KubernetesProvider, kube: KubeClient, namespace: str, roll_out: Roll
) -> None:
    provider.create(URN, deployment(namespace))
    pause(kube, deployment(namespace))
    state = provider.create(URN, deployment(namespace, image="x/model:v2"))
    assert roll_out(state).outputs["status"]["updatedReplicas"] == 2
