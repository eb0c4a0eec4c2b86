"""What a plain YAML scalar means, and which spellings are refused because readers disagree on them.

Kept apart because it is the one place that decides between YAML 1.1 (PyYAML, kubectl), YAML 1.2 and
OmegaConf's own loader: where they differ nothing is guessed, the author is asked to say it plainly.
"""

from __future__ import annotations

import re
from typing import Any

from yaml.nodes import ScalarNode

_TAG = "tag:yaml.org,2002:"
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"[-+]?([0-9]{1,17}\.[0-9]{0,17}|\.[0-9]{1,17})")
_NUMBER_TO_SOME = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+|0o[0-7]+")
# OmegaConf takes `???` for "missing" and unescapes `\???`; neither may reach it.
_MISSING = re.compile(r"\\*\?\?\?")


class ScalarError(ValueError):
    """A scalar that would not mean what it looks like; `str()` says what to write instead."""


def read_scalar(node: ScalarNode) -> Any:
    """The plain value of a scalar: text, bool, int, float or None. Raises ScalarError."""
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    if kind in ("str", "value", "merge"):
        return _read_text(text, plain=not node.style)
    if kind == "null":
        return None
    if kind == "bool":
        return _read_bool(text)
    if kind == "int":
        return _read_int(text)
    if kind == "float":
        return _read_float(text)
    if kind == "timestamp":
        raise ScalarError(f'{text} would be read as a date; quote it: "{text}"')
    raise ScalarError(f"the tag {node.tag} is not read here; write plain YAML without tags")


def _read_text(text: str, *, plain: bool) -> str:
    if _MISSING.fullmatch(text):
        raise ScalarError('"???" is no value; write the value, or leave the key out')
    if plain and _NUMBER_TO_SOME.fullmatch(text):
        raise ScalarError(
            f'{text} is a number to some YAML readers and text to others; quote it: "{text}", '
            "or write the number out"
        )
    return text


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        meant = "true" if text.lower() in ("yes", "on", "y") else "false"
        raise ScalarError(
            f'{text} would be read as {meant}; write true or false, or quote "{text}"'
        )
    return text.lower() == "true"


def _read_int(text: str) -> int:
    if _DECIMAL.fullmatch(text):
        return int(text)
    if ":" in text:
        raise ScalarError(f'{text} would be read as a number in base 60; quote it: "{text}"')
    if re.fullmatch(r"[-+]?0[0-7_]+", text):
        number = int(text.replace("_", ""), 8)
        raise ScalarError(
            f'{text} would be read as the octal number {number}; quote it: "{text}", '
            f"or write {number}"
        )
    raise ScalarError(f'{text} is no plain decimal number; quote it: "{text}", or write it out')


def _read_float(text: str) -> float:
    if _FRACTION.fullmatch(text):
        return float(text)
    if ":" in text:
        raise ScalarError(f'{text} would be read as a number in base 60; quote it: "{text}"')
    raise ScalarError(f'{text} is no plain decimal number; quote it: "{text}", or write it out')
