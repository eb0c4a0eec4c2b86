"""Composes the message for one invalid setting: its name, its value, and what is expected.

Every message shows a value through `show`, so that none quotes a value that may be secret.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from typing import Any

from pydantic_core import ErrorDetails

from framework.core.diagnostics import Diagnostic, KeyPath
from framework.core.field_paths import FieldPath
from framework.core.redaction import REDACTED, is_secret, redact_text
from framework.core.suggestions import near_misses
from framework.layers import Merged
from framework.settings.foreign_names import find_example
from framework.settings.values import EXPECTED_ENV_TEXT

# pydantic's error types, and what was expected instead.
_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
}
_LIMITS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "more than {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "less than {}"),
    "string_pattern_mismatch": ("pattern", "text of the form {}"),
    "string_too_long": ("max_length", "at most {} characters"),
    "too_long": ("max_length", "at most {} items"),
}
_LONGEST = 60
# Kubernetes replaces `$(NAME)` itself; everything else here is a shell's.
_INTERPOLATION = re.compile(r"\$\{([^${}]+)\}")
_SHELL = re.compile(r"[|&;<>`*]|\$(?!\(\w+\))")


def show(path: KeyPath, value: Any, spelling: str | None = None) -> str:
    """Returns a value as its author wrote it, shortened if long, redacted if it may be secret."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "null"
    if is_secret(path, value):
        return REDACTED
    if spelling is not None:
        return spelling
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}..."'


def show_in(merged: Merged, path: KeyPath, value: Any) -> str:
    """Returns a value of merged settings as `show` does, with the interpolation that gave it.

    The line of the error shows only `${variables.n}`; the value is written elsewhere.
    """
    if merged.is_secret(path):
        return REDACTED
    shown = show(path, value, merged.spelling(path))
    source = merged.interpolation(path)
    return f"{shown} from {source}" if source and shown != REDACTED else shown


def show_as_list(path: KeyPath, text: str) -> str:
    """Returns the list to write in place of a text: `: ["python", "server.py"]`.

    A command with the syntax of a shell becomes an argument of `sh -c`. Returns "" for `args` with
    this syntax, and for a long list.
    """
    if path[-1] not in ("command", "args"):
        words = re.split(r"[,\s]+", text.strip())
    elif not _SHELL.search(text):
        try:
            words = shlex.split(text)
        except ValueError:
            return ""
    elif path[-1] == "command":
        words = ["sh", "-c", text]
    else:
        return ""
    shown = json.dumps(words, ensure_ascii=False)
    return f": {shown}" if len(shown) <= 2 * _LONGEST else ""


def redact_diagnostic(diagnostic: Diagnostic, merged: Merged) -> Diagnostic:
    """Returns the diagnostic without what an interpolation brought from a secret setting."""
    return replace(diagnostic, message=redact_text(diagnostic.message, merged.secret_texts))


def describe_mismatch(
    path: KeyPath, errors: list[ErrorDetails], merged: Merged, subject: str
) -> str:
    """Returns the message for a value that has `errors`; several where it may be of several types.

    `subject` names the whole ("a model"), for errors that are about no single setting.
    """
    error = errors[0]
    name = str(FieldPath(path)) or subject
    expected = list(dict.fromkeys(filter(None, map(expectation, errors))))
    if expected:
        value = error["input"]
        # The message about a list or mapping that is too short comes only for an empty one.
        shown = "empty" if error["type"] == "too_short" else show_in(merged, path, value)
        message = f"{name} is {shown}; expected {' or '.join(expected)}"
        if message.endswith("expected a mapping") and (example := find_example(path, value)):
            return f"{message} such as {example}"
        if error["type"].startswith("int_") and isinstance(value, str) and value.isdigit():
            source = merged.interpolation(path)
            whole = source and _INTERPOLATION.fullmatch(source)
            if whole:
                message += f": remove the quotes of {whole[1]}"
            elif not source:
                message += ": remove the quotes"
        if error["type"] == "string_type" and isinstance(value, int | float) and shown != REDACTED:
            message += f': quote it, "{shown}"'
        return message
    words = own_words(error)
    if words.startswith("has "):
        return f"{name} {words}"
    return f"{name}: {words}" if path else words


def expectation(error: ErrorDetails) -> str:
    """Returns what was expected, without the word "expected"; "" where the error does not say."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return words.format(context[name])
    if kind == "literal_error":
        return _list_choices(str(context["expected"]), error["input"])
    if kind == "string_too_short":
        return "text that is not empty"
    if kind == "too_short":
        return "at least one entry"
    words = own_words(error)
    return words.removeprefix("expected ") if words.startswith("expected ") else ""


def own_words(error: ErrorDetails) -> str:
    """Returns the message of the settings class, or pydantic's where the class has none."""
    cause = error.get("ctx", {}).get("error")
    return str(cause) if cause is not None else error["msg"][:1].lower() + error["msg"][1:]


def is_type_mismatch(error: ErrorDetails) -> bool:
    """Returns True where the value has another type than the setting."""
    return error["type"] in _TYPES


def is_text_expected(error: ErrorDetails) -> bool:
    """Returns True where a number, true or false was found and text was expected."""
    return error["type"] == "string_type" or own_words(error) == EXPECTED_ENV_TEXT


def _list_choices(expected: str, value: Any) -> str:
    # pydantic writes the choices of a Literal as `'Always', 'IfNotPresent' or 'Never'`.
    names = re.findall(r"'([^']*)'", expected)
    quoted = [f'"{name}"' for name in names]
    choices = f"{', '.join(quoted[:-1])} or {quoted[-1]}" if len(quoted) > 1 else expected
    near = near_misses(str(value), names, cutoff=0.7)
    return choices + (f'; did you mean "{near[0]}"?' if near and len(names) > 2 else "")
