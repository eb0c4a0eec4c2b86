"""Writes the settings of a model that differ from the inherited ones, as a short YAML file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from textwrap import wrap
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from framework.core.diagnostics import KeyPath
from framework.core.field_paths import MISSING
from framework.core.quantities import quantity_value
from framework.edits.importing.containers import Settings
from framework.edits.yaml_text import render_inline, render_key
from framework.layers.references import escape
from framework.settings.base import SettingDiagnosticsError
from framework.settings.container import Port
from framework.settings.model import Model
from framework.settings.probes import Probe
from framework.settings.volumes import Claim, Mount

_WIDTH = 96
# The key that a single value is short for: `8080` is `{containerPort: 8080}`.
_SHORT = {Port: "containerPort", Claim: "name", Mount: "path", Probe: "enabled"}
_QUANTITIES = ("requests", "limits")
# Literal blocks keep these texts as they are; others need quotes and escapes.
_BLOCK = re.compile(r"(?=[^ \n])[^\r\t\x00-\x08\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff]*[^\s]\n?")


def build_settings(data: Settings) -> tuple[Model | None, dict[KeyPath, str]]:
    """Returns the validated settings of a model without those that no setting can have.

    Each refused path comes with its reason. The model is None if a required setting is refused.
    """
    data = deepcopy(data)
    refused: dict[KeyPath, str] = {}
    # Each round removes at least one value, so that the number of values ends the loop.
    while True:
        try:
            return Model.model_validate(data), refused
        except ValidationError as exc:
            removed = False
            for path, reason in _list_errors(exc):
                path = _existing(data, path)
                if path and _remove(data, path):
                    refused[path] = reason
                    removed = True
            if not removed or "image" not in data:
                return None, refused


def _list_errors(exc: ValidationError) -> Iterator[tuple[KeyPath, str]]:
    for error in exc.errors(include_url=False):
        cause = error.get("ctx", {}).get("error")
        loc = tuple(part for part in error["loc"] if part != "[key]")
        if isinstance(cause, SettingDiagnosticsError):
            for diagnostic in cause.diagnostics:
                yield (*loc, *diagnostic.path), diagnostic.message
        elif error["type"] == "missing":
            yield loc[:-1], f"has no {loc[-1]}"
        else:
            yield loc, str(cause or error["msg"])


def _existing(data: Any, loc: KeyPath) -> KeyPath:
    """Returns the part of pydantic's location that is a path in the data.

    A location also has the labels of the arms of unions, which are not keys.
    """
    path: list[str | int] = []
    for part in loc:
        if isinstance(data, Mapping):
            found = part in data
        else:
            found = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if found:
            data = data[part]
            path.append(part)
    return tuple(path)


def _remove(data: Any, path: KeyPath) -> bool:
    for key in path[:-1]:
        data = data[key]
    if isinstance(data, dict):
        return data.pop(path[-1], MISSING) is not MISSING
    del data[path[-1]]
    return True


def diff_settings(value: BaseModel, inherited: Any) -> Settings:
    """Returns the smallest settings that, merged over `inherited`, give `value`.

    A key is null where the inherited value must be removed.
    """
    below = inherited if isinstance(inherited, Mapping) else {}
    entry: Settings = {}
    for name, field in type(value).model_fields.items():
        key = field.alias or to_camel(name)
        default = field.get_default(call_default_factory=True)
        change = _diff_value(key, getattr(value, name), below.get(key), default)
        if change is not MISSING:
            entry[key] = change
    return entry


def _diff_value(key: str, value: Any, inherited: Any, default: Any) -> Any:
    """Returns what to write for a value; MISSING where it is inherited or the default.

    `inherited` is None where nothing is.
    """
    if inherited is None:
        return MISSING if value == default else _dump(key, value)
    if value is None or (value in ({}, ()) and value == default and inherited not in ({}, [])):
        return None
    if isinstance(value, BaseModel):
        if not isinstance(inherited, Mapping):
            inherited = {_SHORT.get(type(value), ""): inherited}
        return diff_settings(value, inherited) or MISSING
    if isinstance(value, dict) and isinstance(inherited, Mapping):
        return _diff_mapping(key, value, inherited)
    written = _dump(key, value)
    return MISSING if _is_same(key, written, inherited) else written


def _diff_mapping(parent: str, value: Mapping[str, Any], inherited: Mapping[str, Any]) -> Any:
    entry: Settings = {key: None for key in inherited if key not in value}
    for key, child in value.items():
        found = inherited.get(key)
        if parent in _QUANTITIES and quantity_value(str(found)) == quantity_value(str(child)):
            continue
        change = _diff_value(key, child, found, MISSING)
        if change is not MISSING:
            entry[key] = change
    return entry or MISSING


def _is_same(key: str, written: Any, inherited: Any) -> bool:
    if key == "defaultMode":
        return bool(written == (inherited if isinstance(inherited, str) else f"{inherited:04o}"))
    if isinstance(written, list) or isinstance(inherited, list):
        return bool(written == inherited)
    # A quantity is a number or text: `cpu: 4` is `cpu: "4"`.
    return str(written) == str(inherited) and isinstance(written, bool) == isinstance(
        inherited, bool
    )


def _dump(key: str, value: Any) -> Any:
    """Returns a value as people write it, without what is the default."""
    if isinstance(value, BaseModel):
        fields = diff_settings(value, {})
        short = _SHORT.get(type(value))
        return fields[short] if short and fields.keys() == {short} else fields
    if isinstance(value, Mapping):
        items = {name: _dump(name, child) for name, child in value.items()}
        return _shorten_quantities(items) if key in _QUANTITIES else items
    if isinstance(value, list | tuple):
        return [_dump("", item) for item in value]
    return f"{value:04o}" if key == "defaultMode" and isinstance(value, int) else value


def _shorten_quantities(quantities: Settings) -> Settings:
    return {
        name: int(value) if isinstance(value, str) and value.isdigit() and "/" in name else value
        for name, value in quantities.items()
    }


def add_missing(entry: Settings, other: Settings) -> Settings:
    """Returns an entry with the keys of another that it does not have, in mappings too."""
    completed = dict(entry)
    for key, value in other.items():
        if key not in completed:
            completed[key] = value
        elif isinstance(value, dict) and isinstance(completed[key], dict):
            completed[key] = add_missing(completed[key], value)
    return completed


def render_entry(settings: Mapping[str, Any], comments: Mapping[str, str], opening: str) -> str:
    """Renders a file. `comments` has the comment behind the line of a top-level key.

    Texts with `${` are escaped: nothing in a manifest is an interpolation of the catalog.
    """
    lines = [f"# {line}" for line in wrap(opening, _WIDTH - 2, break_on_hyphens=False)]
    for key, value in settings.items():
        block = _render_block(key, _escape(value), 0)
        if comment := comments.get(key):
            block[0] = f"{block[0].ljust(28)}  # {comment}"
        lines += block
    return "\n".join(lines) + "\n"


def _escape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _escape_files(child) if key == "files" else _escape(child)
            for key, child in value.items()
        }
    if isinstance(value, list):
        return [_escape(child) for child in value]
    if isinstance(value, str) and re.fullmatch(r"\\*\?\?\?", value):
        return f"\\{value}"
    return escape(value)


def _escape_files(files: Any) -> Any:
    """Returns the files of `config`: shell text with many `${x}` reads better without escapes."""
    return {
        name: {"text": text, "interpolate": False} if "${" in str(text) else text
        for name, text in files.items()
    }


def _render_block(key: str, value: Any, depth: int) -> list[str]:
    """Returns the lines of one key: on one line where it fits and nests only once."""
    indent = "  " * depth
    name = f"{indent}{render_key(key)}:"
    if _is_block(value):
        return _render_text(name, value, depth + 1)
    # Within single quotes, the backslash before `${` needs none of its own.
    quote = "'" if isinstance(value, str) and "\\" in value else ""
    inline = f"{name} {render_inline(value, quote)}"
    if not value or not isinstance(value, dict | list) or _fits(value, inline):
        return [inline]
    if isinstance(value, dict):
        return [name, *(line for k, v in value.items() for line in _render_block(k, v, depth + 1))]
    return [name, *(line for item in value for line in _render_item(item, depth + 1))]


def _is_block(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value and bool(_BLOCK.fullmatch(value))


def _render_text(head: str, text: str, depth: int) -> list[str]:
    """Returns a text as a literal block."""
    header = "|" if text.endswith("\n") else "|-"
    lines = text.removesuffix("\n").split("\n")
    return [f"{head} {header}", *(f"{'  ' * depth}{line}" if line else "" for line in lines)]


def _fits(value: Any, inline: str) -> bool:
    children = list(value.values() if isinstance(value, dict) else value)
    nested = [child for child in children if isinstance(child, dict | list) and child]
    if len(inline) > _WIDTH or any("\n" in text for text in _texts(children)):
        return False
    return not nested or (len(children) == 1 and len(inline) <= _WIDTH - 16)


def _texts(children: list[Any]) -> Iterator[str]:
    for child in children:
        if isinstance(child, dict | list):
            yield from _texts(list(child.values() if isinstance(child, dict) else child))
        elif isinstance(child, str):
            yield child


def _render_item(item: Any, depth: int) -> list[str]:
    indent = "  " * depth
    inline = f"{indent}- {render_inline(item)}"
    if not isinstance(item, dict) or not item or _fits(item, inline):
        return _render_text(f"{indent}-", item, depth + 1) if _is_block(item) else [inline]
    lines = [line for key, value in item.items() for line in _render_block(key, value, depth + 1)]
    return [f"{indent}- {lines[0].lstrip()}", *lines[1:]]
