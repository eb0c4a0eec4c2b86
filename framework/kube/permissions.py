"""Asks the API server which of some calls this user may make; few calls answer for many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient

_API = "/apis/authorization.k8s.io/v1"
_ANY = "*"


@dataclass(frozen=True, order=True)
class Permission:
    """A call that a user may be allowed to make: `patch` of `deployments` in `apps`.

    `namespace` is "" for a kind in no Namespace, `name` that of one object.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" in {self.namespace}" if self.namespace else "")


def find_denied(client: KubeClient, needed: Iterable[Permission]) -> list[Permission]:
    """Returns the permissions that the user lacks, sorted. Raises ApiError 403, 404.

    One call reads the rules of a Namespace. The rules may be incomplete, and some authorizers
    have none, so each permission that they do not allow is checked alone.
    """
    unclear = sorted(set(needed))
    for namespace in sorted({permission.namespace for permission in unclear} - {""}):
        review = _post(client, "SelfSubjectRulesReview", {"namespace": namespace})
        rules = (review.get("status") or {}).get("resourceRules") or ()
        unclear = [p for p in unclear if p.namespace != namespace or not is_allowed(p, rules)]
    answers: dict[Permission, bool] = {}
    denied = []
    for permission in unclear:
        # Most rules are about all objects of a kind, so the first answer serves for all names.
        kind = Permission(
            permission.verb, permission.group, permission.resource, permission.namespace
        )
        for asked in (kind, permission):
            if asked not in answers:
                answers[asked] = _ask(client, asked)
            if answers[asked]:
                break
        else:
            denied.append(permission)
    return denied


def is_allowed(permission: Permission, rules: Sequence[Mapping[str, Any]]) -> bool:
    """Returns True if one of the rules of a SelfSubjectRulesReview allows the call."""
    return any(
        _has(rule.get("verbs"), permission.verb)
        and _has(rule.get("apiGroups"), permission.group)
        and _has(rule.get("resources"), permission.resource)
        # A rule for some names allows no creation: a new object is not known by its name yet.
        and (not (names := rule.get("resourceNames")) or permission.name in names)
        for rule in rules
    )


def _has(allowed: Sequence[str] | None, wanted: str) -> bool:
    return allowed is not None and (wanted in allowed or _ANY in allowed)


def _ask(client: KubeClient, permission: Permission) -> bool:
    attributes = {
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "namespace": permission.namespace,
        "name": permission.name,
    }
    spec = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
    answer = _post(client, "SelfSubjectAccessReview", spec)
    return bool((answer.get("status") or {}).get("allowed"))


def _post(client: KubeClient, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    path = f"{_API}/{kind.lower()}s"
    answer = client.connection.request("POST", path, kind, None, body, "application/json")
    return dict(answer)


def cannot_be_asked(exc: ApiError) -> bool:
    """Returns True if the server does not tell this user what the user may do."""
    return exc.status in (403, 404)
