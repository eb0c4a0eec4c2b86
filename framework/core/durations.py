"""Durations as people write and read them: `1h30m`, `6m20s`, `0:41`."""

from __future__ import annotations

import re

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_PART = re.compile(rf"({_NUMBER.pattern})(ms|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> float:
    """Returns the seconds of a Go duration (`1h2m3.5s`) or of a plain number.

    Raises ValueError for any other text.
    """
    if _NUMBER.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(
            f'"{text}" is not a valid duration; write hours, minutes and seconds '
            'such as "10m" or "1h30m"'
        )
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def render_duration(seconds: float) -> str:
    """Returns minutes and seconds, rounded to whole seconds: `45s`, `6m`, `6m20s`."""
    minutes, rest = divmod(round(seconds), 60)
    return (f"{minutes}m" if minutes else "") + (f"{rest}s" if rest or not minutes else "")


def render_elapsed(seconds: float) -> str:
    """Returns the time that has passed so far as a clock, rounded down: `0:41`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
