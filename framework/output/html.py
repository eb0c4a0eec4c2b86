"""Builds HTML from texts that are not trusted: every value is escaped where it enters.

    element("td", "a < b", kind="number")   ->   <td class="number">a &lt; b</td>

`Html` marks what is markup already. A plain text is never markup, so that a forgotten escape shows
up as visible tags and not as a script that runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from framework.output.text import render_visible


class Html(str):
    """A piece of markup, whose values are escaped."""

    __slots__ = ()


def to_html(content: str | Html) -> Html:
    """Returns markup as it is, and any other text escaped."""
    if isinstance(content, Html):
        return content
    return Html(escape(render_visible(content), quote=True))


def join(parts: Iterable[str | Html], separator: str = "") -> Html:
    """Returns the parts one after the other."""
    return Html(to_html(separator).join(map(to_html, parts)))


def element(name: str, *content: str | Html, kind: str = "", **attributes: str) -> Html:
    """Returns an element. `kind` is its class; an underscore of an attribute stands for a dash."""
    values = {"class": kind, **attributes} if kind else attributes
    shown = "".join(
        f' {key.strip("_").replace("_", "-")}="{to_html(str(value))}"'
        for key, value in values.items()
    )
    return Html(f"<{name}{shown}>{join(content)}</{name}>")


def table(
    heads: Iterable[Html], rows: Iterable[Html], *, caption: str = "", kind: str = ""
) -> Html:
    """Returns a table with one row of headings."""
    return element(
        "table",
        element("caption", caption) if caption else Html(""),
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        kind=kind,
    )
