"""The parts of rules: restrictions of single values, and functions that compare values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple, get_args

from framework.core.diagnostics import Code, KeyPath, SettingDiagnostic
from framework.core.quantities import quantity_value
from framework.settings.values import Form

Object = Mapping[str, Any]
Show = Callable[[KeyPath, Any], str]
"""Renders a value for a message: REDACTED where it may be secret."""
Rule = Callable[[Object, Show], Iterator[SettingDiagnostic]]
"""Yields what is wrong in one mapping whose fields all have the right type."""


class FieldRule(NamedTuple):
    """Restricts one value; `expected` completes the message "expected ..."."""

    accepts: Callable[[Any], bool]
    expected: str


def text(form: Form) -> FieldRule:
    """Returns the rule for texts of a form."""
    # A value of another type is reported by the check of types, once.
    return FieldRule(lambda value: not isinstance(value, str) or form.accepts(value), form.expected)


def form_of(annotated: Any) -> FieldRule:
    """Returns the rule of one of the types in `framework.settings.values`."""
    return text(get_args(annotated)[1])


def optional(rule: FieldRule) -> FieldRule:
    """Accepts "" as well, which means to the server that the field is not set."""
    return FieldRule(lambda value: value == "" or rule.accepts(value), rule.expected)


def number(low: int, high: int | None = None) -> FieldRule:
    """Returns the rule for whole numbers in a range; texts are accepted."""
    expected = f"{low} or more" if high is None else f"a number from {low} to {high}"

    def accepts(value: Any) -> bool:
        return not isinstance(value, int) or (low <= value and (high is None or value <= high))

    return FieldRule(accepts, expected)


def choice(*names: str) -> FieldRule:
    """Returns the rule for one of several texts."""
    quoted = ", ".join(f'"{name}"' for name in names)
    expected = f"one of {quoted}" if len(names) > 1 else quoted
    return FieldRule(lambda value: not isinstance(value, str) or value in names, expected)


def broken(
    path: KeyPath, message: str, *others: KeyPath, at_key: bool = False
) -> SettingDiagnostic:
    """Returns the diagnostic for a value at `path` below the mapping that a rule checks.

    `others` are what it refers to: a patch may have removed that instead of writing the value.
    """
    return SettingDiagnostic(path, message, Code.BAD_VALUE, others, at_key)


def is_set(value: Any) -> bool:
    """Returns True for a value that the server does not take for an absent one."""
    # Go has no null for these types: the server reads an empty text as one that was not given.
    return value not in (None, "", [], {})


def amount(quantity: Any) -> Fraction:
    """Returns the value of a quantity in whatever spelling."""
    return quantity_value(str(quantity))


def mapping(value: Object, *names: str) -> Object:
    """Returns the mapping below some names, an empty one where it is absent."""
    for name in names:
        value = value.get(name) or {}
    return value


def items(value: Object, name: str) -> list[Any]:
    """Returns the items of a list, none where it is absent."""
    return value.get(name) or []


def needs(*names: str) -> Rule:
    """Returns the rule that all of these fields are set, although the schema requires none."""

    def check(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
        for name in names:
            if not is_set(value.get(name)):
                yield broken((name,) if name in value else (), f"has no {name}; expected one")

    return check


def needs_one_of(noun: str, choices: Iterable[str]) -> Rule:
    """Returns the rule that at least one of these fields is set."""
    names = tuple(choices)

    def check(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
        if not any(value.get(name) is not None for name in names):
            yield broken((), f"has no {noun}; expected one of {', '.join(names)}")

    return check


def excludes(first: str, *others: str) -> Rule:
    """Returns the rule that none of the other fields is set beside the first one."""

    def check(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
        for name in others:
            if is_set(value.get(first)) and is_set(value.get(name)):
                yield broken((name,), f"cannot be set together with {first}; remove one of them")

    return check


def only_with(first: str, expected: Any, *others: str) -> Rule:
    """Returns the rule that the other fields are set only where the first one has a value."""

    def check(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
        for name in others:
            if value.get(name) is not None and value.get(first) != expected:
                yield broken((name,), f"needs {first}: {show((), expected)}")

    return check


def every(*rules: Rule) -> Rule:
    """Returns the rule that all of these hold."""

    def check(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
        for rule in rules:
            yield from rule(value, show)

    return check


def unique(field: str, key: str, what: str, hint: str = "") -> Rule:
    """Returns the rule that no two items of a list have the same value under a key."""

    def check(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
        named = [(i, item[key]) for i, item in enumerate(items(value, field)) if item.get(key)]
        yield from find_duplicates([((field, i, key), name) for i, name in named], what, show, hint)

    return check


def find_duplicates(
    values: Iterable[tuple[KeyPath, Any]], what: str, show: Show, hint: str = ""
) -> Iterator[SettingDiagnostic]:
    """Yields each value that an earlier one equals."""
    seen: list[Any] = []
    for path, value in values:
        # A list, not a set: values may be mappings, which cannot be members of a set.
        if value in seen:
            yield broken(path, f"is {show(path, value)}, which another {what} has too{hint}")
        seen.append(value)
