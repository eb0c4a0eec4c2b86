"""HTTP requests to the API server of a kubeconfig context.

lightkube reads the kubeconfig and does TLS and authentication. This module adds errors that name
the next step, direct connections (no proxy) to a server on this machine, repeated requests, and
streams that another thread can end. Only this module handles the errors of the HTTP library and of
credential plugins.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Generator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import msgspec
import yaml
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import NameValue, UserExec
from lightkube.core.exceptions import ConfigError

from framework.core.errors import ClusterError
from framework.core.suggestions import did_you_mean
from framework.kube.api_error import build_api_error

# Up to 128 threads with one connection each, and room for the watches beside them.
POOL = httpx.Limits(max_connections=192, max_keepalive_connections=160, keepalive_expiry=60)
TIMEOUT = httpx.Timeout(60, connect=5, pool=60)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# A request is repeated for this long while a server that has answered before is away or busy.
RETRY_FOR_S = 60.0
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 2.0
# The server is overloaded, starts or elects a leader. It has not carried out the request.
BUSY = frozenset({429, 503})
# A proxy in front of the server got no answer. The server may have carried out the request.
NO_ANSWER = frozenset({502, 504})
REFUSED = (httpx.ConnectError, httpx.ConnectTimeout)
BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
# The errors of a credential plugin, which runs with the first request.
CREDENTIAL_ERRORS = (ConfigError, OSError, ValueError, KeyError)
_SURROGATES = re.compile(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}")
_ADVICE = "set cluster.kubeconfig in the environment's environment.yaml to the file to use"


class ApiConnection:
    """Requests to one API server. Thread-safe."""

    def __init__(self, http: httpx.Client, advice: str) -> None:
        """`advice` is the next step when the server does not answer."""
        self._http, self._advice = http, advice
        self._streams: set[socket.socket] = set()
        self._closed = threading.Event()
        self._has_answered = False

    @classmethod
    def open(cls, kubeconfig: Path, context: str, advice: str = "") -> ApiConnection:
        """Prepares the connection to a context's server; nothing is sent yet.

        `advice` is the next step where the file is missing or the server does not answer; "" gives
        general advice. Raises ClusterError.
        """
        config = _load_context(kubeconfig, context, advice or _ADVICE)
        if config.user is not None and config.user.exec is not None:
            _complete_plugin(config.user.exec, kubeconfig)
        # A proxy for the whole machine cannot reach the machine's own loopback address.
        host = urlsplit(config.cluster.server).hostname
        params = ConnectionParams(timeout=TIMEOUT, trust_env=host not in LOOPBACK)
        try:
            settings = params.httpx_params(config)
        except (ConfigError, OSError, ValueError, AssertionError) as exc:
            raise ClusterError(
                f'{kubeconfig}: the credentials of context "{context}" cannot be used: {exc}'
            ) from exc
        command = f"kubectl --kubeconfig {kubeconfig} --context {context} cluster-info"
        return cls(
            httpx.Client(**settings, limits=POOL),
            advice or f"check that it runs and can be reached: `{command}`",
        )

    def close(self) -> None:
        """Ends every stream and connection; a second call does nothing."""
        self._closed.set()
        for stream in tuple(self._streams):
            try:
                # Wakes the thread that reads from the socket; closing would leave it waiting.
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
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
        accept: str = "",
    ) -> Any:
        """Returns the server's answer, parsed.

        `where` begins the message of an error; `accept` requests another form of the answer.
        Raises ApiError when the server refuses, and ClusterError when it cannot be reached.
        """
        content = None if body is None else encode_body(body)
        headers = {"Content-Type": media} if media else {}
        headers |= {"Accept": accept} if accept else {}
        response = self._send(verb, path, query, content, headers)
        if response.status_code >= 400:
            sent = body if isinstance(body, Mapping) else None
            raise build_api_error(where, response.status_code, response.content, sent)
        try:
            # Twice as fast as `json`, which matters for a list of thousands of objects.
            return msgspec.json.decode(response.content)
        except ValueError as exc:
            raise ClusterError(
                f"{where}: {self.server} sent an answer that is not JSON; check that the "
                "kubeconfig names an API server, and not a proxy's login page"
            ) from exc

    def stream(
        self, path: str, where: str, query: Mapping[str, str], timeout_s: float
    ) -> Generator[str, None, None]:
        """Yields the lines of an answer until `timeout_s` or `close`; none after `close`.

        Raises ApiError when the server refuses, ClusterError when the stream breaks.
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
                    # `close` may have run before the socket was added, and not have seen it.
                    if not self.closed:
                        # `close` ends TLS on this socket: what is read afterwards is encrypted.
                        yield from takewhile(lambda _: not self.closed, response.iter_lines())
                finally:
                    self._streams.discard(raw)
        except (httpx.RequestError, RuntimeError) as exc:
            # `close` breaks the stream on purpose; that is not an error.
            if not self.closed:
                raise self._unreachable(exc) from exc
        except CREDENTIAL_ERRORS as exc:
            raise self._rejected_credentials(exc) from exc

    def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        retries = _Retries(self._closed)
        # After these failures it is unknown whether the request arrived. A second POST might
        # conflict with its own first try, so only the idempotent verbs are repeated.
        idempotent = verb != "POST"
        while True:
            try:
                response = self._http.request(
                    verb, path, params=query, content=content, headers=headers
                )
            except REFUSED as exc:
                # A server that has never answered is more likely not there than restarting.
                if not self._has_answered or not retries.wait():
                    raise self._unreachable(exc) from exc
                continue
            except BROKEN as exc:
                # Also when the server closes an idle connection at the moment it is used again.
                # A call to a server that has never answered is repeated only once.
                may_answer = self._has_answered or retries.count == 0
                if not (idempotent and may_answer and retries.wait()):
                    raise self._unreachable(exc) from exc
                continue
            except (httpx.TransportError, RuntimeError) as exc:
                raise self._unreachable(exc) from exc
            except CREDENTIAL_ERRORS as exc:
                raise self._rejected_credentials(exc) from exc
            self._has_answered = True
            repeated = BUSY | NO_ANSWER if idempotent else BUSY
            if response.status_code not in repeated:
                return response
            if not retries.wait(response.headers.get("Retry-After", "")):
                return response

    def _unreachable(self, exc: Exception) -> ClusterError:
        return ClusterError(
            f"{self.server}: the API server does not answer ({_one_line(exc)}); {self._advice}"
        )

    def _rejected_credentials(self, exc: Exception) -> ClusterError:
        if isinstance(exc, KeyError) and exc.args == ("token",):
            return ClusterError(
                f"{self.server}: the credential plugin of this kubeconfig context returns no "
                "token, and client certificates of a plugin are not supported; name a context "
                "whose plugin returns a token, or whose user has certificate files"
            )
        return ClusterError(
            f"{self.server}: getting the credentials failed ({_one_line(exc)}); run the login "
            "command of this kubeconfig context, then the same command again"
        )


def encode_body(body: Any) -> bytes:
    """Returns a body as JSON that the server also reads as YAML, which it does for an apply.

    YAML does not have JSON's escape for characters such as an emoji, a pair of surrogates, so these
    are sent as they are. Others stay escaped: YAML would take an
    unescaped U+2028 for a line break, and fold it into a space.
    """
    text = json.dumps(body)
    if "\\ud" in text:
        text = _SURROGATES.sub(lambda pair: str(json.loads(f'"{pair[0]}"')), text)
    return text.encode()


class _Retries:
    """The pauses before the repetitions of one request; `closed` ends them."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed, self._pause_s = closed, FIRST_PAUSE_S
        self._end = time.monotonic() + RETRY_FOR_S
        self.count = 0

    def wait(self, after: str = "") -> bool:
        """Waits before the next try; returns False if there is none.

        `after` is the server's Retry-After; "" if it sent none.
        """
        self.count += 1
        # A proxy may send a date instead of seconds.
        pause = max(self._pause_s, float(after) if after.isdecimal() else 0)
        self._pause_s = min(2 * self._pause_s, LAST_PAUSE_S)
        if time.monotonic() + pause > self._end:
            return False
        return not self._closed.wait(pause)


def _complete_plugin(plugin: UserExec, kubeconfig: Path) -> None:
    # A command with a slash is relative to the kubeconfig, as in kubectl.
    if "/" in plugin.command:
        plugin.command = str(kubeconfig.absolute().parent / plugin.command)
    # lightkube accepts only v1beta1 of the credential plugin API. v1 differs from it in nothing
    # that lightkube reads. It does not set KUBERNETES_EXEC_INFO either, which some plugins require.
    info = {"apiVersion": plugin.apiVersion, "kind": "ExecCredential"}
    exec_info = json.dumps({**info, "spec": {"interactive": False}})
    plugin.env = [*(plugin.env or ()), NameValue("KUBERNETES_EXEC_INFO", exec_info)]
    if plugin.apiVersion == "client.authentication.k8s.io/v1":
        plugin.apiVersion = "client.authentication.k8s.io/v1beta1"


def _load_context(kubeconfig: Path, context: str, advice: str) -> SingleConfig:
    loaded = _load_kubeconfig(kubeconfig, advice)
    if context not in loaded.contexts:
        names = ", ".join(sorted(loaded.contexts)) or "none"
        hint = did_you_mean(context, loaded.contexts)
        hint += " " if hint else ""
        raise ClusterError(
            f'{kubeconfig}: there is no context "{context}"; {hint}it has: {names}; set '
            "cluster.context in the environment's environment.yaml to one of them, or "
            "cluster.kubeconfig to another file"
        )
    try:
        config = loaded.get(context)
        assert config is not None
        return config
    except KeyError as exc:
        raise ClusterError(
            f'{kubeconfig}: context "{context}" names the cluster or user {exc}, '
            "which the file does not have; correct the kubeconfig"
        ) from exc


def _load_kubeconfig(kubeconfig: Path, advice: str) -> KubeConfig:
    if kubeconfig.is_dir():
        raise ClusterError(f"{kubeconfig}: is a folder; {advice}")
    if not kubeconfig.is_file():
        raise ClusterError(f"{kubeconfig}: this kubeconfig file does not exist; {advice}")
    try:
        return KubeConfig.from_file(kubeconfig)
    except (
        ConfigError,
        OSError,
        yaml.YAMLError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as exc:
        raise ClusterError(
            f"{kubeconfig}: is not a usable kubeconfig: {_one_line(exc)}; {advice}"
        ) from exc


def _one_line(exc: Exception) -> str:
    # A YAML parser's message has several lines.
    return " ".join(str(exc).split()) or type(exc).__name__
