"""Rules of the API server that its OpenAPI document does not contain.

`fields.py` restricts single values; the other modules compare the values of one mapping, each with
its `RULES` by definition. All follow `pkg/apis/*/validation` of Kubernetes. A test sends
random objects to a real server, and so finds a rule that is missing here or too strict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.diagnostics import KeyPath, SettingDiagnostic
from framework.core.field_paths import KEY_DEFAULTS, without_nulls
from framework.plan.patch.field_types import FieldType
from framework.plan.patch.rules import (
    access,
    autoscaling,
    networks,
    pods,
    resources,
    scheduling,
    volumes,
    workloads,
)
from framework.plan.patch.rules.base import Rule, Show, broken, find_duplicates
from framework.plan.patch.rules.fields import FIELD_RULES, MAPPING_RULES, MAX_ITEMS, ONE_OF

__all__ = ["FIELD_RULES", "MAPPING_RULES", "MAX_ITEMS", "ONE_OF", "find_broken_rules"]

_MODULES = (access, autoscaling, networks, pods, resources, scheduling, volumes, workloads)
_RULES: Mapping[str, tuple[Rule, ...]] = {
    name: tuple(module.RULES[name] for module in _MODULES if name in module.RULES)
    for name in sorted({name for module in _MODULES for name in module.RULES})
}


def find_broken_rules(value: Any, type_: FieldType, show: Show) -> Iterator[SettingDiagnostic]:
    """Yields the rules that a complete value breaks; each of its fields has the right type."""
    # The server takes a key whose value is null for absent.
    yield from _find_broken(without_nulls(value), type_, show, ())


def _find_broken(
    value: Any, type_: FieldType, show: Show, at: KeyPath
) -> Iterator[SettingDiagnostic]:
    if type_.name == "list" and type_.items and isinstance(value, list):
        yield from _find_repeated(value, type_, show, at)
        for index, item in enumerate(value):
            yield from _find_broken(item, type_.items, show, (*at, index))
    elif type_.fields and isinstance(value, Mapping):
        if type_.name == "StatefulSetSpec":
            value = workloads.with_claims(value)

        def show_below(path: KeyPath, child: Any) -> str:
            return show((*at, *path), child)

        for rule in _RULES.get(type_.name, ()):
            for problem in rule(value, show_below):
                others = tuple((*at, *other) for other in problem.others)
                yield problem._replace(path=(*at, *problem.path), others=others)
        for key, child in value.items():
            if key in type_.fields:
                yield from _find_broken(child, type_.fields[key], show, (*at, key))


def _find_repeated(
    value: list[Any], type_: FieldType, show: Show, at: KeyPath
) -> Iterator[SettingDiagnostic]:
    """Yields the items of a list with the keys of an earlier item, which the server refuses."""
    keys = type_.keys
    if keys == ("",):
        yield from find_duplicates([((*at, i), item) for i, item in enumerate(value)], "item", show)
    elif keys:
        identities = [tuple(item.get(key, KEY_DEFAULTS.get(key)) for key in keys) for item in value]
        names = " and ".join(keys)
        for index, identity in enumerate(identities):
            if not any(identity):
                yield broken((*at, index), f"has no {names}; expected one")
            elif identity in identities[:index]:
                yield broken((*at, index), f"has the {names} of an earlier item")
