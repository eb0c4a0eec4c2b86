"""The sentence for one pydantic error: what the value is, and what is expected.

Kept apart so that every message has one shape and no value that may be secret is ever quoted.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from pydantic_core import ErrorDetails

from framework.core.diagnostics import Diagnostic, KeyPath
from framework.core.redaction import REDACTED, is_secret, redact_text
from framework.core.suggestions import near_misses
from framework.layers import Merged

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


def dotted(path: KeyPath) -> str:
    """`rollout.maxSurge`, `args[0]`, `resources.limits["nvidia.com/gpu"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part or "/" in part:
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text


def show(path: KeyPath, value: Any, spelling: str | None = None) -> str:
    """A value as the author wrote it, unless it may be secret or is long."""
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


def redact_diagnostic(diagnostic: Diagnostic, merged: Merged) -> Diagnostic:
    """Returns the diagnostic without what an interpolation brought from a secret setting."""
    return replace(diagnostic, message=redact_text(diagnostic.message, merged.secret_texts))


def expectation(error: ErrorDetails) -> str:
    """What was expected, without "expected"; "" where the error is no mismatch of one value."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return words.format(context[name])
    if kind == "literal_error":
        return _one_of(str(context["expected"]), error["input"])
    if kind == "string_too_short":
        return "text that is not empty"
    if kind == "too_short":
        return f"at least {context['min_length']}"
    own = own_words(error)
    return own.removeprefix("expected ") if own.startswith("expected ") else ""


def own_words(error: ErrorDetails) -> str:
    """The settings class's own message, or pydantic's where it has none."""
    cause = error.get("ctx", {}).get("error")
    return str(cause) if cause is not None else error["msg"][:1].lower() + error["msg"][1:]


def is_type_mismatch(error: ErrorDetails) -> bool:
    """True where the value is of another type altogether."""
    return error["type"] in _TYPES


def _one_of(expected: str, value: Any) -> str:
    names = re.findall(r"'([^']*)'", expected)
    quoted = [f'"{name}"' for name in names]
    listed = f"{', '.join(quoted[:-1])} or {quoted[-1]}" if len(quoted) > 1 else expected
    near = near_misses(str(value), names, cutoff=0.7)
    return listed + (f'; did you mean "{near[0]}"?' if near and len(names) > 2 else "")
