"""Small objects for tests to apply, changes that others make to them, and a fake client."""

from __future__ import annotations

from typing import Any

from framework.core.errors import ClusterError
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient

Object = dict[str, Any]


def urn(name: str, kind: str = "Deployment") -> str:
    """Returns the URN of a resource; unique by name and kind."""
    return f"urn:pulumi:dev::tests::kubernetes:apps/v1:{kind}::{name}"


def deployment(namespace: str, name: str = "sentiment", **changed: Any) -> Object:
    """Builds a Deployment of two Pods with one container, `model`.

    Keywords change the image, `env`, fields of the Pod (`pod`) and fields of `spec`; None removes.
    """
    labels = {"app.kubernetes.io/name": name}
    image = changed.pop("image", "registry.example.com/ml/sentiment:v1")
    env = changed.pop("env", {"LOG_LEVEL": "info"})
    pod = changed.pop("pod", {})
    container = {
        "name": "model",
        "image": image,
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **pod}},
        **changed,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def config_map(namespace: str, name: str = "settings", **data: str) -> Object:
    """Builds a ConfigMap with this data."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data or {"LOG_LEVEL": "info"},
    }


def secret(namespace: str, **text: str) -> Object:
    """Builds a Secret with this stringData."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hub", "namespace": namespace},
        "stringData": text,
    }


def service(namespace: str, name: str = "sentiment") -> Object:
    """Builds a Service of one port."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"app.kubernetes.io/name": name},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def scale(kube: KubeClient, obj: Object, replicas: int, manager: str) -> None:
    """Scales through the scale subresource, as an autoscaler does."""
    metadata = obj["metadata"]
    path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments/{metadata['name']}/scale"
    body = {"spec": {"replicas": replicas}}
    media = "application/merge-patch+json"
    kube.connection.request("PATCH", path, "scale", {"fieldManager": manager}, body, media)


def live_of(kube: KubeClient, obj: Object) -> Object:
    """Returns the object as the server has it."""
    metadata = obj["metadata"]
    live = kube.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace", ""))
    assert live is not None
    return live


class FakeReads:
    """A client whose reads return the given results in turn, and then the last one again and again.

    Its user is not allowed to list objects.
    """

    closed = False

    def __init__(self, *results: Object | ClusterError | None) -> None:
        self._results = list(results)
        self.reads = 0

    def get(self, *path: str) -> Object | None:
        self.reads += 1
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        if isinstance(result, ClusterError):
            raise result
        return result

    def list_objects(self, *scope: str, **selectors: str) -> list[Object]:
        raise ApiError("list of Pod in n", 403, "Forbidden", "cannot list")
