"""Sends requests to one API server: repeats what may be repeated, and names what went wrong.

Kept apart from the client's verbs because trying again, and ending a stream that blocks, is the
same for all of them. One transport serves many threads.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any

import httpx2 as httpx
from lightkube.core.exceptions import ConfigError

from framework.core.errors import ClusterError
from framework.kube.api_error import build_api_error
from framework.kube.connection import rejected_credentials, unreachable

ATTEMPTS = 6
# The server asks to come back (flow control, a leader election); anything else is an answer.
BUSY = frozenset({429, 503})


class Transport:
    """Requests over one HTTP client; `advice` is what to do when the server does not answer."""

    def __init__(self, http: httpx.Client, advice: str) -> None:
        self._http, self._advice = http, advice
        self._streams: set[socket.socket] = set()
        self._closed = threading.Event()

    def close(self) -> None:
        """End every stream and connection; a second call does nothing."""
        self._closed.set()
        for stream in tuple(self._streams):
            _shut(stream)
        self._http.close()

    @property
    def closed(self) -> bool:
        """True once `close` was called."""
        return self._closed.is_set()

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self._http.base_url).rstrip("/")

    def request(
        self,
        verb: str,
        path: str,
        where: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        media: str = "",
    ) -> Any:
        """The server's answer, parsed. ApiError about `where` when it refuses, ClusterError when
        it cannot be reached."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": media} if media else None
        response = self._send(verb, path, query, content, headers)
        if response.status_code >= 400:
            sent = body if isinstance(body, Mapping) else None
            raise build_api_error(where, response.status_code, response.content, sent)
        try:
            return json.loads(response.content)
        except ValueError as exc:
            raise ClusterError(
                f"{where}: {self.server} answers with something other than JSON; check that the "
                "kubeconfig names an API server, and not a proxy's login page"
            ) from exc

    def stream(
        self, path: str, where: str, query: Mapping[str, str], timeout_s: float
    ) -> Generator[str, None, None]:
        """Yields the lines of an answer that goes on until `timeout_s` or `close`.

        None once closed. ApiError when the server refuses, ClusterError when the stream breaks.
        """
        if self.closed:
            return
        timeout = httpx.Timeout(timeout_s + 15, connect=5, pool=60)
        try:
            with self._http.stream("GET", path, params=query, timeout=timeout) as response:
                if response.status_code >= 400:
                    raise build_api_error(where, response.status_code, response.read())
                raw = response.extensions["network_stream"].get_extra_info("socket")
                self._streams.add(raw)
                try:
                    if not self.closed:
                        yield from response.iter_lines()
                finally:
                    self._streams.discard(raw)
        except (httpx.RequestError, RuntimeError) as exc:
            # Closing breaks the stream; that is how one is ended.
            if not self.closed:
                raise unreachable(self.server, exc, self._advice) from exc
        except (ConfigError, OSError, ValueError, KeyError) as exc:
            raise rejected_credentials(self.server, exc) from exc

    def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._http.request(
                    verb, path, params=query, content=content, headers=headers
                )
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as exc:
                # An idle connection the server closed as we used it. A repeated POST would meet
                # its own first try, so only the verbs that say the same twice are repeated.
                if attempt > 2 or verb == "POST" or self.closed:
                    raise unreachable(self.server, exc, self._advice) from exc
                continue
            except (httpx.TransportError, RuntimeError) as exc:
                raise unreachable(self.server, exc, self._advice) from exc
            except (ConfigError, OSError, ValueError, KeyError) as exc:
                # Of the credential plugin: it is run by the first request.
                raise rejected_credentials(self.server, exc) from exc
            if response.status_code not in BUSY or attempt == ATTEMPTS:
                return response
            time.sleep(_retry_after(response))
        raise AssertionError("unreachable: the last attempt returns or raises")


def _retry_after(response: httpx.Response) -> float:
    # A proxy may name a date instead of seconds.
    text = response.headers.get("Retry-After", "")
    return min(float(text), 5) if text.isdecimal() else 1


def _shut(stream: socket.socket) -> None:
    # Wakes the thread that reads from it; closing alone would leave it waiting.
    try:
        stream.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
