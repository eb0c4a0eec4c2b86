"""Edits by reading the whole text with ruamel.yaml and writing it anew, comments included.

Kept apart as the last resort, and the only importer of ruamel.yaml. Measured on the 31 shipped
files, loading and dumping alone changes 3 of them (indented lists, `null`, spaces in brackets),
and besides those it always gives up CRLF, a byte order mark, aligned values, `{ a: 1 }`, comments
inside brackets and `---`. So it serves only layouts that splicing does not know, such as `? key`
or the first key in a line with a dash.
"""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.util import load_yaml_guess_indent

from framework.core.diagnostics import KeyPath
from framework.edits.scalars import reads_as_itself
from framework.edits.splicing import UnknownLayoutError

_NO_WRAPPING = 1_000_000


def rewrite_set(text: str, path: KeyPath, value: Any) -> str:
    """`text` with `value` at `path`. Errors: UnknownLayoutError."""
    return _rewrite(text, path, lambda parent, key: parent.__setitem__(key, _quoted(value)))


def rewrite_remove(text: str, path: KeyPath) -> str:
    """`text` without what stands at `path`. Errors: UnknownLayoutError."""
    return _rewrite(text, path, lambda parent, key: parent.__delitem__(key))


def _rewrite(text: str, path: KeyPath, change: Any) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    plain = text.replace("\r\n", "\n")
    try:
        yaml = _make_yaml(plain)
        data = parent = yaml.load(plain)
        for key in path[:-1]:
            if isinstance(parent, dict) and parent.get(key) is None:
                parent[key] = {}
            parent = parent[key]
        change(parent, path[-1])
        written = io.StringIO()
        yaml.dump(data, written)
    except (YAMLError, LookupError, TypeError, ValueError) as exc:
        raise UnknownLayoutError from exc
    return written.getvalue().replace("\n", newline)


def _make_yaml(text: str) -> Any:
    _, indent, offset = load_yaml_guess_indent(text)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _NO_WRAPPING
    yaml.explicit_start = text.startswith("---")
    if indent:
        yaml.indent(mapping=max(indent - (offset or 0), 2), sequence=indent, offset=offset or 0)
    return yaml


def _quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {_quoted(key): _quoted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_quoted(item) for item in value]
    if isinstance(value, str) and not reads_as_itself(value):
        return DoubleQuotedScalarString(value)
    return value
