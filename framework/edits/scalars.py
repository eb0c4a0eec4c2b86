"""Values as YAML text that every reader takes for the same value.

Kept apart because what must be quoted is one rule for every edit: plain wherever
`framework.files` reads the plain text back as it was, and quoted elsewhere.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from framework.files.document import parse_document

# Line breaks and invisible characters that YAML allows in quotes, and no reader of a file expects.
_TO_ESCAPE = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# YAML 1.1 takes them for true and false; PyYAML does not.
_SHORT_BOOLEANS = ("y", "n")


def render_inline(value: Any, quote: str = "") -> str:
    """`value` on one line. `quote` is the style to keep for a text: "'", '"' or none."""
    if isinstance(value, dict):
        pairs = (f"{render_inline(key)}: {render_inline(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(render_inline, value)) + "]"
    if isinstance(value, str):
        return _render_text(value, quote)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return json.dumps(value)


def reads_as_itself(text: str) -> bool:
    """True where `text` can stand without quotes, in a line of its own as well as in brackets."""
    if text.lower() in _SHORT_BOOLEANS or not text.isprintable():
        return False
    document, diagnostics = parse_document("", f"a: {text}\nb: [{text}]\nc: {{{text}: 1}}")
    return not diagnostics and document.data == {"a": text, "b": [text], "c": {text: 1}}


def _render_text(text: str, quote: str) -> str:
    escaped = _TO_ESCAPE.search(text)
    if quote == "'" and not escaped:
        return "'" + text.replace("'", "''") + "'"
    if not quote and not escaped and reads_as_itself(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _TO_ESCAPE.sub(lambda found: f"\\u{ord(found.group()):04x}", quoted)
