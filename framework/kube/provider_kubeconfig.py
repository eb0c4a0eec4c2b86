"""Finds what Pulumi's Kubernetes provider does not support in a kubeconfig.

The provider reads the file as text, so it takes relative paths in it as relative to the folder in
which pulumi runs. It also requires that `current-context` exists, although another context is
named. Both errors come after the first writes, and advise to remove objects from the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml

from framework.core.errors import ClusterError

_CLUSTER_PATHS = ("certificate-authority",)
_USER_PATHS = ("client-certificate", "client-key", "tokenFile")


def check_provider_kubeconfig(kubeconfig: Path, context: str) -> None:
    """Raises ClusterError that lists all settings of a context that kubectl supports and the
    provider does not.

    The kubeconfig is one that a connection was opened with, so the context is complete.
    """
    document = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    faults = [*_find_wrong_context(document), *_find_relative_paths(document, context)]
    if faults:
        flatten = f"--kubeconfig {kubeconfig} --context {context} --minify --flatten"
        raise ClusterError(
            f"{kubeconfig}: the Kubernetes provider of the pulumi CLI cannot use this file: "
            f"{'; '.join(faults)}; correct it, let cluster.kubeconfig name a file with the output "
            f"of `kubectl config view {flatten}`, or use ENGINE=embedded"
        )


def _find_wrong_context(document: Mapping[str, Any]) -> Iterator[str]:
    current = document.get("current-context")
    if current and current not in _index(document, "contexts", "context"):
        yield f'current-context is "{current}", which is not a context in this file'


def _find_relative_paths(document: Mapping[str, Any], context: str) -> Iterator[str]:
    names = _index(document, "contexts", "context").get(context, {})
    cluster = _index(document, "clusters", "cluster").get(str(names.get("cluster")), {})
    user = _index(document, "users", "user").get(str(names.get("user")), {})
    for settings, keys in ((cluster, _CLUSTER_PATHS), (user, _USER_PATHS)):
        for key in keys:
            path = settings.get(key)
            # `certificate-authority-data` and the other inline fields override the path.
            if path and not settings.get(f"{key}-data") and not PurePath(path).is_absolute():
                yield f"{key} is the relative path {path}"
    command = (user.get("exec") or {}).get("command", "")
    if "/" in command and not PurePath(command).is_absolute():
        yield f"exec.command is the relative path {command}"


def _index(document: Mapping[str, Any], part: str, key: str) -> dict[str, Mapping[str, Any]]:
    return {str(item["name"]): item.get(key) or {} for item in document.get(part) or ()}
