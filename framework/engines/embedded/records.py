"""Builds the state entry of one resource from what the program asked and what the cluster has.

Kept apart from the runs because the CLI must accept every entry: which fields, in which form, and
which of them encrypted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from framework.engines.embedded.checkpoint import Resource, timestamp
from framework.engines.embedded.registration import Registration
from framework.engines.embedded.state import StackState
from framework.engines.embedded.values import Secret, mark_secrets, reveal
from framework.kube.objects import ObjectState, without_internal

_ALWAYS = frozenset({"urn", "custom", "type"})


def build_component(registration: Registration, urn: str) -> Resource:
    """The first entry of a component or of the Stack; its outputs come later."""
    raw = {
        "urn": urn,
        "custom": False,
        "type": registration.type,
        **_options(registration),
    }
    return _dated(raw, None)


def build_provider(
    state: StackState, registration: Registration, urn: str, old: Resource | None, id_: str
) -> Resource:
    """The entry of a kubernetes Provider; without `version` the CLI would update it."""
    inputs = provider_inputs(registration)
    outputs = {key: value for key, value in inputs.items() if key != "__internal"}
    raw = {
        "urn": urn,
        "custom": True,
        "id": id_,
        "type": registration.type,
        "inputs": state.seal(inputs),
        "outputs": state.seal(outputs),
        **_options(registration),
    }
    return _dated(raw, old)


def provider_inputs(registration: Registration) -> dict[str, Any]:
    """A provider's inputs as the CLI records them: with its plugin's `version` among them."""
    inputs = {"__internal": {}, **registration.inputs}
    if registration.version:
        inputs["version"] = registration.version
    return dict(sorted(inputs.items()))


def build_object(
    state: StackState,
    registration: Registration,
    urn: str,
    old: Resource | None,
    made: ObjectState,
    init_errors: Sequence[str] = (),
) -> Resource:
    """The entry of a Kubernetes object as it now is."""
    raw = {
        "urn": urn,
        "custom": True,
        "id": made.id,
        "type": registration.type,
        "inputs": state.seal(secret_inputs(registration, made.inputs)),
        "outputs": state.seal(secret_outputs(registration, made)),
        **_options(registration),
        "initErrors": list(init_errors),
    }
    return _dated(raw, old)


def secret_inputs(registration: Registration, inputs: Mapping[str, Any]) -> Any:
    """The inputs with what the program calls secret, and every Secret's data, marked."""
    return _hide_data(mark_secrets(inputs, registration.inputs))


def secret_outputs(registration: Registration, made: ObjectState) -> dict[str, Any]:
    """The live object with secret what is secret in the inputs."""
    outputs = dict(mark_secrets(made.outputs, registration.inputs))
    if "__inputs" in outputs:
        outputs["__inputs"] = secret_inputs(registration, made.inputs)
    for name in registration.additional_secret_outputs:
        if name in outputs and not isinstance(outputs[name], Secret):
            outputs[name] = Secret(outputs[name])
    hidden: dict[str, Any] = _hide_data(outputs)
    return hidden


def _hide_data(tree: Any) -> Any:
    if not isinstance(tree, Mapping) or tree.get("kind") != "Secret":
        return tree
    hidden = dict(tree)
    for name in ("data", "stringData"):
        if hidden.get(name) and not isinstance(hidden[name], Secret):
            hidden[name] = Secret(reveal(hidden[name]))
    return hidden


def build_found(
    state: StackState, entry: Resource, found: ObjectState, init_errors: Sequence[str]
) -> Resource:
    """The entry of an object that an interrupted create made; `entry` is what was asked for."""
    inputs = state.inputs(entry)
    outputs = dict(mark_secrets(found.outputs, inputs)) | {"__inputs": inputs}
    fields = {
        "id": found.id,
        "outputs": state.seal(_hide_data(outputs)),
        "initErrors": list(init_errors),
    }
    return _dated({**entry.raw, **fields}, None)


def build_kept(registration: Registration, urn: str, old: Resource) -> Resource:
    """The entry of an unchanged resource with the options the program now gives."""
    options = _options(registration)
    if set(options["dependencies"]) == set(old.raw.get("dependencies", ())):
        options["dependencies"] = old.raw.get("dependencies", [])
    kept = old.with_fields(**{**options, "urn": urn, "type": registration.type})
    if kept.raw == old.raw:
        return old
    return kept.with_fields(modified=timestamp())


def _options(registration: Registration) -> dict[str, Any]:
    by_property = {name: list(urns) for name, urns in registration.property_dependencies.items()}
    return {
        "parent": registration.parent,
        "protect": registration.protect,
        "dependencies": list(registration.dependencies),
        "provider": registration.provider if registration.is_object else "",
        "propertyDependencies": by_property,
        "additionalSecretOutputs": list(registration.additional_secret_outputs),
        "customTimeouts": {
            name: int(seconds) if seconds == int(seconds) else seconds
            for name, seconds in registration.timeouts.items()
        },
        "retainOnDelete": registration.retain_on_delete,
        "ignoreChanges": list(registration.ignore_changes),
    }


def _dated(raw: dict[str, Any], old: Resource | None) -> Resource:
    now = timestamp()
    dated = {**raw, "created": (old.raw.get("created") if old else None) or now, "modified": now}
    return Resource({key: dated[key] for key in dated if key in _ALWAYS or dated[key]})


def object_state(state: StackState, entry: Resource) -> ObjectState:
    """An entry as the provider needs it, secrets in the clear."""
    return ObjectState(
        entry.id,
        reveal(state.inputs(entry)),
        reveal(state.outputs(entry)),
    )


def answer_outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a program may read of an object: managedFields are half of it, and of use to nobody."""
    shown = without_internal(outputs)
    if isinstance(metadata := shown.get("metadata"), dict):
        shown["metadata"] = {k: v for k, v in metadata.items() if k != "managedFields"}
    return shown
