"""Random values of the fields of Kubernetes: whole definitions, patches, and further objects.

A patch and an object are drawn alike: a valid object of the kind is known, and a few of its fields
are changed or added, at any depth. So most of them are valid, and each invalid one is so for one
reason or two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.field_paths import FieldPath
from framework.plan.patch.field_types import FieldType
from framework.plan.patch.merge import merge_key
from framework.plan.patch.rules import ONE_OF
from tests.random_models.chooser import Chooser
from tests.random_models.objects import OBJECTS, PATCHED
from tests.random_models.pools import (
    FIELD_TEXTS,
    LABEL_KEYS,
    LABEL_VALUES,
    NUMBERS,
    OTHER_TEXTS,
    QUANTITIES,
    RESOURCES,
    TEXT_MAPS,
)

Json = dict[str, Any]
# The server writes a status. The rest of the metadata is checked with the setting `objects`.
_LEFT_OUT = {"status"}
_METADATA = ("annotations", "finalizers", "labels")
# This many of a hundred changes remove a field.
_REMOVED = 4


class Fields:
    """Draws values of fields, with the choices of one model."""

    def __init__(self, choose: Chooser) -> None:
        self._choose = choose

    def object(self, kind: str) -> Json:
        """Draws an object of a kind: a valid one with a few fields changed."""
        valid = OBJECTS[kind]
        changes = self.changes(FieldType(kind), valid, (), frozenset({"apiVersion", "kind"}))
        return dict(_merge(valid, changes))

    def patch(self, kind: str, protected: frozenset[str]) -> Json:
        """Draws a patch of an object that the framework builds."""
        return self.changes(FieldType(kind), PATCHED.get(kind, OBJECTS[kind]), (), protected)

    def changes(
        self,
        type_: FieldType,
        valid: Mapping[str, Any],
        at: tuple[str, ...] = (),
        left_out: frozenset[str] = frozenset(),
    ) -> Json:
        """Draws changes of a valid value, as a patch: it has only what changes.

        A field that the valid value has is twice as likely as one that it lacks, so that most
        changes are deep inside of it. `left_out` are paths that stay as they are.
        """
        names = {name for name in self._names(type_) if ".".join((*at, name)) not in left_out}
        present = [name for name in sorted(names) if name in valid]
        if not names:
            return {}
        changed: Json = {}
        for _ in range(self._choose.count(1, 2)):
            name = self._choose.any_of(
                present if present and self._choose.chance(65) else sorted(names)
            )
            if name in valid and self._choose.chance(_REMOVED):
                changed[name] = None
            else:
                changed[name] = self._change(type_, name, valid.get(name), (*at, name), left_out)
        return changed

    def _names(self, type_: FieldType) -> list[str]:
        """Returns the fields that may be drawn, sorted."""
        if type_.name == "ObjectMeta":
            return [*_METADATA]
        return sorted(type_.fields.keys() - _LEFT_OUT)

    def _change(
        self, type_: FieldType, name: str, valid: Any, at: tuple[str, ...], left_out: frozenset[str]
    ) -> Any:
        field = type_.fields[name]
        if isinstance(valid, dict) and field.fields and self._choose.chance(90):
            return self.changes(field, valid, at, left_out)
        if isinstance(valid, list) and field.items and field.items.fields:
            first = valid[0]
            key = merge_key(FieldPath(at), field)
            if self._choose.chance(80):
                changed = self.changes(field.items, first, at, left_out)
                # A patch finds the item by its key, and replaces a list without keys as a whole.
                return [{key: first[key], **changed} if key else _merge(first, changed)]
        return self.value(field, f"{type_.name}.{name}", 25)

    def value(self, type_: FieldType, where: str, percent: int, depth: int = 0) -> Any:
        """Draws a value; the deeper a field is, the less likely it is there."""
        choose = self._choose
        if type_.name == "list" and type_.items:
            count = choose.count(0 if choose.chance(10) else 1, 2)
            return [self.value(type_.items, where, percent, depth) for _ in range(count)]
        if type_.name == "map":
            return self._map(type_, where)
        if not type_.fields:
            return self._scalar(type_, where)
        names = {
            name
            for name in self._names(type_)
            if name in type_.required or choose.chance(max(5, percent - 4 * depth))
        }
        _, choices = ONE_OF.get(type_.name, ("", ()))
        if type_.name == "Volume":
            choices = tuple(name for name in type_.fields if name != "name")
        if choices and choose.chance(90):
            names = names - {*choices} | {choose.any_of(choices)}
        names = names or {choose.any_of(self._names(type_))}
        return {
            name: self.value(type_.fields[name], f"{type_.name}.{name}", percent, depth + 1)
            for name in type_.fields
            if name in names
        }

    def _map(self, type_: FieldType, where: str) -> Json:
        name = where.rpartition(".")[2]
        if type_.items is not None and type_.items.name == "Quantity":
            return {self._choose.pick(RESOURCES): self._choose.pick(QUANTITIES)}
        keys, values = TEXT_MAPS.get(name, (LABEL_KEYS, LABEL_VALUES))
        return {self._choose.pick(keys): self._choose.pick(values)}

    def _scalar(self, type_: FieldType, where: str) -> Any:
        name = where.rpartition(".")[2]
        match type_.name:
            case "boolean":
                return self._choose.chance(50)
            case "int32" | "int64":
                return self._choose.pick([1, 5, 80, -1, *NUMBERS])
            case "Quantity":
                return self._choose.pick(QUANTITIES)
            case "Time":
                return self._choose.pick(
                    ["2026-12-31T00:00:00Z", "2026-01-01T00:00:00.5+01:00", "a"]
                )
            case "IntOrString":
                return self._choose.pick([80, "http", "25%", 0, 70000, "a b", ""])
            case "string":
                texts = FIELD_TEXTS.get(where) or FIELD_TEXTS.get(name, OTHER_TEXTS)
                return self._choose.pick(list(type_.allowed) or texts)
        return {}


def _merge(valid: Any, changes: Any) -> Any:
    """Returns a valid value with changes; where these have a list, its first item is changed."""
    if isinstance(valid, dict) and isinstance(changes, dict):
        merged = {**valid, **{k: _merge(valid.get(k), v) for k, v in changes.items()}}
        return {key: value for key, value in merged.items() if value is not None}
    if isinstance(valid, list) and isinstance(changes, list) and valid and changes:
        return [_merge(valid[0], changes[0]), *changes[1:]]
    return changes
