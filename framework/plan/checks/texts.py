"""Warns about references in texts that probably do not do what their author expects.

`${name}` in a script may be a variable of the shell, and `$(HOST)` in an argument may name a
variable that the container does not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.env_references import list_references
from framework.core.field_paths import FieldPath
from framework.layers import Shape
from framework.plan.checks.pods import PodContainer, RenderedTrack
from framework.plan.rendered import mappings_in

# `for x in`, `x=...`, `read x`: the shell sets x.
_ASSIGNED = re.compile(
    r"\bfor\s+(\w+)\s+in\b|(?:^|[\s;&|({])(\w+)=|\bread\s+(?:-\w+\s+)*(\w+)", re.MULTILINE
)
_INTERPOLATED = re.compile(r"(?<!\\)(?:\\\\)*\$\{(\w+)\}")
# Kubernetes itself defines variables for each Service of the Namespace.
_OF_A_SERVICE = re.compile(r"KUBERNETES_\w+|\w+_SERVICE_(HOST|PORT\w*)|\w+_PORT(_\d+_\w+)?")
# A lower-case `$(date)` in an argument is a command that the shell runs.
_LIKE_A_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def find_text_warnings(tracks: Iterable[RenderedTrack]) -> tuple[Diagnostic, ...]:
    """Returns the warnings about the texts of all tracks."""
    found: dict[Diagnostic, None] = {}
    for track in tracks:
        found |= dict.fromkeys(_find_shell_variables(track))
        for container in track.containers:
            found |= dict.fromkeys(_find_unknown_variables(track, container))
    return tuple(found)


def _find_shell_variables(track: RenderedTrack) -> Iterator[Diagnostic]:
    """Yields a warning for each interpolation whose name the same text assigns in a shell."""
    for layer in track.merged.layers:
        for entry in layer.entries:
            if entry.shape is not Shape.INTERPOLATION:
                continue
            text = layer.value(entry.path)
            assigned = {name for match in _ASSIGNED.findall(text) for name in match if name}
            for name in dict.fromkeys(_INTERPOLATED.findall(text)):
                if name not in assigned:
                    continue
                position = layer.document.find_in_block(entry.position, f"${{{name}}}")
                message = (
                    f"{FieldPath(entry.path)} uses ${{{name}}}, which is replaced by the setting "
                    f'"{name}", and assigns a shell variable of this name; write \\${{{name}}} '
                    "for the shell's, or set interpolate: false"
                )
                yield position.diagnostic(Code.SHELL_VARIABLE, message, track.model.name)


def _find_unknown_variables(track: RenderedTrack, container: PodContainer) -> Iterator[Diagnostic]:
    fields = container.fields
    names = {str(item.get("name")) for item in mappings_in(fields, "env")}
    prefixes = [str(source.get("prefix", "")) for source in mappings_in(fields, "envFrom")]
    for path, text, is_env in _list_texts(fields):
        for name in list_references(text):
            known = name in names and path[:2] != ("env", name)
            if (
                known
                or any(name.startswith(prefix) for prefix in prefixes)
                or _OF_A_SERVICE.fullmatch(name)
                or not (is_env or _LIKE_A_VARIABLE.fullmatch(name))
            ):
                continue
            setting = (*container.setting, *path) if container.setting[:1] != ("patch",) else ()
            message = (
                f"{FieldPath(setting or container.setting)} refers to $({name}), and the container "
                f"has no such variable, so the text stays as it is; add it to env, or write "
                f"$$({name})"
            )
            position = track.position(setting or container.setting)
            yield position.diagnostic(Code.UNKNOWN_VARIABLE, message, track.model.name)


def _list_texts(fields: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str, bool]]:
    """Yields the texts in which Kubernetes expands references; True for a variable's value."""
    for item in mappings_in(fields, "env"):
        if isinstance(item.get("value"), str):
            yield ("env", str(item.get("name"))), item["value"], True
    for key in ("command", "args"):
        items = fields.get(key)
        for index, text in enumerate(items if isinstance(items, list) else ()):
            if isinstance(text, str):
                yield (key, index), text, False
