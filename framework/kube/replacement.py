"""The rules of all kinds, and which changes of an object replace it by a new one.

The changes are those of the Pulumi kubernetes provider 4.34, so that both engines announce the same
replacements. A PodDisruptionBudget of policy/v1 has no such rule: it changes in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from framework.core.changes import FieldChange
from framework.core.field_paths import FieldPath, get_at, is_text_within, resolve
from framework.core.kind_rules import KindRules
from framework.kube.object_diff import compare_objects, pruned
from framework.kube.objects import group_of

# The rules of kinds that no model has, but that a program may register. The command line passes
# the rules of a model's kinds, which are in `framework.kinds`.
KUBERNETES_RULES = (
    KindRules("", "Secret", replaced_by=("type", "data", "stringData"), propagation="Background"),
    KindRules("", "ResourceQuota", replaced_by=("spec.scopes",)),
    KindRules("apps", "DaemonSet", replaced_by=("spec.selector",)),
    KindRules(
        "apps",
        "StatefulSet",
        replaced_by=(
            "spec.podManagementPolicy",
            "spec.revisionHistoryLimit",
            "spec.selector",
            "spec.serviceName",
            "spec.volumeClaimTemplates",
        ),
    ),
    KindRules(
        "batch",
        "Job",
        replaced_by=("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ),
    KindRules("rbac.authorization.k8s.io", "RoleBinding", replaced_by=("roleRef",)),
    KindRules("rbac.authorization.k8s.io", "ClusterRoleBinding", replaced_by=("roleRef",)),
    KindRules("storage.k8s.io", "StorageClass", replaced_by=("parameters", "provisioner")),
)


class KindRulesTable:
    """The rules of all kinds. A kind without rules changes in place and is not waited for."""

    def __init__(self, rules: Iterable[KindRules] = ()) -> None:
        """`rules` are those of the kinds that the caller registers."""
        self._rules = {(rule.group, rule.kind): rule for rule in (*KUBERNETES_RULES, *rules)}

    def find(self, obj: Mapping[str, Any]) -> KindRules:
        """Returns the rules of an object's kind, whatever the version of its API group."""
        key = (group_of(obj["apiVersion"]), obj["kind"])
        return self._rules.get(key) or KindRules(*key)

    def find_replacing(
        self, obj: Mapping[str, Any], fields: Iterable[FieldChange]
    ) -> list[FieldChange]:
        """Returns the changed fields that cannot change in place."""
        roots = self.find(obj).replaced_by
        return [f for f in fields if any(is_text_within(f.path, root) for root in roots)]

    def find_kept(
        self, before: Mapping[str, Any], wanted: Mapping[str, Any], predicted: Mapping[str, Any]
    ) -> list[FieldChange]:
        """Returns the values that the inputs no longer set, and that the server would keep.

        `predicted` is the object after an apply of `wanted`.
        """
        kept = []
        for text, value in self.find(wanted).kept_by_server:
            path = FieldPath.parse(text)
            was_set, is_set, stays = (resolve(obj, path) for obj in (before, wanted, predicted))
            if was_set is None or is_set is not None or stays is None:
                continue
            if get_at(before, was_set) == get_at(predicted, stays) == value:
                kept.append(FieldChange(text, value, None))
        return kept


def is_other_object(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Returns True where the two are different objects: of another kind, Namespace or name.

    The new object is then created first, and the old one deleted later.
    """
    return _identity(old) != _identity(new)


def _identity(obj: Mapping[str, Any]) -> tuple[str, str, str, str]:
    metadata = obj["metadata"]
    return (
        group_of(obj["apiVersion"]),
        obj["kind"],
        metadata.get("namespace", ""),
        metadata["name"],
    )


def named_changes(
    fields: Iterable[FieldChange],
    live: Mapping[str, Any],
    before: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> tuple[FieldChange, ...]:
    """Returns the changes of fields that the inputs set, now or before.

    Only these can cause a replacement. A field that somebody else added, and that `up` removes,
    changes in place.
    """
    # For example, the selector in the file is unchanged, and somebody replaced the Deployment by
    # one with another selector: `drifted` has the field. If the file no longer has a field that it
    # had before, only `edited` does.
    drifted, edited = compare_objects(pruned(live, wanted), wanted), compare_objects(before, wanted)
    paths = [change.path for change in (*drifted, *edited)]
    return tuple(
        field
        for field in fields
        if any(
            is_text_within(field.path, path) or is_text_within(path, field.path) for path in paths
        )
    )
