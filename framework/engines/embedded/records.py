"""Builds recorded resources from the program's registrations and the live objects.

The CLI must accept each one as if it had written it: the same fields, in the same form, with the
same ones encrypted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from framework.engines.embedded.registration import Registration
from framework.engines.state.checkpoint import Resource, format_now
from framework.engines.state.stack_state import ReadableState, StackState
from framework.engines.values import (
    Secret,
    fill_unknown,
    mark_secret_data,
    mark_secrets,
    reveal,
)
from framework.kube.objects import ObjectState, without_internal

_ALWAYS_WRITTEN = frozenset({"urn", "custom", "type"})


# Building


def build_component(registration: Registration, urn: str) -> Resource:
    """Builds the record of a new component or Stack; its outputs are added later."""
    raw = {
        "urn": urn,
        "custom": False,
        "type": registration.type,
        **_build_options(registration),
    }
    return _stamp(raw, None)


def build_provider(
    state: StackState, registration: Registration, urn: str, old: Resource | None, id_: str
) -> Resource:
    """Builds the record of a kubernetes Provider."""
    inputs = build_provider_inputs(registration)
    outputs = {key: value for key, value in inputs.items() if key != "__internal"}
    raw = {
        "urn": urn,
        "custom": True,
        "id": id_,
        "type": registration.type,
        "inputs": state.seal(inputs),
        "outputs": state.seal(outputs),
        **_build_options(registration),
    }
    return _stamp(raw, old)


def build_provider_inputs(registration: Registration) -> dict[str, Any]:
    """Builds a provider's inputs as the CLI records them."""
    inputs = {"__internal": {}, **registration.inputs}
    # The version of the plugin is an option in the program and an input in state. Without it the
    # CLI's next preview would update the provider.
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
    """Builds the record of a Kubernetes object; `made` is the object as it is in the cluster."""
    raw = {
        "urn": urn,
        "custom": True,
        "id": made.id,
        "type": registration.type,
        "inputs": state.seal(mark_secret_inputs(registration, made.inputs)),
        "outputs": state.seal(mark_secret_outputs(registration, made)),
        **_build_options(registration),
        "initErrors": list(init_errors),
    }
    return _stamp(raw, old)


def mark_secret_inputs(registration: Registration, inputs: Mapping[str, Any]) -> Any:
    """Returns the inputs with the program's secrets, and the data of a Secret, marked secret."""
    return mark_secret_data(mark_secrets(inputs, registration.inputs))


def mark_secret_outputs(registration: Registration, made: ObjectState) -> dict[str, Any]:
    """Returns the live object with each value marked as secret that is secret in the inputs."""
    outputs = dict(mark_secrets(made.outputs, registration.inputs))
    if "__inputs" in outputs:
        outputs["__inputs"] = mark_secret_inputs(registration, made.inputs)
    for name in registration.additional_secret_outputs:
        if name in outputs and not isinstance(outputs[name], Secret):
            outputs[name] = Secret(outputs[name])
    return dict(mark_secret_data(outputs))


def build_planned(registration: Registration, urn: str, id_: str) -> Resource:
    """Builds a resource that `up` is going to record, without its inputs and outputs."""
    raw = {"urn": urn, "custom": registration.custom, "type": registration.type, "id": id_}
    return Resource({**raw, **_build_options(registration)})


def build_recovered(
    state: ReadableState, pending: Resource, live: ObjectState, init_errors: Sequence[str]
) -> Resource:
    """Builds the record of an object that an interrupted command created.

    `pending` is the resource of its pending operation.
    """
    inputs = mark_secret_data(state.read_inputs(pending))
    outputs = dict(mark_secrets(live.outputs, inputs)) | {"__inputs": inputs}
    fields = {
        "id": live.id,
        "inputs": state.seal(inputs),
        "outputs": state.seal(mark_secret_data(outputs)),
        "initErrors": list(init_errors),
    }
    return _stamp({**pending.raw, **fields}, None)


def build_unchanged(registration: Registration, urn: str, old: Resource) -> Resource:
    """Returns the record of an unchanged object, with the program's current options.

    Returns `old` itself if the options are equal.
    """
    options = _build_options(registration)
    # The CLI writes dependencies in an order of its own. Another order is not a change.
    if set(options["dependencies"]) == set(old.raw.get("dependencies", ())):
        options["dependencies"] = old.raw.get("dependencies", [])
    unchanged = old.with_fields(**{**options, "urn": urn, "type": registration.type})
    if unchanged.raw == old.raw:
        return old
    return unchanged.with_fields(modified=format_now())


def build_refreshed(state: StackState, resource: Resource, live: ObjectState) -> Resource:
    """Builds the record of an object with the live object as its outputs."""
    recorded = state.read_outputs(resource)
    outputs: Any = mark_secrets(live.outputs, recorded)
    if (inputs := recorded.get("__inputs")) is not None:
        outputs = {**outputs, "__inputs": inputs}
    # Somebody may have added a key to a Secret, which is not marked in the record.
    outputs = mark_secret_data(outputs)
    raw = {**resource.raw, "outputs": state.seal(outputs), "modified": format_now()}
    return Resource(raw)


def with_outputs(
    state: StackState, resource: Resource, outputs: Mapping[str, Any] | None
) -> Resource:
    """Returns a component or the Stack with these outputs; `resource` itself if they are equal."""
    if outputs is None or state.read_outputs(resource) == outputs:
        return resource
    recorded = resource.raw.get("outputs") or {}
    known = fill_unknown(dict(sorted(outputs.items())), recorded)
    return Resource({**resource.raw, "outputs": state.seal(known)})


def _build_options(registration: Registration) -> dict[str, Any]:
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


def _stamp(raw: dict[str, Any], old: Resource | None) -> Resource:
    """Builds a resource with the fields `created` and `modified`, and without empty fields.

    The CLI omits empty fields as well.
    """
    now = format_now()
    created = (old.raw.get("created") if old else None) or now
    stamped = {**raw, "created": created, "modified": now}
    return Resource(
        {key: stamped[key] for key in stamped if key in _ALWAYS_WRITTEN or stamped[key]}
    )


# Reading


def read_object_state(state: StackState, resource: Resource) -> ObjectState:
    """Returns a recorded object in the form of `KubernetesProvider`, with its secrets decrypted."""
    return ObjectState(
        resource.id, reveal(state.read_inputs(resource)), reveal(state.read_outputs(resource))
    )


def build_program_outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the outputs of an object that the program receives.

    `managedFields` are left out: they are half of an object, and programs do not use them.
    """
    shown = without_internal(outputs)
    if isinstance(metadata := shown.get("metadata"), dict):
        shown["metadata"] = {k: v for k, v in metadata.items() if k != "managedFields"}
    return shown
