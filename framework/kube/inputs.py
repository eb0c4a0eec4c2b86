"""Makes a resource's inputs the object that is sent: Namespace filled in, Secrets' text encoded.

Kept apart so that diff, create and update send exactly the same, and the recorded inputs are those
the Pulumi CLI would have recorded.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from framework.errors import EngineError
from framework.kube.client import KubeClient, Object
from framework.kube.discovery import KindNotServedError

# Inputs of the provider's own that are no fields of the object.
INTERNAL = "__"
DEFAULT_NAMESPACE = "default"


def prepared(client: KubeClient, inputs: Mapping[str, Any], where: str) -> Object:
    """The inputs as they are sent; `where` names the resource in errors. The inputs stay as they
    are: what differs is new, the rest is shared."""
    obj: Object = {key: value for key, value in inputs.items() if not key.startswith(INTERNAL)}
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


def unnamed(obj: Mapping[str, Any]) -> dict[str, Any]:
    """What an object asks for beyond its existence: a Namespace may be but a name."""
    bare = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("name", "namespace")}
    return {**bare, "metadata": metadata} if metadata else bare


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


def object_id(obj: Mapping[str, Any]) -> str:
    """The id Pulumi gives the object: `namespace/name` or `name`."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])
