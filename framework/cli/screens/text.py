"""Small pieces of text that several screens use: amounts of time, values, columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any


def render_seconds(seconds: float) -> str:
    """`0:41` while it runs; minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def render_duration(seconds: int) -> str:
    """`6m20s`, `45s`."""
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes}m" if minutes else "") + (f"{rest}s" if rest or not minutes else "")


def render_value(value: Any) -> str:
    """A value on one line, shortened where it is long."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def render_image(reference: str) -> str:
    """The image without its registry and folders: `mlserver:1.7.0`."""
    return reference.rpartition("/")[2]


def render_table(rows: Iterable[Sequence[str]]) -> str:
    """Rows in columns as wide as their widest cell, two spaces apart."""
    lines = [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(row[column]) for row in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in lines
    )


def render_count(count: int, noun: str) -> str:
    """`1 model`, `13 models`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
