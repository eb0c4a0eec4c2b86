"""Reads the mapping forms of lists and texts, which belong to one layer only.

`args: {append: [--verbose]}` adds to the list of the layers below, `args: {items: [...]}` replaces
it like a plain list, and `interpolate: false` keeps `${name}` as it is. Only the layer that writes
a form means it. So each form becomes a plain value here, and the layers above never see it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from framework.core.diagnostics import Code, KeyPath, SettingDiagnostic
from framework.core.forms import Form, FormTree
from framework.core.suggestions import suggest
from framework.layers.references import escape

_KEYS = {True: ("items", "append", "interpolate"), False: ("text", "interpolate")}


@dataclass
class Plain:
    """The data of a layer without mapping forms.

    `moved` has, for the path of each value that a form contained, its path in the file: the list
    at `args` is written at `args.append`. `appended` has the paths of the lists that are added to
    those of the layers below. `problems` are about forms that cannot be read; these stay in `data`
    as they are.
    """

    data: dict[str, Any]
    moved: dict[KeyPath, KeyPath] = field(default_factory=dict)
    appended: set[KeyPath] = field(default_factory=set)
    problems: dict[KeyPath, list[SettingDiagnostic]] = field(default_factory=dict)

    def path_in_file(self, path: KeyPath) -> KeyPath:
        """Returns the path under which the file has the value that is at `path` in `data`."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.moved:
                return (*self.moved[path[:end]], *path[end:])
        return path

    def path_in_data(self, path: KeyPath) -> KeyPath:
        """Returns the path in `data` of the value that is at `path` in the file."""
        for new, old in self.moved.items():
            if path[: len(old)] == old:
                return (*new, *path[len(old) :])
        return path


def read_forms(data: dict[str, Any], forms: FormTree) -> Plain:
    """Returns `data` with every mapping form replaced by a plain list or text."""
    plain = Plain(data)
    for path, form, value in forms.find(data):
        if not isinstance(value, dict) or not (form.is_list or form.is_text):
            continue
        if problems := _find_problems(form, value):
            plain.problems[path] = problems
            continue
        key = next(key for key in ("items", "append", "text") if key in value)
        # Escaped for OmegaConf, which then resolves the text to what is written.
        content = value[key] if value.get("interpolate", True) else escape(value[key])
        plain.data = _replace(plain.data, path, content)
        plain.moved[path] = (*path, key)
        if key == "append":
            plain.appended.add(path)
    return plain


def _find_problems(form: Form, value: dict[str, Any]) -> list[SettingDiagnostic]:
    keys = _KEYS[form.is_list]
    content = [key for key in keys[:-1] if key in value]
    problems = [
        SettingDiagnostic(
            (key,), f"is not a key here{suggest(key, keys)}", Code.UNKNOWN_KEY, at_key=True
        )
        for key in value
        if key not in keys
    ]
    expected, kind = ("a list", list) if form.is_list else ("text", str)
    problems += [
        SettingDiagnostic((key,), f"is not {expected}; expected {expected}", Code.BAD_VALUE)
        for key in content
        if not isinstance(value[key], kind)
    ]
    if "interpolate" in value and not isinstance(value["interpolate"], bool):
        message = "is not a boolean; expected true or false"
        problems.append(SettingDiagnostic(("interpolate",), message, Code.BAD_VALUE))
    if not problems and len(content) != 1:
        has = "both items and append" if content else f"no {' and no '.join(keys[:-1])}"
        message = f"has {has}; expected {expected} under {' or '.join(keys[:-1])}"
        code = Code.INCONSISTENT if content else Code.MISSING_KEY
        problems.append(SettingDiagnostic((), message, code))
    return problems


def _replace(data: Any, path: KeyPath, value: Any) -> Any:
    """Returns a copy of nested mappings in which the value at `path` is another one."""
    if not path:
        return value
    return {**data, path[0]: _replace(data[path[0]], path[1:], value)}
