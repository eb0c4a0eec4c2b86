"""Streams that break: a real HTTP server on the loopback interface closes them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from framework.core.errors import ClusterError
from framework.kube.client import KubeClient
from framework.kube.watching import SharedWatch
from tests.kube.test_client import write_kubeconfig

RESOURCES = {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]}


def item(version: str) -> dict[str, Any]:
    return {"metadata": {"name": "a", "resourceVersion": version}}


def event(version: str) -> bytes:
    return json.dumps({"type": "MODIFIED", "object": item(version)}).encode() + b"\n"


class CuttingServer(ThreadingHTTPServer):
    """Serves one ConfigMap; each watch gets the next text of `watches` and is then cut."""

    def __init__(self, *watches: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.watches = list(watches)
        self.lists = 0
        self.answer: bytes | None = None
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: CuttingServer

    def do_GET(self) -> None:
        if "watch=true" in self.path:
            self._watch()
        elif self.server.answer is not None:
            self._send(self.server.answer)
        elif self.path.endswith("/version"):
            self._send(b'{"major": "1", "minor": "37"}')
        elif self.path.endswith("/api/v1"):
            self._send(json.dumps(RESOURCES).encode())
        else:
            self.server.lists += 1
            version = str(100 * self.server.lists)
            listed = {"metadata": {"resourceVersion": version}, "items": [item(version)]}
            self._send(json.dumps(listed).encode())

    def _watch(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.server.watches:
            self.wfile.write(self.server.watches.pop(0))
        else:
            self.server.over.wait(10)
        self.close_connection = True

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[CuttingServer]:
    with CuttingServer() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.over.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def client(server: CuttingServer, tmp_path: Path) -> Iterator[KubeClient]:
    path = write_kubeconfig(tmp_path / "config", server.address)
    with KubeClient.connect(path, "here") as made:
        yield made


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(event("101")[:-20], id="cut"),
        pytest.param(b"<html>Sign in</html>\n", id="proxy-page"),
        pytest.param(b'{"type": "ADDED"}\n', id="no-object"),
        pytest.param(b"[]\n", id="no-mapping"),
    ],
)
def test_incomplete_event_is_a_cluster_error(
    server: CuttingServer, client: KubeClient, line: bytes
) -> None:
    server.watches = [event("100") + line]
    events = client.watch("v1", "ConfigMap", "ml")
    assert next(events) == ("MODIFIED", item("100"))
    with pytest.raises(ClusterError, match="watch of ConfigMap in ml: an event is incomplete"):
        next(events)


def test_watch_lists_again_after_a_cut_line(server: CuttingServer, client: KubeClient) -> None:
    server.watches = [event("101") + event("102")[:-20]]
    with SharedWatch(client, "v1", "ConfigMap", "ml").subscribed("a") as queue:
        assert [queue.get(timeout=5) for _ in range(3)] == [
            {"apiVersion": "v1", "kind": "ConfigMap", **item("100")},
            item("101"),
            {"apiVersion": "v1", "kind": "ConfigMap", **item("200")},
        ]
        server.over.set()
        client.close()


def test_watch_of_a_closed_client_is_empty(client: KubeClient) -> None:
    client.served_kind("v1", "ConfigMap")
    client.close()
    assert list(client.watch("v1", "ConfigMap", "ml")) == []


def test_closed_client_yields_no_more_of_its_watch(
    server: CuttingServer, client: KubeClient
) -> None:
    # With TLS, what is read after `close` is encrypted, and may look like the end of a line.
    server.watches = [event("100") + event("101") + b'{"type": "ADD\x17\x03\x03\n']
    events = client.watch("v1", "ConfigMap", "ml")
    assert next(events) == ("MODIFIED", item("100"))
    client.close()
    assert list(events) == []


def test_client_closed_while_a_watch_connects(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close_and_fail(*arguments: object, **options: object) -> None:
        client.close()
        raise RuntimeError("Cannot send a request, as the client has been closed.")

    client.served_kind("v1", "ConfigMap")
    monkeypatch.setattr(client.connection._http, "stream", close_and_fail)
    assert list(client.watch("v1", "ConfigMap", "ml")) == []


def test_answer_that_is_not_json_names_the_kubeconfig(
    server: CuttingServer, client: KubeClient
) -> None:
    client.served_kind("v1", "ConfigMap")
    server.answer = b"<html>Sign in</html>"
    with pytest.raises(ClusterError, match=r"ConfigMap ml/a: .* that is not JSON; check that the"):
        client.get("v1", "ConfigMap", "a", "ml")
