"""The reference page of all settings, docs/settings.md: one row for each key that people write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from framework.settings.additions import ADDITIONS
from framework.settings.environment import Environment
from framework.settings.json_schema import PARTIAL_MODELS, PROFILES, Json, build_settings, class_of
from framework.settings.model import Model
from framework.settings.topics import COMMON, TOPICS

_INTRODUCTION = """\
# Settings

Written by `make schema` from `framework/settings/`; edit the classes there, not this page.

A later file overrides an earlier one:

1. `catalog/_defaults.yaml`
2. `defaults` of `environments/<environment>/environment.yaml`
3. the model's profiles, `catalog/_profiles/<profile>.yaml`, in the order it lists them
4. the model itself, `catalog/<model>.yaml`
5. `overrides` of the environment, then `environments/<environment>/models/<model>.yaml`

Mappings are merged deeply, lists are replaced, and `null` removes an inherited key. At least one of
the files must give each required setting.

**Interpolation.** Any value may refer to others: `${key}` of the model, `${name}`,
`${environment.*}`, `${stack.name}`. Write `\\${` for a literal `${`. If a value is only one
interpolation, it keeps its type. For example, `${ports.http}` is a number, and becomes text only
where text is expected, as in `args`.

**Lists.** Any list of a model may also be a mapping. `args: {append: [--verbose]}` adds to the
inherited list. `args: {items: [...], interpolate: false}` replaces it, and keeps `${name}` as it is
written, as shell scripts need it. In `config.files`, `{text: ..., interpolate: false}` does the
same for a file.

**Alternatives.** Some settings take exactly one of several keys: the source of a variable or a
volume, the action of a probe, the bound of a disruption budget. If a later file gives another key,
it replaces the inherited one. A setting that may be a single value or a mapping, such as
`ports.http`, is merged as a mapping.
"""
_COMMON = "Most models need only these. All settings follow below, grouped by task."
_ADDITIONS = """\
These fields are rendered although no file has a setting for them. The last column has the setting
that removes the field, or gives it the default of Kubernetes. To do so for all models, put it into
`catalog/_defaults.yaml`. Two things cannot be removed: the labels by which the objects of a model
are found, and the annotation `pulumi.com/skipAwait` of objects that Pulumi need not wait for."""
_ENVIRONMENT = "`environments/<environment>/environment.yaml`."
_HEADINGS = ("Setting", "Type", "Default", "Unit", "Example", "Meaning")
# A longer cell is not aligned, so that it does not make the whole column wide.
_WIDEST = (34, 18, 10, 14, 24, 0)
# Defaults that are words, not YAML: they are not put in backticks.
_WORDS = ("required", "none", "as below")
# Names of types, by the `format` in the schema.
_KINDS = {
    "quantity": "quantity",
    "int-or-percent": "integer or percent",
    "env-text": "text",
    "variable": "text, integer, true or false",
    "port-number": "port number",
    "port-name": "port name",
    "file-mode": "file mode",
    "file-text": "text or mapping",
}


@dataclass(frozen=True)
class Row:
    """One setting, as plain text. `setting` is the name of its class, and its key in the class."""

    key: str
    type: str
    default: str
    unit: str
    example: str
    meaning: str
    setting: tuple[str, str]


def render_reference() -> str:
    """Returns the page: the common settings, all settings by topic, the environment file."""
    rows = {group[0].key: group for group in build_rows(Model)}
    rows["profiles"] = [_PROFILES_ROW]
    by_key = {row.key: row for group in rows.values() for row in group}
    sections = [
        _render_section("The twenty most common settings", _COMMON, [by_key[key] for key in COMMON])
    ]
    for topic in TOPICS:
        own = [row for key in topic.settings for row in rows[key]]
        sections.append(_render_section(topic.title, topic.introduction, own))
    sections.append(_render_additions())
    environment = [row for group in build_rows(Environment) for row in group]
    sections.append(_render_section("The environment file", _ENVIRONMENT, environment))
    return "\n".join([_INTRODUCTION, *sections])


def build_rows(settings_type: type[Model] | type[Environment]) -> list[list[Row]]:
    """Returns, for each key of `settings_type`, its row and the rows of the settings below it.

    The keys of a class are listed once: later rows refer to the first place.
    """
    walk = _Walk(build_settings(settings_type))
    name = settings_type.__name__
    keys = list(walk.classes[name]["properties"])
    if settings_type is Model:
        # In the order of the page, so that "as under" refers to what is above. A setting
        # without a topic comes last, where a test finds it.
        order = [key for topic in TOPICS for key in topic.settings]
        keys.sort(key=lambda key: order.index(key) if key in order else len(order))
    return [list(walk.rows(name, key, key)) for key in keys]


class _Walk:
    """Builds the rows of all settings; remembers where the keys of each class are listed."""

    def __init__(self, classes: dict[str, Json]) -> None:
        self.classes = classes
        self._met: dict[str, str] = {}

    def rows(self, owner: str, key: str, path: str) -> Iterator[Row]:
        """Yields the row of one setting, then the rows of the settings below it."""
        node = self.classes[owner]["properties"][key]
        below = list(_classes_below(node, path))
        fresh = [(name, prefix) for name, prefix in below if name not in self._met]
        yield Row(
            path,
            "partial model" if (owner, key) in PARTIAL_MODELS else _kind(node),
            self._default(owner, key, node),
            node.get("unit", ""),
            render_yaml(node["examples"][0]) if "examples" in node else "",
            self._meaning(node, [name for name, _ in below]),
            (owner, key),
        )
        self._met |= dict(fresh)
        shown: set[str] = set()
        for name, prefix in fresh:
            for child in self.classes[name]["properties"]:
                # Arms of a union may share keys, such as `key` of a Secret and of a ConfigMap.
                for row in self.rows(name, child, f"{prefix}.{child}"):
                    if row.key not in shown:
                        yield row
                    shown.add(row.key)

    def _meaning(self, node: Json, below: list[str]) -> str:
        meaning = " ".join(node["description"].split())
        if known := [self._met[name] for name in below if name in self._met]:
            return f"{meaning} Keys: as under `{known[0]}`."
        if len(below) != 1 or "$ref" not in node:
            return meaning
        of_class = " ".join(self.classes[below[0]]["description"].split())
        return of_class if of_class.startswith(meaning[:-1]) else f"{meaning} {of_class}"

    def _default(self, owner: str, key: str, node: Json) -> str:
        if key in self.classes[owner].get("required", ()):
            return "required"
        default = node.get("default")
        if isinstance(default, dict) and default:
            return "as below"
        return "none" if default is None else render_yaml(default)


def _classes_below(node: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yields the classes that a value may have or contain, with the path of their keys."""
    if "$ref" in node:
        yield class_of(node), path
    for arm in [*node.get("anyOf", ()), *node.get("oneOf", ())]:
        yield from _classes_below(arm, path)
    for values in _values(node):
        yield from _classes_below(values, f"{path}.<name>")
    if "items" in node:
        yield from _classes_below(node["items"], f"{path}[]")


def _values(node: Json) -> list[Json]:
    """Returns the schemas of the values of a mapping by name."""
    schemas = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    return [schema for schema in schemas if isinstance(schema, dict)]


def _kind(node: Json) -> str:
    """Returns the type in words."""
    if kind := _KINDS.get(node.get("format", "")):
        return kind
    if "$ref" in node:
        return "mapping"
    if arms := node.get("anyOf") or node.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(arm) for arm in arms if arm.get("type") != "null"))
    if choices := node.get("enum", [node["const"]] if "const" in node else []):
        return ", ".join(render_yaml(choice) for choice in choices)
    plain = {"string": "text", "boolean": "true or false", "integer": "integer", "number": "number"}
    kind = node.get("type")
    if kind == "array":
        items = _kind(node.get("items", {}))
        return "list of mappings" if items == "mapping" else f"list of {items}"
    if kind == "object":
        values = _values(node)
        return f"{_kind(values[0])}, by name" if values else "mapping"
    return plain.get(str(kind), "any") + _range(node)


def _range(node: Json) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    # The bound of every integer of Kubernetes does not help a reader.
    high = None if high == 2**31 - 1 else high
    if low is None and high is None:
        return ""
    if high is None:
        return f" >= {low}"
    return f" {low}-{high}" if low is not None else f" <= {high}"


def render_yaml(value: Any) -> str:
    """Returns a value as YAML on one line."""
    if value == "":
        return '""'
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True
    )
    return text.removesuffix("...\n").strip()


_PROFILES_ROW = Row(
    "profiles",
    _kind(PROFILES),
    "[]",
    "",
    render_yaml(PROFILES["examples"][0]),
    PROFILES["description"],
    ("Model", "profiles"),
)


def _render_section(title: str, introduction: str, rows: list[Row]) -> str:
    cells = [_HEADINGS, *(_cells(row) for row in rows)]
    columns = []
    for (heading, *below), widest in zip(zip(*cells, strict=True), _WIDEST, strict=True):
        if any(below):
            width = min(widest, max(map(len, (heading, *below))))
            columns.append([cell.ljust(width) for cell in (heading, "---", *below)])
    lines = ["| " + " | ".join(line) + " |" for line in zip(*columns, strict=True)]
    return "\n".join([f"## {title}", "", introduction, "", *lines, ""])


def _render_additions() -> str:
    rows = [
        f"| {'<br>'.join(map(_code, addition.fields))} | {addition.meaning} "
        f"| {_code(addition.without)} |"
        for addition in ADDITIONS
    ]
    heading = ["| Field | What it is | Without it |", "| --- | --- | --- |"]
    return "\n".join(["## What every model gets", "", _ADDITIONS, "", *heading, *rows, ""])


def _cells(row: Row) -> tuple[str, ...]:
    default = row.default if row.default in _WORDS else _code(row.default)
    cells = (_code(row.key), row.type, default, row.unit, _code(row.example), row.meaning)
    # GitHub ends a cell at every "|", even inside backticks.
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
