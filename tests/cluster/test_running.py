"""The running control plane: access, and the behaviour of Pods on simulated nodes."""

from __future__ import annotations

import json
import re
import ssl
import stat
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from framework.cluster.api import LoopbackClient
from framework.cluster.layout import Layout
from framework.cluster.local import LocalCluster

pytestmark = pytest.mark.cluster

Namespace = tuple[LoopbackClient, str]


@pytest.fixture
def layout(local_cluster: LocalCluster) -> Layout:
    return Layout(local_cluster.kubeconfig.parent)


@pytest.fixture
def client(layout: Layout) -> Iterator[LoopbackClient]:
    with LoopbackClient(layout, json.loads(layout.ports.read_text())["apiserver"]) as client:
        yield client


@pytest.fixture
def namespace(client: LoopbackClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """Creates a Namespace for the test, in which Pods can be created; yields its API path."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50]
    path = f"/api/v1/namespaces/{name}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    client.request("PATCH", f"{path}?fieldManager=test", body)
    wait_until(lambda: client.is_ok(f"{path}/serviceaccounts/default"))
    yield path
    client.request("DELETE", path)


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pod(*images: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": f"c{n}", "image": image} for n, image in enumerate(images)]
    metadata = {"name": "one"}
    spec = {"containers": containers, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def create(client: LoopbackClient, namespace: str, body: dict[str, Any]) -> str:
    path = f"{namespace}/pods/one"
    client.request("PATCH", f"{path}?fieldManager=test", body)
    return path


def status(client: LoopbackClient, path: str) -> dict[str, Any]:
    return dict(client.request("GET", path)["status"])


def is_ready(pod_status: dict[str, Any]) -> bool:
    conditions = pod_status.get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def states(pod_status: dict[str, Any], kind: str = "containerStatuses") -> list[str]:
    """Returns for each container `running`, `terminated`, or the reason why it waits."""
    return [
        container["state"].get("waiting", {}).get("reason") or next(iter(container["state"]))
        for container in pod_status[kind]
    ]


def test_every_component_listens_on_loopback_only(local_cluster: LocalCluster) -> None:
    for component in local_cluster.status().components:
        assert component.pid is not None
        addresses = {
            connection.laddr
            for connection in psutil.Process(component.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert {address.port for address in addresses} == set(component.ports)
        assert {address.ip for address in addresses} <= {"127.0.0.1"}


@pytest.mark.parametrize("path", ["/readyz", "/version", "/api/v1/nodes"])
def test_anonymous_requests_are_rejected(
    local_cluster: LocalCluster, layout: Layout, path: str
) -> None:
    context = ssl.create_default_context(cafile=layout.certificate("ca"))
    with pytest.raises(HTTPError) as caught:
        urlopen(local_cluster.status().server + path, context=context)
    with caught.value:
        assert caught.value.code == 401


def test_keys_logs_and_data_are_private(layout: Layout) -> None:
    private = [layout.kubeconfig, *layout.pki.glob("*.key"), *layout.run.glob("*.kubeconfig")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    folders = (layout.pki, layout.etcd, layout.logs, layout.run)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_status_describes_the_running_cluster(local_cluster: LocalCluster) -> None:
    found = local_cluster.status()
    assert found.running
    assert found.built
    assert found.version.startswith("v1.")
    assert found.memory_mib > 100
    assert found.kubeconfig == local_cluster.kubeconfig


def test_pod_with_init_containers_sidecars_and_gates_becomes_ready(
    client: LoopbackClient, namespace: str
) -> None:
    init = [
        {"name": "first", "image": "busybox:1"},
        {"name": "beside", "image": "busybox:1", "restartPolicy": "Always"},
    ]
    gates = [{"conditionType": "example.com/checked"}]
    body = pod("a:1", "b:1", initContainers=init, readinessGates=gates)
    path = create(client, namespace, body)
    wait_until(lambda: is_ready(status(client, path)))
    found = status(client, path)
    assert states(found) == ["running", "running"]
    assert states(found, "initContainerStatuses") == ["terminated", "running"]
    assert found["podIP"].startswith("10.128.")


def test_image_tagged_missing_cannot_be_pulled(client: LoopbackClient, namespace: str) -> None:
    path = create(client, namespace, pod("registry.example.com:5000/a:missing", "b:1"))
    wait_until(lambda: status(client, path).get("containerStatuses"))
    found = status(client, path)
    assert states(found) == ["ImagePullBackOff", "running"]
    message = found["containerStatuses"][0]["state"]["waiting"]["message"]
    assert '"registry.example.com:5000/a:missing"' in message
    assert "simulated" in message
    assert found["phase"] == "Pending"
    assert not is_ready(found)


def test_missing_init_image_blocks_the_containers(client: LoopbackClient, namespace: str) -> None:
    init = [{"name": "first", "image": "a:1"}, {"name": "second", "image": "a:missing"}]
    path = create(client, namespace, pod("b:1", initContainers=init))
    wait_until(lambda: status(client, path).get("containerStatuses"))
    found = status(client, path)
    assert states(found, "initContainerStatuses") == ["terminated", "ImagePullBackOff"]
    assert states(found) == ["PodInitializing"]


def test_deleted_pod_disappears_before_its_grace_period_ends(
    client: LoopbackClient, namespace: str
) -> None:
    path = create(client, namespace, pod("a:1", terminationGracePeriodSeconds=600))
    wait_until(lambda: is_ready(status(client, path)))
    client.request("DELETE", path)
    wait_until(lambda: not client.is_ok(path))


def test_interrupted_pod_deletion_is_finished(
    client: LoopbackClient, layout: Layout, namespace: str
) -> None:
    path = create(client, namespace, pod("a:1"))
    wait_until(lambda: is_ready(status(client, path)))
    # The state that remains when the API server is killed between the two writes of a deletion.
    cut = client.request("GET", path)
    going = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0}
    write_to_etcd(layout, path, {**cut, "metadata": {**cut["metadata"], **going}})
    assert client.is_ok(path)
    wait_until(lambda: not client.is_ok(path))


def write_to_etcd(layout: Layout, path: str, body: dict[str, Any]) -> None:
    """Writes an object into etcd, as JSON, which the API server reads like its own encoding."""
    context = ssl.create_default_context(cafile=layout.certificate("etcd-ca"))
    context.load_cert_chain(layout.certificate("apiserver-etcd"), layout.key("apiserver-etcd"))
    key = path.replace("/api/v1/namespaces", "/registry/pods").replace("/pods/one", "/one")
    texts = {"key": key, "value": json.dumps(body)}
    encoded = {name: b64encode(text.encode()).decode() for name, text in texts.items()}
    port = json.loads(layout.ports.read_text())["etcd"]
    request = Request(
        f"https://127.0.0.1:{port}/v3/kv/put", json.dumps(encoded).encode(), method="POST"
    )
    with urlopen(request, context=context, timeout=10) as answer:
        assert answer.status == 200


def test_pod_that_tolerates_the_taint_gets_a_gpu(client: LoopbackClient, namespace: str) -> None:
    body = pod("a:1", tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}])
    body["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    path = create(client, namespace, body)
    wait_until(lambda: is_ready(status(client, path)))
    assert client.request("GET", path)["spec"]["nodeName"].startswith("gpu-")
