"""Replacements, on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.changes import Op
from framework.kube.provider import KubernetesProvider
from tests.kube.objects import Object, config_map, deployment, secret, service, urn

pytestmark = pytest.mark.cluster

URN = urn("sentiment")


def headless(namespace: str) -> Object:
    obj = service(namespace)
    return {**obj, "spec": {**obj["spec"], "clusterIP": "None"}}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(lambda n: secret(n, a="1"), lambda n: secret(n, b="1"), id="secret"),
        pytest.param(
            lambda n: {**config_map(n, A="1"), "immutable": True},
            lambda n: {**config_map(n, A="1"), "immutable": False},
            id="server-says-immutable",
        ),
        pytest.param(
            lambda n: deployment(n),
            lambda n: deployment(
                n,
                selector={"matchLabels": {"app.kubernetes.io/name": "sentiment", "x": "y"}},
                template={
                    "metadata": {"labels": {"app.kubernetes.io/name": "sentiment", "x": "y"}},
                    "spec": {"containers": [{"name": "model", "image": "i:1"}]},
                },
            ),
            id="selector",
        ),
        pytest.param(service, headless, id="headless"),
        pytest.param(headless, service, id="no-longer-headless"),
    ],
)
def test_change_of_an_immutable_field_replaces_the_object(
    provider: KubernetesProvider, namespace: str, old: Any, new: Any
) -> None:
    state = provider.create(URN, old(namespace))
    diff = provider.diff(URN, state, new(namespace), ())
    assert (diff.op, diff.delete_first) == (Op.REPLACE, True)
    assert diff.fields


def test_new_name_replaces_and_creates_first(provider: KubernetesProvider, namespace: str) -> None:
    state = provider.create(URN, config_map(namespace, "settings-1", A="1"))
    diff = provider.diff(URN, state, config_map(namespace, "settings-2", A="2"), ())
    assert (diff.op, diff.delete_first) == (Op.REPLACE, False)
    assert [f.path for f in diff.fields] == ["data.A", "metadata.name"]


def test_drift_beside_the_inputs_does_not_replace(
    provider: KubernetesProvider, kubectl: Any, namespace: str
) -> None:
    inputs = config_map(namespace, A="1")
    state = provider.create(URN, inputs)
    kubectl("edit", inputs, {"data": {"A": "1", "B": "2"}})
    diff = provider.diff(URN, state, inputs, ())
    assert (diff.op, [f.path for f in diff.fields]) == (Op.UPDATE, ["data.B"])
    assert provider.update(URN, state, inputs, ()).outputs["data"] == {"A": "1"}


def test_addition_to_an_object_made_immutable_replaces_it(
    provider: KubernetesProvider, kubectl: Any, namespace: str
) -> None:
    inputs = config_map(namespace, A="1")
    state = provider.create(URN, inputs)
    kubectl("edit", inputs, {"data": {"A": "1", "new": "x"}, "immutable": True})
    diff = provider.diff(URN, state, inputs, ())
    assert (diff.op, diff.delete_first) == (Op.REPLACE, True)
    assert [f.path for f in diff.fields] == ["data.new", "immutable"]
