"""Prints the narrowest RBAC rules with which the drift check of an environment works.

    .venv/bin/python -m tools.drift_rbac prod > deploy/nightly/rbac.yaml

The kinds come from the environment's plan and from the check itself. Run it again after a model has
got an object of a new kind. All rules only read, and none reads Secrets. With `--custom` they cover
the custom resources that the check lists where the cluster has them, such as those of KEDA.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from framework.core.stack import Stack
from framework.drift.custom_kinds import CUSTOM_KINDS
from framework.kube.objects import group_of
from framework.kube.reading import NAMESPACED_KINDS
from framework.plan import Manifest, PlanStore, StackPlan

ACCOUNT, NAMESPACE = "drift", "modelcatalog"
_RBAC = "rbac.authorization.k8s.io"
# Plurals already.
_PLURALS = {"endpoints": "endpoints"}

Object = dict[str, Any]


def build_rbac(
    plan: StackPlan, namespace: str = NAMESPACE, *, custom: bool = False
) -> list[Object]:
    """Builds a ServiceAccount in `namespace`, and the roles that it needs for one environment."""
    name = f"modelcatalog-drift-{plan.stack.environment}"
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
    account: Object = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": namespace},
    }
    objects = [account, *_build_role({"name": name}, _build_cluster_rules(plan), subject)]
    for target, kinds in sorted(_list_kinds(plan, custom=custom).items()):
        metadata = {"name": name, "namespace": target}
        objects += _build_role(metadata, _build_rules(kinds), subject)
    return objects


def _build_role(metadata: Object, rules: list[Object], subject: Object) -> Iterator[Object]:
    kind = "Role" if "namespace" in metadata else "ClusterRole"
    api_version = f"{_RBAC}/v1"
    yield {"apiVersion": api_version, "kind": kind, "metadata": metadata, "rules": rules}
    yield {
        "apiVersion": api_version,
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": metadata["name"]},
        "subjects": [subject],
    }


def _build_cluster_rules(plan: StackPlan) -> list[Object]:
    """Builds rules for single objects. The UID of kube-system tells which cluster this is."""
    rules = [_build_rule("", {"Namespace"}, "get", ["kube-system", plan.namespace.name])]
    rules += [
        _build_rule(group_of(str(item.object["apiVersion"])), {item.kind}, "get", [item.name])
        for item in _list_model_manifests(plan)
        if _is_cluster_scoped(item)
    ]
    return rules


def _build_rules(kinds: Iterable[tuple[str, str]]) -> list[Object]:
    """Builds one rule for each API group. `kinds` are pairs of group and kind."""
    groups: dict[str, set[str]] = {}
    for group, kind in kinds:
        groups.setdefault(group, set()).add(kind)
    return [_build_rule(group, found, "list") for group, found in sorted(groups.items())]


def _build_rule(group: str, kinds: Iterable[str], verb: str, names: Iterable[str] = ()) -> Object:
    resources = sorted(map(guess_resource, kinds))
    rule: Object = {"apiGroups": [group], "resources": resources, "verbs": [verb]}
    return {**rule, "resourceNames": [*names]} if names else rule


def guess_resource(kind: str) -> str:
    """Returns the resource of a kind, by the rules that authors of kinds follow.

    An object does not have it, and asking a cluster needs one.
    """
    name = kind.lower()
    if name in _PLURALS:
        return _PLURALS[name]
    # A consonant before it: the plural of Gateway is gateways.
    if name.endswith("y") and name[-2:-1] not in (*"aeiou",):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


def _list_kinds(plan: StackPlan, *, custom: bool) -> Mapping[str, set[tuple[str, str]]]:
    """Returns the kinds that the check lists in each Namespace, as pairs of group and kind."""
    # In the Namespaces of the stack the check looks for foreign objects of further kinds.
    checked = {(group_of(version), kind) for kind, version in NAMESPACED_KINDS.items()}
    if custom:
        checked |= {(kind.group, kind.name) for kind in CUSTOM_KINDS}
    kinds: dict[str, set[tuple[str, str]]] = {plan.namespace.name: set(checked)}
    for item in _list_model_manifests(plan):
        if not _is_cluster_scoped(item):
            namespace = item.object["metadata"]["namespace"]
            pair = (group_of(str(item.object["apiVersion"])), item.kind)
            kinds.setdefault(namespace, set(checked)).add(pair)
    return kinds


def _list_model_manifests(plan: StackPlan) -> Iterator[Manifest]:
    return (manifest for model, manifest in plan.list_manifests() if model)


def _is_cluster_scoped(item: Manifest) -> bool:
    # The plan gives every other object its Namespace; of custom resources the environment knows it.
    return "namespace" not in item.object["metadata"]


def main() -> None:
    """Prints the objects of one environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment")
    parser.add_argument("--namespace", default=NAMESPACE, help="Namespace of the CronJob")
    parser.add_argument(
        "--custom", action="store_true", help="with kinds of KEDA, Istio and others"
    )
    options = parser.parse_args()
    plan = PlanStore(Path.cwd()).load_one(Stack.of(options.environment)).require()
    print(f"# Written by `python -m tools.drift_rbac {shlex.join(sys.argv[1:])}`.")
    yaml.safe_dump_all(
        build_rbac(plan, options.namespace, custom=options.custom),
        sys.stdout,
        sort_keys=False,
        default_flow_style=None,
    )


if __name__ == "__main__":
    main()
