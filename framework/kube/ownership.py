"""Ownership of objects: this stack's, or somebody else's under the same name.

An object of this stack has the stack's field manager in metadata.managedFields. The CLI writes
under names with random digits, which only the state has. So an object that is not recorded is also
this stack's if Pulumi wrote it and it has the labels that identify it. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from framework.core.errors import ClusterError
from framework.core.kind_rules import IDENTITY_LABELS
from framework.kube.managed_fields import (
    CLI_MANAGERS,
    direct_entries,
    has_manager,
    is_own,
    writers,
)
from framework.kube.objects import Object, ObjectState, group_of, is_same_value, object_name
from framework.kube.owned_paths import is_as_sent

OWN_PREFIX = "pulumi-kubernetes"
# The names under which the CLI updates objects. It creates them under those of CLI_MANAGERS.
_CLI_MANAGER = re.compile(rf"{OWN_PREFIX}-[0-9a-f]{{8}}")
# The provider runs Helm in its own process.
_HELM_MANAGERS = CLI_MANAGERS | {"helm"}
# The API server leaves these out of an object when they are 0 or false, so that sending such a
# value is the same as sending none. The CLI does not record it, and its entry does not own it.
# Others, such as `replicas` and `automountServiceAccountToken`, mean something else when absent.
ABSENT_IF_ZERO = frozenset(
    {
        "minReadySeconds",
        "paused",
        "initialDelaySeconds",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "readOnly",
        "stdin",
        "stdinOnce",
        "tty",
        "publishNotReadyAddresses",
    }
)


class AlreadyExistsError(ClusterError):
    """An object of this name exists and is not managed by this stack, so it is never changed."""

    _ADVICE = "take it over with `make adopt`, or give the one here another name"

    def __init__(self, live: Mapping[str, Any]) -> None:
        self.kind, self.name = live["kind"], object_name(live["metadata"])
        self.managers = writers(live)
        managers = ", ".join(self.managers) or "unknown"
        advice = self._ADVICE
        self.pulumi = any(name.startswith(OWN_PREFIX) for name in self.managers)
        if self.pulumi:
            advice = "another Pulumi stack owns it: use another namespace, or another name here"
        super().__init__(
            f"{self.kind} {self.name}: already exists and is not managed by this stack (its "
            f"managers: {managers}); {advice}"
        )


class RecordedNameTakenError(AlreadyExistsError):
    """Somebody else's object has the name of a recorded one, but not its labels."""

    _ADVICE = "delete it, or take it over with `make adopt`"


def find_own_manager(live: Object, wanted: Object, manager: str) -> str:
    """Returns the field manager under which this stack writes an object that is not recorded.

    Such an object exists after an interrupted create, after its state was lost, or because it was
    kept when its model left the plan (`retainOnDelete`). It is ours if `manager`, the name derived
    from the URN, wrote it, or if the CLI wrote it with the identity labels of `wanted`:

        managers of the object                   returns
        ours                                     ours
        pulumi-kubernetes-58430e23, our labels   pulumi-kubernetes-58430e23, so one manager remains
        pulumi-kubernetes, our labels            ours, which takes the fields over
        any other                                raises AlreadyExistsError
    """
    if has_manager(live, manager):
        return manager
    if _has_identity(live, wanted):
        for name in writers(live):
            if _CLI_MANAGER.fullmatch(name):
                return name
        if not CLI_MANAGERS.isdisjoint(writers(live)):
            return manager
    raise AlreadyExistsError(live)


def _has_identity(live: Object, wanted: Object) -> bool:
    """Returns True if `live` has the labels that show to which stack an object belongs.

    The other labels may have changed since: they are settings of the model.
    """
    labels = wanted["metadata"].get("labels") or {}
    present = live["metadata"].get("labels") or {}
    identity = {name: labels[name] for name in IDENTITY_LABELS if name in labels}
    return bool(identity) and identity.items() <= present.items()


def was_recreated_by_others(live: Object, state: ObjectState, manager: str) -> bool:
    """Returns True for another object with the name of the recorded one, not written by `manager`.

    Another object has another UID.
    """
    uid = state.outputs.get("metadata", {}).get("uid", "")
    # A new UID alone is not enough: an interrupted `up` may have recreated the object itself, and
    # then our manager is in its managedFields.
    return bool(uid) and live["metadata"]["uid"] != uid and not has_manager(live, manager)


def belongs_to_release(obj: Object, releases: Collection[str]) -> bool:
    """Returns True for an object that Helm wrote for one of these Helm Releases, `namespace/name`.

    A copy of such an object has the annotations of the Release, too, but Helm did not write it.
    """
    metadata = obj["metadata"]
    namespace, labels = metadata.get("namespace"), metadata.get("labels") or {}
    if obj["kind"] == "Secret" and labels.get("owner") == "helm":
        # Helm records the Release in it.
        return f"{namespace}/{labels.get('name')}" in releases
    if _HELM_MANAGERS.isdisjoint(writers(obj)):
        return False
    annotations = metadata.get("annotations") or {}
    if "helm.sh/hook" in annotations:
        # Helm does not annotate the objects of hooks with their Release.
        return any(id_.rpartition("/")[0] == namespace for id_ in releases)
    parts = (annotations.get(f"meta.helm.sh/release-{key}", "") for key in ("namespace", "name"))
    return "/".join(parts) in releases


def has_recorded_labels(live: Object, state: ObjectState) -> bool:
    """Returns True for an object that has all labels of the recorded inputs.

    The labels say which model an object belongs to, so one without them is somebody else's.
    """
    recorded = (state.inputs.get("metadata") or {}).get("labels") or {}
    labels = live["metadata"].get("labels") or {}
    return bool(recorded) and all(labels.get(name) == value for name, value in recorded.items())


def check_recreated(live: Object, state: ObjectState, manager: str) -> bool:
    """Returns True if somebody else recreated the object, as `kubectl replace --force` does.

    Raises RecordedNameTakenError if the new one lacks the recorded labels.
    """
    if not was_recreated_by_others(live, state, manager):
        return False
    if not has_recorded_labels(live, state):
        raise RecordedNameTakenError(live)
    return True


def is_untouched(
    live: Object, recorded: Mapping[str, Any], sent: Mapping[str, Any], manager: str
) -> bool:
    """Returns True if only this stack ever wrote the object, and nobody has changed it since it was
    recorded.

    Then an apply of `sent`, the recorded inputs, changes nothing, and needs no dry run. The status
    is left out, since controllers write it all the time through the subresource of that name. A
    refresh records the object also where it differs from what was sent, so that is compared, too.
    """
    written = direct_entries(live)
    if len(written) != 1 or not is_as_recorded(live, recorded):
        return False
    (entry,) = written
    is_left_out = partial(is_absent_zero, sent["apiVersion"])
    if is_own(entry, manager):
        return is_as_sent(live, sent, entry.get("fieldsV1") or None, is_left_out)
    # A create of the CLI also owns the server's defaults, so it may own more than was sent.
    is_create = entry["operation"] == "Update" and entry["manager"] in CLI_MANAGERS
    return is_create and is_as_sent(live, sent, None, is_left_out)


def is_as_recorded(live: Object, recorded: Mapping[str, Any]) -> bool:
    """Returns True if nobody has written to the object since it was recorded, but to its status.

    A record may have no object at all, for example after an import.
    """
    return "metadata" in recorded and _without_status(live) == _without_status(recorded)


def is_same_but_zeros(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Returns True if two objects to send differ at most in fields of ABSENT_IF_ZERO that are 0."""
    return is_same_value(old, new) or is_same_value(
        _without_zeros(old["apiVersion"], old), _without_zeros(new["apiVersion"], new)
    )


def is_absent_zero(api_version: str, key: str, value: Any) -> bool:
    """Returns True for a value that the server leaves out and that means the same as none."""
    # A group of a CustomResourceDefinition has a dot, and its kinds may give a 0 any meaning.
    is_zero = not value and isinstance(value, int)
    return is_zero and key in ABSENT_IF_ZERO and "." not in group_of(api_version)


def _without_zeros(api_version: str, tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {
            key: _without_zeros(api_version, value)
            for key, value in tree.items()
            if not is_absent_zero(api_version, key, value)
        }
    return [_without_zeros(api_version, item) for item in tree] if isinstance(tree, list) else tree


def _without_status(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    metadata["managedFields"] = direct_entries(obj)
    return {**obj, "metadata": metadata, "status": None}


def describe_recreation(live: Mapping[str, Any]) -> str:
    """Returns the note that an object was recreated, with the managers that wrote it."""
    return f"was recreated by {', '.join(writers(live)) or 'an unknown manager'}"
