"""What a patch says that the API would refuse: fields that are none, values of another type, new
items that lack what they need.

Kept apart from laying a patch, which would carry any field, and from what a patch may not touch,
which is ours to say and not the API's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.redaction import REDACTED
from framework.core.suggestions import MOST_LISTED, did_you_mean, near_misses, suggest
from framework.plan.kubernetes_fields import FieldType, kubernetes_version
from framework.plan.patch_forms import Show, choose_one, find_form_diagnostics, find_key_diagnostics
from framework.plan.strategic import (
    DIRECTIVE,
    PatchDiagnostic,
    Path,
    find_item,
    get_key,
    suggest_item,
)

_QUANTITY = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?\d+)?")
_EXPECTED = {
    "string": "text",
    "boolean": "true or false",
    "int32": "a whole number",
    "int64": "a whole number",
    "Quantity": 'a quantity such as "500m", 2 or "4Gi"',
    "IntOrString": "a whole number or text",
}
# What text in quotes was meant as the value itself, by what is expected.
_WITHOUT_QUOTES = {
    "true or false": re.compile("true|false"),
    "a whole number": re.compile("-?[0-9]+"),
}
_NOTHING = re.compile("(?!)")
_BITS = {"int32": 31, "int64": 63, "IntOrString": 31}
# The API's definition does not require it, for the sake of tools that fill it in; a Pod needs it.
_NEEDED_BESIDES = {"Container": ("image",)}
_AN = re.compile(r"[AEIOaeio]|FC|HPA|HTTP|NFS|RBD")
_DEEPEST = 3
_MOST_LISTED = 8


def find_field_diagnostics(
    kind: str, patch: Mapping[str, Any], manifest: Mapping[str, Any] | None, show: Show
) -> Iterator[PatchDiagnostic]:
    """What the API has no field for or would not take, every flaw of it. What new items lack is
    only looked for where there is a `manifest` to say what is new."""
    checks = _Checks(show, whole=manifest is not None)
    yield from checks.find(patch, FieldType(kind), manifest, ())


class _Checks:
    """The checks of one patch, by type; `old` is always what the manifest has in that place."""

    def __init__(self, show: Show, *, whole: bool) -> None:
        self._show, self._whole = show, whole

    def find(self, value: Any, of: FieldType, old: Any, at: Path) -> Iterator[PatchDiagnostic]:
        below = of.items
        if of.name == "map" and isinstance(value, Mapping):
            yield from find_key_diagnostics(value, at, self._show)
        if of.name == "list" and below:
            yield from self._find_in_list(value, of, below, old, at)
        elif of.name in _EXPECTED:
            yield from self._find_in_value(value, of, at)
        elif not isinstance(value, Mapping):
            yield self._mismatch(at, value, "a mapping")
        elif of.fields:
            yield from self._find_in_fields(value, of, old, at)
            yield from self._find_lacking(value, of, old, at)
        else:
            for key, child in value.items():
                if below and child is not None and key != DIRECTIVE:
                    yield from self.find(child, below, get_key(old, key), (*at, key))

    def _find_in_fields(
        self, value: Mapping[str, Any], of: FieldType, old: Any, at: Path
    ) -> Iterator[PatchDiagnostic]:
        for key, child in value.items():
            if key.startswith("$"):
                continue
            if key not in of.fields:
                yield PatchDiagnostic((*at, key), _name_unknown(key, of), at_key=True)
            elif child is not None:
                yield from self.find(child, of.fields[key], get_key(old, key), (*at, key))
                yield from find_form_diagnostics(of.name, key, child, (*at, key), self._show)
        yield from self._find_second(value, of, old, at)

    def _find_second(
        self, value: Mapping[str, Any], of: FieldType, old: Any, at: Path
    ) -> Iterator[PatchDiagnostic]:
        """Of fields that exclude one another, the one that is too many."""
        there = old if isinstance(old, Mapping) and DIRECTIVE not in value else {}
        noun, choices = choose_one(of)
        merged = {**there, **value}
        having = [name for name in choices if merged.get(name) not in (None, "")]
        said = [name for name in having if name in value]
        if said and len(having) > 1:
            other = next(name for name in having if name != said[-1])
            hint = f"set {other}: null" if other in there else f"take {other} or {said[-1]} out"
            message = f"is a second {noun} beside {other}, and {_a(of.name)} has one; {hint}"
            yield PatchDiagnostic((*at, said[-1]), message, at_key=True)

    def _find_lacking(
        self, value: Mapping[str, Any], of: FieldType, old: Any, at: Path
    ) -> Iterator[PatchDiagnostic]:
        there = old if isinstance(old, Mapping) and DIRECTIVE not in value else {}
        needed = _needed(of) if self._whole else ()
        for name in needed:
            if name in value and value[name] is None:
                yield PatchDiagnostic((*at, name), f"cannot be taken away; {_a(of.name)} needs it")
        if lacking := [name for name in needed if name not in value and name not in there]:
            yield PatchDiagnostic(at, f"lacks {' and '.join(lacking)}, which {_a(of.name)} needs")

    def _find_in_list(
        self, value: Any, of: FieldType, below: FieldType, old: Any, at: Path
    ) -> Iterator[PatchDiagnostic]:
        if not isinstance(value, list):
            yield self._mismatch(at, value, "a list")
            return
        names: list[Any] = []
        for index, item in enumerate(value):
            here = (*at, index)
            name = get_key(item, of.merge_key) if get_key(item, DIRECTIVE) is None else None
            if name is not None and name in names:
                told = f"is here a second time; items of {at[-1]} are told apart by {of.merge_key}"
                yield PatchDiagnostic((*here, of.merge_key), told)
            names.append(name)
            if of.merge_key and isinstance(item, Mapping):
                yield from self._find_in_item(item, of.merge_key, below, old, here)
            else:
                yield from self.find(item, below, None, here)

    def _find_in_item(
        self, item: Mapping[str, Any], key: str, of: FieldType, old: Any, at: Path
    ) -> Iterator[PatchDiagnostic]:
        name = item.get(key)
        if name is None or item.get(DIRECTIVE) == "delete":
            return
        found = find_item(old, key, name)
        yield from self._find_in_fields(item, of, old[found] if found is not None else None, at)
        if found is not None:
            yield from self._find_lacking(item, of, old[found], at)
            return
        lacking = [_a(other) for other in _needed(of) if item.get(other) is None]
        if of.name == "Volume" and len(item) == 1:
            lacking = ["a source such as emptyDir"]
        if lacking and self._whole:
            yield PatchDiagnostic(
                (*at, key), _name_new(of, name, lacking, suggest_item(old, key, name))
            )

    def _find_in_value(self, value: Any, of: FieldType, at: Path) -> Iterator[PatchDiagnostic]:
        if isinstance(value, Mapping | list) or not _fits(value, of.name):
            yield self._mismatch(at, value, _EXPECTED[of.name])
        elif of.allowed and value not in of.allowed:
            yield PatchDiagnostic(at, f"is {self._show(at, value)}; expected {_one_of(value, of)}")

    def _mismatch(self, at: Path, value: Any, expected: str) -> PatchDiagnostic:
        shown = self._show(at, value)
        hint = ""
        if expected == _EXPECTED["string"] and isinstance(value, int | float) and shown != REDACTED:
            hint = f': quote it, "{shown}"'
        elif isinstance(value, str) and _WITHOUT_QUOTES.get(expected, _NOTHING).fullmatch(value):
            hint = ": leave the quotes out"
        elif isinstance(value, int) and not isinstance(value, bool) and "number" in expected:
            hint = " that is not so large"
        return PatchDiagnostic(at, f"is {shown}; expected {expected}{hint}")


def _fits(value: Any, name: str) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name == "Quantity":
        return number or (isinstance(value, str) and bool(_QUANTITY.fullmatch(value)))
    if name in _BITS and number:
        bound = 1 << _BITS[name]
        return isinstance(value, int) and -bound <= value < bound
    types = {"boolean": bool, "string": str, "IntOrString": str}
    return name in types and isinstance(value, types[name])


def _needed(of: FieldType) -> tuple[str, ...]:
    return (*of.required, *_NEEDED_BESIDES.get(of.name, ()))


def _name_unknown(key: str, of: FieldType) -> str:
    """Why `key` is no field: misspelt, in the wrong place, or unknown."""
    told = f"is no field of {_a(of.name)}"
    if same := [field for field in of.fields if field.lower() == key.lower()]:
        return f'{told}; did you mean "{same[0]}"?'
    if deeper := _find_deeper(key, of):
        owner, path = deeper
        return f'{told}; {_a(owner)} has it: did you mean "{path}"?'
    if len(of.fields) > MOST_LISTED and not near_misses(key, of.fields):
        return f"{told} in Kubernetes {kubernetes_version()}"
    return told + suggest(key, of.fields)


def _find_deeper(key: str, of: FieldType) -> tuple[str, str] | None:
    """The nearest definition below that has the field, and the field's path from here."""
    level = [("", of)]
    for _ in range(_DEEPEST):
        level = [
            (f"{path}{name}.", below)
            for path, owner in level
            for name, below in owner.fields.items()
            if below.fields and name != "status"
        ]
        for path, owner in level:
            if key in owner.fields:
                return owner.name, f"{path}{key}"
    return None


def _name_new(of: FieldType, name: Any, lacking: list[str], near: str) -> str:
    noun = of.name[0].lower() + of.name[1:]
    end = " " if near.endswith("?") else ". "
    return f': there is no {noun} "{name}"{near}{end}A new {noun} needs {" and ".join(lacking)}'


def _one_of(value: Any, of: FieldType) -> str:
    names = [f'"{name}"' for name in of.allowed]
    if len(names) > _MOST_LISTED:
        listed = f"{', '.join(names[:_MOST_LISTED])} or one of {len(names) - _MOST_LISTED} more"
    else:
        listed = f"{', '.join(names[:-1])} or {names[-1]}"
    hint = did_you_mean(str(value), of.allowed)
    return f"{listed}; {hint}" if hint else listed


def _a(name: str) -> str:
    return f"{'an' if _AN.match(name) else 'a'} {name}"
