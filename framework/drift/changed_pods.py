"""Finds Pods of the stack that somebody changed.

No record describes a single Pod, and `up` does not put it back. Only the metadata of Pods is
listed: managedFields show whether anybody except a controller changed the spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from framework.core.drift_rules import Injector
from framework.core.suggestions import list_names
from framework.drift.report import Finding, FindingKind
from framework.kinds.kind import build_type_token
from framework.kube.managed_fields import direct_entries, entries, field_paths, is_controller
from framework.kube.objects import Object, object_name
from framework.kube.owned_paths import OwnedPath, describe_path
from framework.kube.patching import is_injected

_EPHEMERAL = "f:ephemeralContainers"
_MAX_FIELDS = 3


def find_changed_pod(
    pod: Object, owner: Object, injectors: Sequence[Injector], *, may_resize: bool = False
) -> list[Finding]:
    """Returns a finding if somebody changed the spec of a Pod after its controller had created it.

    For example, `kubectl debug` adds a container through a subresource, and `kubectl set image pod`
    changes one. What a webhook added when the Pod was created belongs to the controller. With
    `may_resize`, a VerticalPodAutoscaler may change the resources in place.
    """
    creator = _find_creator(pod)
    written: dict[str, Mapping[str, Any]] = {}
    for entry in entries(pod):
        manager = str(entry["manager"])
        # Nearly all entries are those of the status, and their paths take long to list.
        if "f:spec" not in (entry.get("fieldsV1") or ()):
            continue
        if is_controller(manager) or manager == creator:
            continue
        for path in field_paths(entry):
            if may_resize and "f:resources" in path:
                continue
            # In the notation of Deployments, so that one entry of an injector covers both.
            text = f"spec.template.{describe_path(path)}"
            # Each item of `ephemeralContainers` has a path of its own.
            is_part = len(path) > 1 and path[0] == "f:spec" and path[1:] != (_EPHEMERAL,)
            if is_part and not is_injected(injectors, "Pod", manager, text):
                written[_name_part(path)] = entry
    if not written:
        return []
    last = max(written.values(), key=lambda entry: str(entry.get("time", "")))
    finding = Finding(
        kind=FindingKind.FOREIGN,
        type=build_type_token(pod),
        object=object_name(pod["metadata"]),
        manager=str(last["manager"]),
        time=str(last.get("time", "")),
        note=(
            f"somebody changed {list_names(sorted(written), _MAX_FIELDS)} of this Pod after "
            f"{owner['kind']} {owner['metadata']['name']} had created it; `up` does not undo this; "
            "delete the Pod, and its controller creates a new one"
        ),
        is_changed_pod=True,
    )
    return [finding]


def _find_creator(pod: Object) -> str:
    """Returns the manager that created a Pod: the one that owns `ownerReferences`.

    It is kube-controller-manager, k3s (which runs all controllers in one process), or an operator.
    """
    for entry in direct_entries(pod):
        metadata = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
        if "f:ownerReferences" in metadata:
            return str(entry["manager"])
    return ""


def _name_part(path: OwnedPath) -> str:
    """Returns the field of a Pod that was changed.

    Of `ephemeralContainers[debug].image` and its other fields, `ephemeralContainers[debug]`.
    """
    return describe_path(path[1:3] if path[1] == _EPHEMERAL else path[1:])
