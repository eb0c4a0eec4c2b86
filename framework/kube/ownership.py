"""Ownership of objects: this stack's, or somebody else's under the same name.

An object of this stack has the stack's field manager in metadata.managedFields. Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.errors import ClusterError
from framework.kube.managed_fields import direct_entries, has_manager, is_own, writers
from framework.kube.objects import Object, ObjectState, object_name
from framework.kube.owned_paths import is_as_sent

OWN_PREFIX = "pulumi-kubernetes"


class AlreadyExistsError(ClusterError):
    """An object of this name exists and is not managed by this stack, so it is never changed."""

    def __init__(self, live: Mapping[str, Any]) -> None:
        self.kind, self.name = live["kind"], object_name(live["metadata"])
        self.managers = writers(live)
        managers = ", ".join(self.managers) or "unknown"
        advice = "delete it if nobody needs it, or give the one here another name"
        self.pulumi = any(name.startswith(OWN_PREFIX) for name in self.managers)
        if self.pulumi:
            advice = "another Pulumi stack owns it: use another namespace, or another name here"
        super().__init__(
            f"{self.kind} {self.name}: already exists and is not managed by this stack (its "
            f"managers: {managers}); {advice}"
        )


class RecordedNameTakenError(AlreadyExistsError):
    """Somebody else's object has the name of a recorded one, but not its labels."""


def require_own(live: Object, manager: str) -> None:
    """Raises AlreadyExistsError for an object that `manager` never wrote."""
    if not has_manager(live, manager):
        raise AlreadyExistsError(live)


def is_foreign(live: Object, state: ObjectState, manager: str) -> bool:
    """Returns True for another object with the name of the recorded one, not written by `manager`.

    Another object has another UID.
    """
    uid = state.outputs.get("metadata", {}).get("uid", "")
    # A new UID alone is not enough: an interrupted `up` may have recreated the object itself, and
    # then our manager is in its managedFields.
    return bool(uid) and live["metadata"]["uid"] != uid and not has_manager(live, manager)


def has_recorded_labels(live: Object, state: ObjectState) -> bool:
    """Returns True for an object that has all labels of the recorded inputs.

    The labels say which model an object belongs to, so one without them is somebody else's.
    """
    recorded = (state.inputs.get("metadata") or {}).get("labels") or {}
    labels = live["metadata"].get("labels") or {}
    return bool(recorded) and all(labels.get(name) == value for name, value in recorded.items())


def find_cli_manager(live: Object, wanted: Object) -> str:
    """Returns the field manager of the CLI that created an object with our labels, "" for none.

    The CLI creates objects under a name with random digits, which it records only afterwards. So
    the labels must tell whether it is the object of an interrupted create.
    """
    labels = wanted["metadata"].get("labels") or {}
    present = live["metadata"].get("labels") or {}
    if not labels or not labels.items() <= present.items():
        return ""
    return next((name for name in writers(live) if name.startswith(OWN_PREFIX)), "")


def is_recreated(live: Object, state: ObjectState, manager: str) -> bool:
    """Returns True if somebody else recreated the object, as `kubectl replace --force` does.

    Raises RecordedNameTakenError if the new object does not have the recorded labels.
    """
    if not is_foreign(live, state, manager):
        return False
    if not has_recorded_labels(live, state):
        raise RecordedNameTakenError(live)
    return True


def is_untouched(
    live: Object, recorded: Mapping[str, Any], sent: Mapping[str, Any], manager: str
) -> bool:
    """Returns True if only `manager` has ever written the object, and nobody since it was recorded.

    Then an apply of `sent`, the recorded inputs, changes nothing, and needs no dry run. The status
    is left out, since controllers write it all the time through the subresource of that name. A
    refresh records the object also where it differs from what was sent, so that is compared, too.
    """
    written = direct_entries(live)
    return (
        len(written) == 1
        and is_own(written[0], manager)
        and _without_status(live) == _without_status(recorded)
        and is_as_sent(live, sent, written[0].get("fieldsV1") or None)
    )


def _without_status(obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    metadata["managedFields"] = direct_entries(obj)
    return {**obj, "metadata": metadata, "status": None}


def describe_recreation(live: Mapping[str, Any]) -> str:
    """Returns the note that an object was recreated, with the managers that wrote it."""
    return f"was recreated by {', '.join(writers(live)) or 'an unknown manager'}"
