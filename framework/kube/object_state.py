"""One object as a stack records it, and as which owner it is applied.

Kept apart from the provider because the record is Pulumi's, down to the keys that begin with `__`,
and the engines read and write it without asking a cluster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from framework.kube.object_name import object_name

FIELD_MANAGER = "__fieldManager"
INITIAL_API_VERSION = "__initialApiVersion"
INPUTS = "__inputs"
MANAGER_ANNOTATION = "pulumi.com/patchFieldManager"


@dataclass(frozen=True)
class ObjectState:
    """One object as a checkpoint has it: `outputs` is the live object and three `__` keys."""

    id: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]


def field_manager(urn: str, old: ObjectState | None, inputs: Mapping[str, Any]) -> str:
    """The recorded field manager, else the annotated one, else one derived from the URN, so that a
    run after a crash is the same owner."""
    recorded = old.outputs.get(FIELD_MANAGER) if old else None
    annotations = inputs["metadata"].get("annotations") or {}
    derived = f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"
    return str(recorded or annotations.get(MANAGER_ANNOTATION) or derived)


def build_state(
    live: Mapping[str, Any],
    inputs: dict[str, Any],
    manager: str,
    old: Mapping[str, Any] | None = None,
) -> ObjectState:
    """The state of an object just written as `manager`; `old` are its outputs before."""
    first = (old or {}).get(INITIAL_API_VERSION) or inputs["apiVersion"]
    keys = {FIELD_MANAGER: manager, INITIAL_API_VERSION: first, INPUTS: inputs}
    return ObjectState(object_name(live["metadata"]), inputs, {**live, **keys})


def with_live(state: ObjectState, live: Mapping[str, Any]) -> ObjectState:
    """The state with the object as it is now, its inputs and owner as they were."""
    keys = {INITIAL_API_VERSION: state.inputs["apiVersion"], INPUTS: state.inputs}
    kept = {k: v for k, v in state.outputs.items() if k in (FIELD_MANAGER, *keys)}
    return ObjectState(state.id, state.inputs, {**live, **keys, **kept})
