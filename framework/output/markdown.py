"""Escapes text for Markdown as GitHub reads it: nothing of it becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

_FENCE = re.compile("`{3,}")


def escape_markdown(text: str) -> str:
    """Escapes text so that Markdown shows it as it is: no link, no mention, no emphasis."""
    escaped = re.sub(r"([\\`*_\[\]~#!])", r"\\\1", escape(text, quote=False))
    # GitHub would notify whoever is called `@name`, and make links of addresses and of issues such
    # as `owner/repo#7`, which shows the mention there. It does so after Markdown, where the
    # backslash is gone; a comment breaks the mention and the link.
    escaped = re.sub(r"(\\#)(?=\d)|\b(GH)(?=-\d)", r"\1\2<!-- -->", escaped, flags=re.IGNORECASE)
    for start, end in (("@", ""), (":", "//"), ("www", ".")):
        escaped = escaped.replace(f"{start}{end}", f"{start}<!-- -->{end}")
    return " ".join(escaped.split())


def escape_cell(text: str) -> str:
    """Escapes text for a cell of a table."""
    return escape_markdown(text).replace("|", "\\|")


def fence(lines: Iterable[str], language: str) -> list[str]:
    """Returns lines as a block of code that nothing in them can close."""
    body = "\n".join(lines)
    # A file in a ConfigMap may contain a fence; only one of at least that length closes ours.
    longest = max((len(found) for found in _FENCE.findall(body)), default=2)
    mark = "`" * (longest + 1)
    return [f"{mark}{language}", body, mark]
