"""Makes a resource's inputs the object that is sent: Namespace filled in, Secrets' text encoded.

Kept apart so that diff, create and update send exactly the same, and the recorded inputs are those
the Pulumi CLI would have recorded.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from framework.core.errors import EngineError
from framework.kube.client import KubeClient, Object
from framework.kube.discovery import KindNotServedError
from framework.kube.property_path import with_ignored

# Inputs of the provider's own that are no fields of the object.
INTERNAL = "__"
DEFAULT_NAMESPACE = "default"


def without_internal(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs or outputs without the provider's own keys, which are no fields of the object."""
    return {key: value for key, value in tree.items() if not key.startswith(INTERNAL)}


def build_sent(client: KubeClient, inputs: Mapping[str, Any], where: str) -> Object:
    """The inputs as they are sent; `where` names the resource in errors. The inputs stay as they
    are: what differs is new, the rest is shared. The server is asked which kinds it serves."""
    obj: Object = without_internal(inputs)
    for key in ("apiVersion", "kind"):
        if not obj.get(key):
            raise EngineError(f"{where}: its inputs have no {key}; every object needs one")
    obj["metadata"] = metadata = dict(obj.get("metadata") or {})
    if not metadata.get("name"):
        raise EngineError(
            f"{where}: {obj['kind']} has no metadata.name; the embedded engine makes up no names, "
            "so give it one"
        )
    if _is_namespaced(client, obj):
        metadata["namespace"] = metadata.get("namespace") or DEFAULT_NAMESPACE
    else:
        metadata.pop("namespace", None)
    if obj["kind"] == "Secret" and obj["apiVersion"] == "v1":
        _encode_text(obj)
    return obj


def build_wanted(
    client: KubeClient,
    urn: str,
    old: Mapping[str, Any] | None,
    inputs: Mapping[str, Any],
    ignored: Sequence[str],
) -> Object:
    """The inputs as they are sent, with the `old` inputs' values at every ignored path."""
    wanted = build_sent(client, inputs, urn)
    return with_ignored(wanted, old, ignored) if old is not None and ignored else wanted


def has_fields(obj: Mapping[str, Any]) -> bool:
    """True when an object asks for more than to exist: a Namespace may be but a name."""
    return bool(obj.keys() - {"apiVersion", "kind", "metadata"}) or bool(
        obj["metadata"].keys() - {"name", "namespace"}
    )


def _is_namespaced(client: KubeClient, obj: Object) -> bool:
    try:
        return client.resource(obj["apiVersion"], obj["kind"]).namespaced
    except KindNotServedError:
        return bool(obj["metadata"].get("namespace"))


def _encode_text(secret: Object) -> None:
    text = secret.pop("stringData", None)
    if text:
        encoded = {k: base64.b64encode(str(v).encode()).decode() for k, v in text.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}
