"""Finds fields that the API server would refuse: unknown, missing, or invalid ones.

Patches are checked, and settings in the form of Kubernetes such as `scheduling.affinity`. Without
these checks, they would fail only during `up`, and without the file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.diagnostics import Code, KeyPath, SettingDiagnostic
from framework.core.field_paths import FieldPath
from framework.core.quantities import parse_quantity
from framework.core.redaction import REDACTED
from framework.core.suggestions import MAX_LISTED, did_you_mean, near_misses, suggest
from framework.plan.patch.field_types import FieldType, kubernetes_version
from framework.plan.patch.merge import DIRECTIVE, find_item, get_key, merge_key, suggest_item
from framework.plan.patch.rules import (
    FIELD_RULES,
    MAPPING_RULES,
    MAX_ITEMS,
    ONE_OF,
    find_broken_rules,
)
from framework.plan.patch.rules.base import FieldRule, Show, broken

_EXPECTED = {
    "string": "text",
    "boolean": "true or false",
    "int32": "a whole number",
    "int64": "a whole number",
    "Quantity": 'a quantity such as "500m", 2 or "4Gi"',
    "IntOrString": "a whole number or text",
    "Time": 'a time such as "2026-12-31T00:00:00Z"',
}
_TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?"
    r"(Z|[-+]\d\d:\d\d)"
)
_BITS = {"int32": 31, "int64": 63, "IntOrString": 31}
# Quoted text that would be valid without its quotes, by what is expected.
_UNQUOTED = {
    "true or false": re.compile("true|false"),
    "a whole number": re.compile("-?[0-9]+"),
}
# The API's definition of a container does not require an image, so that tools may fill it in.
# Nothing fills it in here, and a Pod cannot start without one.
_ALSO_REQUIRED = {"Container": ("image",)}

_STARTS_WITH_VOWEL = re.compile(r"[AEIOaeio]|FC|HPA|HTTP|NFS|RBD")
# The number of levels below that are searched for a field that is in the wrong place.
_DEEPEST = 3


def find_field_diagnostics(
    kind: str, patch: Mapping[str, Any], manifest: Mapping[str, Any] | None, show: Show
) -> Iterator[SettingDiagnostic]:
    """Yields everything in a patch that the API server would refuse.

    `manifest` is the object to patch. Without it, missing fields are not reported: they are
    required only in items that the manifest does not have.
    """
    checks = _Checks(show, find_missing=manifest is not None)
    yield from checks.find(patch, FieldType(kind), manifest, ())


def find_definition_diagnostics(
    definition: str, value: Mapping[str, Any], show: Show
) -> Iterator[SettingDiagnostic]:
    """Yields everything in a mapping that the API server would refuse as a `definition`.

    The mapping is complete, not a patch of an existing one.
    """
    checks = _Checks(show, find_missing=True, is_patch=False)
    problems = [*checks.find(value, FieldType(definition), None, ())]
    # A rule compares values, so it needs values of the right type.
    yield from problems or find_broken_rules(value, FieldType(definition), show)


class _Checks:
    """The checks of one patch. `old` is the manifest's value in the same place, `at` the path.

    Where it `is_patch`, items of a list merge into those of the manifest, and null removes.
    """

    def __init__(self, show: Show, *, find_missing: bool, is_patch: bool = True) -> None:
        self._show, self._find_missing, self._is_patch = show, find_missing, is_patch

    def find(
        self, value: Any, type_: FieldType, old: Any, at: KeyPath
    ) -> Iterator[SettingDiagnostic]:
        if type_.name == "map" and isinstance(value, Mapping):
            yield from self._find_in_labels(value, at)
        if type_.name == "list" and type_.items:
            yield from self._find_in_list(value, type_, type_.items, old, at)
        elif type_.name in _EXPECTED:
            yield from self._find_in_scalar(value, type_, at)
        elif not isinstance(value, Mapping):
            yield self._mismatch(at, value, "a mapping")
        elif type_.fields:
            yield from self._find_in_fields(value, type_, old, at)
            yield from self._find_lacking(value, type_, old, at)
        elif type_.items:
            for key, child in value.items():
                if child is not None and key != DIRECTIVE:
                    yield from self.find(child, type_.items, get_key(old, key), (*at, key))

    def _find_in_fields(
        self, value: Mapping[str, Any], type_: FieldType, old: Any, at: KeyPath
    ) -> Iterator[SettingDiagnostic]:
        for key, child in value.items():
            if self._is_patch and key.startswith("$"):
                continue
            here = (*at, key)
            if key not in type_.fields:
                message = _describe_unknown(key, type_)
                yield SettingDiagnostic(here, message, Code.UNKNOWN_KEY, at_key=True)
            elif child is not None:
                yield from self.find(child, type_.fields[key], get_key(old, key), here)
                yield from self._find_broken(child, (type_.name, key), here)
        yield from self._find_second(value, type_, old, at)

    def _find_broken(
        self, value: Any, field: tuple[str, str], at: KeyPath
    ) -> Iterator[SettingDiagnostic]:
        """Yields what breaks the rule of a field; in a list, each item that does."""
        items = {(*at, i): item for i, item in enumerate(value)} if isinstance(value, list) else {}
        most = MAX_ITEMS.get(field)
        if most and len(items) > most:
            yield broken(at, f"has {len(items)} items; expected at most {most}")
        if rule := FIELD_RULES.get(field):
            for here, item in (items if isinstance(value, list) else {at: value}).items():
                if not rule.accepts(item):
                    yield self._unaccepted(here, item, rule)

    def _find_second(
        self, value: Mapping[str, Any], type_: FieldType, old: Any, at: KeyPath
    ) -> Iterator[SettingDiagnostic]:
        """Yields the second of two fields that exclude each other: two handlers of a probe."""
        noun, choices = ONE_OF.get(type_.name, ("", ()))
        if type_.name == "Volume":
            noun, choices = "source", tuple(name for name in type_.fields if name != "name")
        present = _present(value, old)
        merged = {**present, **value}
        chosen = [name for name in choices if merged.get(name) not in (None, "")]
        patched = [name for name in value if name in chosen]
        if patched and len(chosen) > 1:
            second = patched[-1]
            first = next(name for name in chosen if name != second)
            hint = f"set {first}: null" if first in present else f"remove {first} or {second}"
            message = f"is a second {noun} beside {first}; {_a(type_.name)} has one, so {hint}"
            yield broken((*at, second), message, at_key=True)

    def _find_lacking(
        self, value: Mapping[str, Any], type_: FieldType, old: Any, at: KeyPath
    ) -> Iterator[SettingDiagnostic]:
        required = _required(type_) if self._find_missing else ()
        for name in required:
            if name in value and value[name] is None:
                yield broken((*at, name), f"cannot be removed; {_a(type_.name)} requires it")
        present = _present(value, old)
        if lacking := [name for name in required if name not in value and name not in present]:
            names = " and ".join(lacking)
            yield broken(at, f"lacks {names}, which {_a(type_.name)} requires")

    def _find_in_list(
        self, value: Any, type_: FieldType, item_type: FieldType, old: Any, at: KeyPath
    ) -> Iterator[SettingDiagnostic]:
        if not isinstance(value, list):
            yield self._mismatch(at, value, "a list")
            return
        list_key = merge_key(FieldPath(at), type_) if self._is_patch else ""
        names: list[Any] = []
        for index, item in enumerate(value):
            here = (*at, index)
            if not list_key or not isinstance(item, Mapping):
                yield from self.find(item, item_type, None, here)
                continue
            name = item.get(list_key) if item.get(DIRECTIVE) is None else None
            if name is not None and name in names:
                message = f"appears twice; {list_key} identifies the items of {at[-1]}"
                yield broken((*here, list_key), message)
            names.append(name)
            yield from self._find_in_item(item, list_key, item_type, old, here)

    def _find_in_item(
        self, item: Mapping[str, Any], list_key: str, type_: FieldType, old: Any, at: KeyPath
    ) -> Iterator[SettingDiagnostic]:
        name = item.get(list_key)
        if name is None or item.get(DIRECTIVE) == "delete":
            return
        index = find_item(old, list_key, name)
        yield from self._find_in_fields(item, type_, None if index is None else old[index], at)
        if index is not None:
            yield from self._find_lacking(item, type_, old[index], at)
            return
        lacking = [_a(field) for field in _required(type_) if item.get(field) is None]
        if type_.name == "Volume" and len(item) == 1:
            lacking = ["a source such as emptyDir"]
        if lacking and self._find_missing:
            # Usually the name of an existing item is misspelt, so similar names are suggested.
            hint = suggest_item(old, list_key, name)
            yield broken((*at, list_key), _describe_new(type_, name, lacking, hint))

    def _find_in_labels(self, value: Mapping[str, Any], at: KeyPath) -> Iterator[SettingDiagnostic]:
        key_rule, value_rule = MAPPING_RULES.get(str(at[-1]) if at else "", (None, None))
        for key, child in value.items():
            here = (*at, key)
            if child is None or key.startswith("$"):
                continue
            if key_rule and not key_rule.accepts(key):
                message = f"is not a valid key; expected {key_rule.expected}"
                yield broken(here, message, at_key=True)
            elif value_rule and not value_rule.accepts(child):
                yield self._unaccepted(here, child, value_rule)

    def _find_in_scalar(
        self, value: Any, type_: FieldType, at: KeyPath
    ) -> Iterator[SettingDiagnostic]:
        if isinstance(value, Mapping | list) or not _fits(value, type_.name):
            yield self._mismatch(at, value, _EXPECTED[type_.name])
        elif type_.allowed and value not in type_.allowed:
            expected = _list_allowed(value, type_.allowed)
            yield broken(at, f"is {self._show(at, value)}; expected {expected}")

    def _unaccepted(self, at: KeyPath, value: Any, rule: FieldRule) -> SettingDiagnostic:
        return broken(at, f"is {self._show(at, value)}; expected {rule.expected}")

    def _mismatch(self, at: KeyPath, value: Any, expected: str) -> SettingDiagnostic:
        shown = self._show(at, value)
        hint = ""
        unquoted = _UNQUOTED.get(expected)
        if expected == _EXPECTED["string"] and isinstance(value, int | float) and shown != REDACTED:
            hint = f': quote it, "{shown}"'
        elif isinstance(value, str) and unquoted and unquoted.fullmatch(value):
            hint = ": remove the quotes"
        elif isinstance(value, int) and not isinstance(value, bool) and "number" in expected:
            hint = " that is not so large"
        return broken(at, f"is {shown}; expected {expected}{hint}")


def _present(value: Mapping[str, Any], old: Any) -> Mapping[str, Any]:
    """Returns the manifest's mapping, empty where the patch replaces it."""
    return old if isinstance(old, Mapping) and DIRECTIVE not in value else {}


def _required(type_: FieldType) -> tuple[str, ...]:
    return (*type_.required, *_ALSO_REQUIRED.get(type_.name, ()))


def _fits(value: Any, name: str) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "Quantity":
        return number or (isinstance(value, str) and parse_quantity(value) is not None)
    if name == "Time":
        return isinstance(value, str) and _TIME.fullmatch(value) is not None
    if name in _BITS and number:
        bound = 1 << _BITS[name]
        return isinstance(value, int) and -bound <= value < bound
    types = {"boolean": bool, "string": str, "IntOrString": str}
    return name in types and isinstance(value, types[name])


def _describe_unknown(key: str, type_: FieldType) -> str:
    """Describes a key that is not a field: misspelt, in the wrong place, or unknown."""
    message = f"is not a field of {_a(type_.name)}"
    if same := [field for field in type_.fields if field.lower() == key.lower()]:
        return f'{message}; did you mean "{same[0]}"?'
    if deeper := _find_deeper(key, type_):
        owner, path = deeper
        return f'{message}; {_a(owner)} has it: did you mean "{path}"?'
    if len(type_.fields) > MAX_LISTED and not near_misses(key, type_.fields):
        return f"{message} in Kubernetes {kubernetes_version()}"
    return message + suggest(key, type_.fields)


def _find_deeper(key: str, type_: FieldType) -> tuple[str, str] | None:
    """Returns the nearest definition below that has the field, and the path to the field."""
    level = [("", type_)]
    for _ in range(_DEEPEST):
        level = [
            (f"{path}{name}.", child)
            for path, owner in level
            for name, child in owner.fields.items()
            if child.fields and name != "status"
        ]
        for path, owner in level:
            if key in owner.fields:
                return owner.name, f"{path}{key}"
    return None


def _describe_new(type_: FieldType, name: Any, lacking: list[str], hint: str) -> str:
    noun = type_.name[0].lower() + type_.name[1:]
    end = " " if hint.endswith("?") else ". "
    needs = " and ".join(lacking)
    return f': {noun} "{name}" does not exist{hint}{end}A new {noun} needs {needs}'


def _list_allowed(value: Any, allowed: tuple[str, ...]) -> str:
    quoted = [f'"{name}"' for name in allowed]
    names = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    if len(quoted) > MAX_LISTED:
        more = len(quoted) - MAX_LISTED
        names = f"{', '.join(quoted[:MAX_LISTED])} or one of {more} more"
    hint = did_you_mean(str(value), allowed)
    return f"{names}; {hint}" if hint else names


def _a(name: str) -> str:
    return f"{'an' if _STARTS_WITH_VOWEL.match(name) else 'a'} {name}"
