"""Draws the history of a stack's checks as an inline SVG: a bar for each check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from framework.drift.grouping import Danger
from framework.drift.history import HistoryEntry
from framework.drift.report import Verdict
from framework.output.drift import DANGER_NAMES
from framework.output.html import Html, element, join, table
from framework.output.text import render_count

_MAX_BARS = 60
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 150, 34, 10, 22
_FLOOR = _HEIGHT - _BOTTOM


def render_chart(stack: str, entries: Sequence[HistoryEntry]) -> Html:
    """Renders the last checks of a stack, and the same numbers as a table for screen readers."""
    shown = entries[-_MAX_BARS:]
    top = max(1, *(entry.differences for entry in shown))
    first, last = shown[0].checked, shown[-1].checked
    title = f"Differences of {stack} in {render_count(len(shown), 'check')}"
    drawing = element(
        "svg",
        element("title", f"{title}, {first:%Y-%m-%d} to {last:%Y-%m-%d}, at most {top}"),
        *_draw_axis(top),
        *(
            bar
            for index, entry in enumerate(shown)
            for bar in _draw_bar(index, entry, len(shown), top)
        ),
        _text(_LEFT, _HEIGHT - 6, f"{first:%Y-%m-%d}", "start"),
        _text(_WIDTH - 2, _HEIGHT - 6, f"{last:%Y-%m-%d}", "end"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
    )
    legend = [
        element("li", element("span", DANGER_NAMES[danger], kind=danger.value)) for danger in Danger
    ]
    return join(
        (element("p", title), drawing, element("ul", *legend, kind="legend"), _table(shown))
    )


def _draw_axis(top: int) -> Iterator[Html]:
    for value in sorted({0, top}):
        y = _FLOOR - round((_FLOOR - _TOP) * value / top)
        yield element("line", kind="grid", x1=str(_LEFT), x2=str(_WIDTH), y1=str(y), y2=str(y))
        yield _text(_LEFT - 6, y + 4, str(value), "end")


def _draw_bar(index: int, entry: HistoryEntry, bars: int, top: int) -> Iterator[Html]:
    """Yields the parts of one bar, one for each danger; an outline for a check that failed."""
    slot = (_WIDTH - _LEFT) / max(bars, 12)
    x, width = _LEFT + slot * index + slot * 0.15, slot * 0.7
    floor = float(_FLOOR)
    label = f"{entry.checked:%Y-%m-%d %H:%M}: {_describe(entry)}"

    def draw(kind: str, height: float) -> Html:
        shape = {"x": f"{x:.1f}", "y": f"{floor - height:.1f}", "width": f"{width:.1f}"}
        return element("rect", element("title", label), kind=kind, height=f"{height:.1f}", **shape)

    for danger in reversed(Danger):
        count = (entry.dangers or {}).get(danger, 0)
        if count:
            height = (_FLOOR - _TOP) * count / top
            yield draw(danger.value, height)
            floor -= height
    if entry.verdict is Verdict.CLEAN:
        yield draw("clean", 3)
    if entry.verdict is Verdict.FAILED:
        floor = float(_FLOOR)
        yield draw("failed", _FLOOR - _TOP)


def _describe(entry: HistoryEntry) -> str:
    if entry.verdict is Verdict.FAILED:
        return "not fully checked"
    return render_count(entry.differences, "difference") if entry.differences else "clean"


def _text(x: int, y: int, text: str, anchor: str) -> Html:
    return element("text", text, x=str(x), y=str(y), text_anchor=anchor)


def _table(entries: Sequence[HistoryEntry]) -> Html:
    heads = [element("th", text, scope="col") for text in ("checked (UTC)", "result", "resolved")]
    rows = [
        element(
            "tr",
            element("th", f"{entry.checked:%Y-%m-%d %H:%M}", scope="row"),
            element("td", _describe(entry)),
            element("td", str(len(entry.resolved)), kind="number"),
        )
        for entry in reversed(entries)
    ]
    return element("details", element("summary", "the same as a table"), table(heads, rows))
