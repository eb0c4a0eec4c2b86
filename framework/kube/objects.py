"""Objects as plain dictionaries: their names, and the form in which the state records them.

The form is that of the Pulumi kubernetes provider, with its keys that begin with `__`, so that the
pulumi CLI can read what the embedded engine recorded.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

INTERNAL = "__"
FIELD_MANAGER = "__fieldManager"
INITIAL_API_VERSION = "__initialApiVersion"
INPUTS = "__inputs"
MANAGER_ANNOTATION = "pulumi.com/patchFieldManager"
MADE_BY_KUBERNETES = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
"""Kind and name of the objects that Kubernetes makes in every Namespace."""


def object_name(metadata: Mapping[str, Any]) -> str:
    """Returns `namespace/name` of an object's metadata, `name` without a Namespace, "" for none."""
    name, namespace = metadata.get("name") or "", metadata.get("namespace")
    return f"{namespace}/{name}" if namespace else str(name)


def group_of(api_version: str) -> str:
    """Returns the API group of an apiVersion: `apps` for `apps/v1`, "" for the core group, `v1`."""
    return api_version.rpartition("/")[0]


def is_same_value(old: Any, new: Any) -> bool:
    """Returns True for equal JSON values. For Python, true also equals 1, and false equals 0.

    The difference counts in a custom resource, whose fields may take both.
    """
    if old != new:
        return False
    if isinstance(old, Mapping):
        return all(is_same_value(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return all(map(is_same_value, old, new))
    return isinstance(old, bool) is isinstance(new, bool)


def is_terminating(live: Mapping[str, Any]) -> bool:
    """Returns True for an object that still exists although its deletion was requested."""
    return bool(live["metadata"].get("deletionTimestamp"))


def has_fields(obj: Mapping[str, Any]) -> bool:
    """Returns True if an object sets any field besides its name. A Namespace may set none."""
    return bool(obj.keys() - {"apiVersion", "kind", "metadata"}) or bool(
        obj["metadata"].keys() - {"name", "namespace"}
    )


def without_internal(tree: Mapping[str, Any]) -> Object:
    """Returns inputs or outputs without the provider's own keys, which begin with `__`."""
    return {key: value for key, value in tree.items() if not key.startswith(INTERNAL)}


def list_owners(obj: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns `metadata.ownerReferences` of an object."""
    return list(obj["metadata"].get("ownerReferences") or ())


def list_conditions(obj: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns `status.conditions` of an object."""
    return list((obj.get("status") or {}).get("conditions") or ())


def encode_string_data(secret: Mapping[str, Any]) -> Object:
    """Returns a Secret with its `stringData` encoded into `data`, as the API server stores it.

    Recorded inputs then compare with the live object, and match those that the CLI records.
    """
    encoded = dict(secret)
    text = encoded.pop("stringData", None) or {}
    data = {key: base64.b64encode(str(value).encode()).decode() for key, value in text.items()}
    if data:
        encoded["data"] = {**(secret.get("data") or {}), **data}
    return encoded


@dataclass(frozen=True)
class ObjectState:
    """One object as a checkpoint records it.

    `id` is its `object_name`. `outputs` is the live object with three `__` keys: the field manager,
    the first apiVersion, and the inputs.
    """

    id: str
    inputs: Object
    outputs: Object


def field_manager(urn: str, old: ObjectState | None, inputs: Mapping[str, Any]) -> str:
    """Returns the name of the field manager for server-side apply of an object.

    It is the recorded one, else the annotated one, else one derived from the URN. By the derived
    name a command finds the objects of an earlier run that was interrupted before it recorded them.
    """
    recorded = old.outputs.get(FIELD_MANAGER) if old else None
    annotations = inputs["metadata"].get("annotations") or {}
    derived = f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"
    return str(recorded or annotations.get(MANAGER_ANNOTATION) or derived)


def build_state(
    live: Mapping[str, Any],
    inputs: Object,
    manager: str,
    old: Mapping[str, Any] | None = None,
) -> ObjectState:
    """Builds the state of an object just written as `manager`; `old` are its previous outputs."""
    first = (old or {}).get(INITIAL_API_VERSION) or inputs["apiVersion"]
    keys = {FIELD_MANAGER: manager, INITIAL_API_VERSION: first, INPUTS: inputs}
    return ObjectState(object_name(live["metadata"]), inputs, {**live, **keys})


def with_live(state: ObjectState, live: Mapping[str, Any]) -> ObjectState:
    """Returns the state with the object as it is now; its inputs and field manager stay."""
    keys = {INITIAL_API_VERSION: state.inputs["apiVersion"], INPUTS: state.inputs}
    kept = {k: v for k, v in state.outputs.items() if k in (FIELD_MANAGER, *keys)}
    # The recorded keys win. `keys` are for a state without outputs, which has none.
    return ObjectState(state.id, state.inputs, {**live, **keys, **kept})
