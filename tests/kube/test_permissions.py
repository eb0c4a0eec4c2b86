"""Rules of a SelfSubjectRulesReview: which calls they allow."""

from __future__ import annotations

from typing import Any

import pytest

from framework.kube.permissions import Permission, is_allowed

PATCH = Permission("patch", "apps", "deployments", "ml", "churn")
CREATE = Permission("create", "apps", "deployments", "ml")
RULE = {"verbs": ["patch", "create"], "apiGroups": ["apps"], "resources": ["deployments"]}


@pytest.mark.parametrize(
    ("permission", "changed", "allowed"),
    [
        (PATCH, {}, True),
        (PATCH, {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, True),
        (PATCH, {"verbs": ["get"]}, False),
        (PATCH, {"apiGroups": [""]}, False),
        (PATCH, {"resources": ["deployments/scale"]}, False),
        (PATCH, {"resourceNames": ["churn"]}, True),
        (PATCH, {"resourceNames": ["fraud"]}, False),
        (CREATE, {}, True),
        (CREATE, {"resourceNames": ["churn"]}, False),
    ],
)
def test_rule(permission: Permission, changed: dict[str, Any], allowed: bool) -> None:
    assert is_allowed(permission, [{**RULE, **changed}]) is allowed
    assert not is_allowed(permission, [])
