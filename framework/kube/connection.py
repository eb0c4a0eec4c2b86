"""Opens the HTTP connection that a kubeconfig context describes.

Kept apart from the client so that files, certificates and credential plugins are one concern and
requests another. lightkube reads the kubeconfig and makes TLS and authentication; this module only
adds what it lacks: errors that name the next step, and no proxy for a server on this machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import yaml
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.config.models import NameValue, UserExec
from lightkube.core.exceptions import ConfigError

from framework.core.errors import ClusterError
from framework.core.suggestions import did_you_mean

# One connection a thread for 128 threads, and as many again for watches is never reached.
POOL = httpx.Limits(max_connections=192, max_keepalive_connections=160, keepalive_expiry=60)
TIMEOUT = httpx.Timeout(60, connect=5, pool=60)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_ADVICE = "set cluster.kubeconfig in the environment's environment.yaml to the file to use"


def open_connection(kubeconfig: Path, context: str, advice: str = "") -> httpx.Client:
    """An HTTP client for the context's server; nothing is sent yet.

    `advice` is what to do when there is no such file, where the caller knows better.
    """
    config = _load_context(kubeconfig, context, advice)
    if config.user is not None and config.user.exec is not None:
        _complete(config.user.exec)
    host = urlsplit(config.cluster.server).hostname
    params = ConnectionParams(timeout=TIMEOUT, trust_env=host not in LOOPBACK)
    try:
        settings = params.httpx_params(config)
    except (ConfigError, OSError, ValueError, AssertionError) as exc:
        raise ClusterError(
            f'{kubeconfig}: the credentials of context "{context}" cannot be used: {exc}'
        ) from exc
    return httpx.Client(**settings, limits=POOL)


def _complete(plugin: UserExec) -> None:
    # lightkube knows v1beta1 only, which v1 equals in what it reads, and leaves out the variable
    # that some plugins ask for.
    info = {"apiVersion": plugin.apiVersion, "kind": "ExecCredential"}
    asked = json.dumps({**info, "spec": {"interactive": False}})
    plugin.env = [*(plugin.env or ()), NameValue("KUBERNETES_EXEC_INFO", asked)]
    if plugin.apiVersion == "client.authentication.k8s.io/v1":
        plugin.apiVersion = "client.authentication.k8s.io/v1beta1"


def _load_context(kubeconfig: Path, context: str, advice: str) -> SingleConfig:
    loaded = _load_kubeconfig(kubeconfig, advice or _ADVICE)
    if context not in loaded.contexts:
        listed = ", ".join(sorted(loaded.contexts)) or "none"
        hint = did_you_mean(context, loaded.contexts)
        hint += " " if hint else ""
        raise ClusterError(
            f'{kubeconfig}: there is no context "{context}"; {hint}it has: {listed}; set '
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
            "which the file does not have; mend the kubeconfig"
        ) from exc


def _load_kubeconfig(kubeconfig: Path, advice: str) -> KubeConfig:
    if kubeconfig.is_dir():
        raise ClusterError(f"{kubeconfig}: is a folder; {advice}")
    if not kubeconfig.is_file():
        raise ClusterError(f"{kubeconfig}: there is no such kubeconfig file; {advice}")
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
            f"{kubeconfig}: this is no usable kubeconfig: {_words(exc)}; {advice}"
        ) from exc


def advise_server(kubeconfig: Path, context: str) -> str:
    """What to do when the server of a kubeconfig does not answer and nothing more is known."""
    command = f"kubectl --kubeconfig {kubeconfig} --context {context} cluster-info"
    return f"check that it runs and can be reached: `{command}`"


def unreachable(server: str, exc: Exception, advice: str) -> ClusterError:
    """The error for a server that does not answer, with what to do about it."""
    return ClusterError(f"{server}: the API server does not answer ({_words(exc)}); {advice}")


def rejected_credentials(server: str, exc: Exception) -> ClusterError:
    """The error for credentials that could not even be made, such as a plugin that fails."""
    return ClusterError(
        f"{server}: no credentials could be had ({_words(exc)}); run the login command of this "
        "kubeconfig context, then the same command again"
    )


def _words(exc: Exception) -> str:
    # A parser's message goes on over several lines.
    return " ".join(str(exc).split()) or type(exc).__name__
