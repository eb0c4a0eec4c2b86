"""Updates keep the fields that others own: replicas of autoscalers, and ignored fields."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import Op
from framework.kube.client import KubeClient
from framework.kube.managed_fields import field_paths, is_own, writers
from framework.kube.objects import ObjectState
from framework.kube.patching import build_patch, take_over
from framework.kube.provider import KubernetesProvider
from tests.kube.objects import config_map, deployment, live_of, scale, urn

pytestmark = pytest.mark.cluster

URN = urn("sentiment")
REPLICAS = ("f:spec", "f:replicas")


def test_autoscaling_switched_on_and_off_keeps_six_replicas(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    six = provider.create(URN, deployment(namespace, replicas=6))
    scaled = deployment(namespace, replicas=None)
    diff = provider.diff(URN, six, scaled, ())
    assert (diff.fields, diff.predicted["spec"]["replicas"]) == ((), 6)
    on = provider.update(URN, six, scaled, ())
    assert on.outputs["spec"]["replicas"] == 6
    assert provider.update(URN, on, scaled, ()).outputs["spec"]["replicas"] == 6
    scale(kube, scaled, 8, "kube-controller-manager")
    assert provider.diff(URN, on, scaled, ()).op is Op.SAME
    new_image = deployment(namespace, replicas=None, image="registry.example.com/ml/sentiment:v2")
    on = provider.update(URN, on, new_image, ())
    assert on.outputs["spec"]["replicas"] == 8
    off = provider.update(URN, on, deployment(namespace, replicas=3), ())
    assert off.outputs["spec"]["replicas"] == 3
    own = [e for e in off.outputs["metadata"]["managedFields"] if REPLICAS in field_paths(e)]
    assert [is_own(e, off.outputs["__fieldManager"]) for e in own] == [True]


def test_autoscaling_on_keeps_the_replicas_of_a_cli_made_model(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    inputs = deployment(namespace, replicas=6)
    live = kube.create(inputs, manager="pulumi-kubernetes")
    state = ObjectState("", inputs, {**live, "__fieldManager": "pulumi-kubernetes-58430e23"})
    scaled = deployment(namespace, replicas=None)
    assert provider.diff(URN, state, scaled, ()).predicted["spec"]["replicas"] == 6
    on = provider.update(URN, state, scaled, ())
    assert on.outputs["spec"]["replicas"] == 6
    assert provider.diff(URN, on, scaled, ()).op is Op.SAME


def test_ignored_field_keeps_its_live_value(
    provider: KubernetesProvider, kube: KubeClient, namespace: str
) -> None:
    ignored = ["spec.replicas"]
    state = provider.create(URN, deployment(namespace, replicas=2))
    new = deployment(namespace, replicas=4)
    assert provider.diff(URN, state, new, ignored).op is Op.SAME
    updated = provider.update(URN, state, new, ignored)
    assert updated.inputs["spec"]["replicas"] == updated.outputs["spec"]["replicas"] == 2
    scale(kube, new, 7, "kube-controller-manager")
    assert provider.diff(URN, updated, new, ignored).op is Op.SAME
    assert provider.update(URN, updated, new, ignored).outputs["spec"]["replicas"] == 7


def test_ignored_annotation_of_kubectl_is_kept(
    provider: KubernetesProvider, kubectl: Any, kube: KubeClient, namespace: str
) -> None:
    inputs = config_map(namespace)
    state = provider.create(URN, inputs)
    metadata = {**live_of(kube, inputs)["metadata"], "annotations": {"a.b/c": "1", "d": "2"}}
    kubectl("annotate", inputs, {"metadata": metadata})
    ignored = ['metadata.annotations["a.b/c"]']
    diff = provider.diff(URN, state, inputs, ignored)
    assert [f.path for f in diff.fields] == ["metadata.annotations.d"]
    updated = provider.update(URN, state, inputs, ignored)
    assert updated.outputs["metadata"]["annotations"] == {"a.b/c": "1"}


def test_take_over_is_repeated_after_a_conflict(
    kube: KubeClient, kubectl: Any, namespace: str
) -> None:
    """Another manager writes between our read and our patch of managedFields."""
    inputs = config_map(namespace)
    kube.apply(inputs, manager="ours", force=False, dry_run=False)
    kubectl("edit", inputs, {"data": {**inputs["data"], "EXTRA": "1"}})
    stale = live_of(kube, inputs)
    named = {"name": "settings", "namespace": namespace}
    labelled = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**named, "labels": {"a": "b"}},
    }
    kube.apply(labelled, manager="kubelet", force=False, dry_run=False)
    take_over(kube, stale, build_patch(stale, inputs, inputs, "ours", ()))
    assert writers(live_of(kube, inputs)) == ("kubelet", "ours")
