"""Durations: parsing what Go accepts, rendering minutes and seconds."""

from __future__ import annotations

import pytest

from framework.core.durations import parse_duration, render_duration, render_elapsed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1h2m3.5s", 3723.5), ("500ms", 0.5), ("10m", 600)],
)
def test_parse_duration_reads_numbers_and_go_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "10 minutes", "", "5m!", "-5", "1.2.3s"])
def test_parse_duration_refuses_other_texts(text: str) -> None:
    with pytest.raises(ValueError, match=r'".*" is not a valid duration; .*"10m"'):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (12, "12s"), (60, "1m"), (380, "6m20s"), (59.6, "1m")]
)
def test_render_duration_rounds_to_seconds(seconds: float, text: str) -> None:
    assert render_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (41.9, "0:41"), (600, "10:00")])
def test_render_elapsed_rounds_down(seconds: float, text: str) -> None:
    assert render_elapsed(seconds) == text
