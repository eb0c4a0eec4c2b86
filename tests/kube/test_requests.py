"""Requests that fail on the way, and which of them are repeated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import httpx2 as httpx
import pytest

from framework.core.errors import ClusterError
from framework.kube import connection
from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient
from framework.kube.connection import ApiConnection

OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "n"}}
KINDS = {
    "resources": [
        {"kind": "ConfigMap", "name": "configmaps", "namespaced": True},
        {"kind": "Namespace", "name": "namespaces", "namespaced": False},
    ]
}
DROPPED = httpx.RemoteProtocolError("server disconnected")
REFUSED = httpx.ConnectError("Connection refused")
BUSY = httpx.Response(429, headers={"Retry-After": "0"}, json={"message": "busy"})
DONE = httpx.Response(200, json=OBJECT)


def client_of(*responses: Any) -> KubeClient:
    """Returns a client of a server that serves ConfigMaps and sends these responses in turn."""
    remaining: Iterator[Any] = iter(responses)

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1":
            return httpx.Response(200, json=KINDS)
        response = next(remaining)
        if isinstance(response, Exception):
            raise response
        assert isinstance(response, httpx.Response)
        return response

    http = httpx.Client(transport=httpx.MockTransport(respond), base_url="https://10.0.0.1:6443")
    return KubeClient(ApiConnection(http, "check the address"))


@pytest.fixture
def briefly_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats requests for a fraction of a second only."""
    monkeypatch.setattr(connection, "RETRY_FOR_S", 0.3)


def apply(client: KubeClient) -> dict[str, Any]:
    return client.apply(OBJECT, manager="tests", force=False, dry_run=False)


@pytest.mark.parametrize(
    "responses",
    [
        pytest.param([DROPPED, DONE], id="dropped-once"),
        pytest.param([BUSY, BUSY, DONE], id="busy-for-a-while"),
        pytest.param([REFUSED, REFUSED, DROPPED, REFUSED, DONE], id="restarted"),
        pytest.param([httpx.Response(502), httpx.Response(504), DONE], id="proxy-without-server"),
    ],
)
def test_transient_failure_is_retried(responses: list[Any]) -> None:
    with client_of(*responses) as client:
        assert apply(client) == OBJECT


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(REFUSED, id="refused"),
        pytest.param(DROPPED, id="dropped-for-good"),
        pytest.param(httpx.ReadTimeout("timed out"), id="timeout"),
    ],
)
def test_unreachable_server_is_named(failure: Exception, briefly_away: None) -> None:
    unreachable = pytest.raises(ClusterError, match=r"10\.0\.0\.1:6443")
    with client_of(*repeat(failure, 100)) as client, unreachable:
        apply(client)


def test_server_that_never_answered_is_not_asked_again() -> None:
    tries: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        tries.append(request.url.path)
        raise REFUSED

    http = httpx.Client(transport=httpx.MockTransport(refuse), base_url="https://10.0.0.1:6443")
    with pytest.raises(ClusterError, match="does not answer"):
        ApiConnection(http, "check").request("GET", "/version", "version")
    assert tries == ["/version"]


def test_dropped_create_is_not_repeated() -> None:
    with client_of(DROPPED, DONE) as client, pytest.raises(ClusterError, match="does not answer"):
        client.create(OBJECT, manager="tests")


def test_server_that_stays_busy_is_an_api_error(briefly_away: None) -> None:
    with (
        client_of(*repeat(BUSY, 10_000)) as client,
        pytest.raises(ApiError, match="busy") as caught,
    ):
        apply(client)
    assert caught.value.status == 429


def test_request_of_a_closed_client_fails() -> None:
    client = client_of(DONE)
    client.close()
    with pytest.raises(ClusterError, match="does not answer"):
        apply(client)


def test_forbidden_kube_system_says_why_it_is_read_and_what_to_ask_for() -> None:
    forbidden = httpx.Response(403, json={"message": 'namespaces "kube-system" is forbidden'})
    with client_of(forbidden) as client, pytest.raises(ClusterError) as refused:
        client.cluster_uid()
    message = str(refused.value)
    assert message.startswith('Namespace kube-system: namespaces "kube-system" is forbidden')
    assert "identifies the cluster" in message
    assert "`get` of `namespaces` with resourceNames [kube-system]" in message
