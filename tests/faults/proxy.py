"""A proxy of the API server on the loopback interface, which tests use to inject faults.

It passes every request on to the real server, unless `react` returns a fault for it. Both engines
reach the server through it with the kubeconfig of `write_kubeconfig`.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.conftest import Project

CONTEXT = "proxied"
_NOT_PASSED_ON = {"host", "connection", "authorization", "accept-encoding", "content-length"}
_NOT_PASSED_BACK = {"connection", "transfer-encoding", "content-length"}
_CHUNK = 65536


@dataclass(frozen=True)
class Request:
    """One request. `writes` counts the writes so far, this one included."""

    method: str
    path: str
    writes: int

    @property
    def is_write(self) -> bool:
        """True for a request that may change the cluster."""
        # A review of permissions is a POST that stores nothing.
        is_review = "/authorization.k8s.io/" in self.path
        return self.method != "GET" and "dryRun=All" not in self.path and not is_review

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


@dataclass(frozen=True)
class Fault:
    """Replaces the server's answer. Status 0 cuts the connection, after the server's answer if
    `arrives`."""

    status: int = 0
    message: str = ""
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    arrives: bool = False

    def render(self) -> bytes:
        """Renders the Status object of the API server."""
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.status}
        return json.dumps({**body, "message": self.message, "reason": self.reason}).encode()


React = Callable[[Request], Fault | None]


class FaultProxy:
    """Forwards to the server of a kubeconfig. `after` is called when a write has been answered."""

    def __init__(self, kubeconfig: Path) -> None:
        self.react: React = lambda request: None
        self.after: Callable[[Request], None] = lambda request: None
        self.upstream = _Upstream(kubeconfig)
        self.lock = threading.Lock()
        self.writes = 0
        self.connections: set[socket.socket] = set()
        self._server: _Server | None = None
        # Set while it listens.
        self.listening = threading.Event()
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listens, on the same port as before."""
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.listening.set()

    def stop(self) -> None:
        """Cuts every connection, and refuses new ones until `start`."""
        assert self._server is not None
        self.listening.clear()
        self._server.shutdown()
        self._server.server_close()
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def reacting(self, react: React) -> Iterator[None]:
        """Injects the faults of `react` inside the `with` statement."""
        self.react = react
        try:
            yield
        finally:
            self.react = lambda request: None

    def write_kubeconfig(self, path: Path) -> Path:
        """Writes a kubeconfig whose context leads through this proxy."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "clusters": [{"name": CONTEXT, "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": CONTEXT, "user": {"token": "any"}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path


def lead_through(project: Project, proxy: FaultProxy) -> None:
    """Makes the environment dev reach its cluster through the proxy."""
    kubeconfig = proxy.write_kubeconfig(project.root / "proxied.yaml")
    environment = project.root / "environments/dev/environment.yaml"
    text = environment.read_text()
    named = f"context: {CONTEXT}\n  kubeconfig: {kubeconfig}"
    environment.write_text(re.sub(r"context: local\b.*", named, text, count=1))


class _Upstream:
    """Connects to the real server with the client certificate of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        parts = urlsplit(cluster["server"])
        self._address = (parts.hostname or "", parts.port or 443)
        self._context = ssl.create_default_context(
            cadata=_read(cluster, "certificate-authority", kubeconfig).decode()
        )
        with tempfile.NamedTemporaryFile() as file:
            file.write(_read(user, "client-certificate", kubeconfig))
            file.write(_read(user, "client-key", kubeconfig))
            file.flush()
            self._context.load_cert_chain(file.name)

    def connect(self) -> http.client.HTTPSConnection:
        """Returns a new connection."""
        return http.client.HTTPSConnection(*self._address, context=self._context, timeout=180)


def _read(entry: dict[str, str], name: str, kubeconfig: Path) -> bytes:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data)
    return (kubeconfig.parent / entry[name]).read_bytes()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", proxy.port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: tests cut connections on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is written in parts, which Nagle's algorithm would delay.
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.proxy.connections.add(self.connection)
        self._upstream = self.server.proxy.upstream.connect()

    def finish(self) -> None:
        self.server.proxy.connections.discard(self.connection)
        self._upstream.close()
        super().finish()

    def _forward(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, 0)
        with proxy.lock:
            proxy.writes += request.is_write
            request = Request(self.command, self.path, proxy.writes)
        fault = proxy.react(request)
        if fault is not None and fault.status:
            self._send(fault.status, fault.headers, fault.render())
            return
        if fault is not None and not fault.arrives:
            self._cut()
            return
        response = self._ask(body)
        if "watch=true" in self.path:
            self._stream(response)
            return
        answer = response.read()
        if request.is_write:
            proxy.after(request)
        if fault is not None:
            self._cut()
            return
        headers = {k: v for k, v in response.getheaders() if k.lower() not in _NOT_PASSED_BACK}
        self._send(response.status, headers, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

    def _ask(self, body: bytes) -> http.client.HTTPResponse:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON}
        self._upstream.request(self.command, self.path, body or None, headers)
        return self._upstream.getresponse()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Type" not in headers:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status)
        self.send_header("Content-Type", response.getheader("Content-Type") or "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while data := response.read1(_CHUNK):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""
