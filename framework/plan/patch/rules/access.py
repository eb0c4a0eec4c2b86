"""Rules of the API server for roles, and for what a ConfigMap contains."""

from __future__ import annotations

from collections.abc import Iterator

from framework.core.diagnostics import SettingDiagnostic
from framework.plan.patch.rules.base import Object, Rule, Show, broken, mapping
from framework.plan.patch.rules.fields import OBJECT_NAME

_GROUP = "rbac.authorization.k8s.io"
_RESOURCES = ("apiGroups", "resources")


def _check_permission(rule: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if not rule["verbs"]:
        yield broken(("verbs",), "is empty; expected one or more")
    if rule.get("nonResourceURLs"):
        for name in (*_RESOURCES, "resourceNames"):
            if rule.get(name):
                yield broken((name,), "cannot be set together with nonResourceURLs")
        return
    for name in _RESOURCES:
        if not rule.get(name):
            yield broken((name,) if name in rule else (), f"has no {name}; expected one or more")


def _check_role(role: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks a Role, which has no URLs: these belong to no Namespace."""
    for index, rule in enumerate(role.get("rules") or ()):
        if rule.get("nonResourceURLs"):
            yield broken(("rules", index, "nonResourceURLs"), "needs a ClusterRole")


def _check_subject(subject: Object, show: Show) -> Iterator[SettingDiagnostic]:
    group, kind, name = subject.get("apiGroup") or "", subject["kind"], subject["name"]
    if not name:
        yield broken(("name",), "is empty; expected a name")
    if kind == "ServiceAccount":
        if group:
            yield broken(("apiGroup",), "cannot be set for a ServiceAccount, which has none")
        if not OBJECT_NAME.accepts(name):
            yield broken(("name",), f"is {show(('name',), name)}; expected {OBJECT_NAME.expected}")
    elif "apiGroup" in subject and group != _GROUP:
        # The server writes the group over an empty text, and the CLI would show a change for ever.
        yield broken(("apiGroup",), f"is {show(('apiGroup',), group)}; expected {_GROUP}")


def _check_config_map(config_map: Object, show: Show) -> Iterator[SettingDiagnostic]:
    for key in mapping(config_map, "data"):
        if key in mapping(config_map, "binaryData"):
            yield broken(("data", key), "is in binaryData as well; remove one of them", at_key=True)


RULES: dict[str, Rule] = {
    "ConfigMap": _check_config_map,
    "PolicyRule": _check_permission,
    "Role": _check_role,
    "Subject": _check_subject,
}
