"""Settings with their places, and rendered fields with the settings behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from framework.output.text import WIDTH, render_count, render_value, render_wrapped
from framework.reports.explain import ExplainedSetting

if TYPE_CHECKING:
    # Of settings alone much is told without the plan's modules.
    from framework.reports.rendered_fields import ExplainedField, ExplainedFields

_MOST_KEY, _MOST_VALUE = 34, 24
_DEFAULT = "default"
_CONSTANT = "(no setting changes it)"


def render_explained(settings: Sequence[ExplainedSetting], *, whole: bool = False) -> str:
    """A line for each setting: key, value, place, and below it what it overrode.

    Of a `whole` model what nobody sets is only counted.
    """
    shown = [one for one in settings if not whole or not _is_unset(one)]
    keys = _column((one.key for one in shown), _MOST_KEY)
    values = _column((render_value(one.value) for one in shown), _MOST_VALUE)
    lines = [_render_setting(one, keys, values) for one in shown]
    if unset := len(settings) - len(shown):
        verb = "is" if unset == 1 else "are"
        note = f"{render_count(unset, 'setting')} more {verb} not set; --json lists them"
        lines += ["", note]
    return "\n".join(lines)


def _is_unset(one: ExplainedSetting) -> bool:
    return not one.position and not one.overrode and one.value in (None, "", [], {})


def _column(texts: Iterable[str], most: int) -> int:
    return max((len(text) for text in texts if len(text) <= most), default=0)


def _render_setting(one: ExplainedSetting, keys: int, values: int) -> str:
    value, position = render_value(one.value), one.position or _DEFAULT
    below = _list_overrode(one) + _list_texts(one)
    line = f"{one.key:<{keys}}  {value:<{values}}  {position}"
    if len(line) > WIDTH:
        line = f"{one.key}  {value}  {position}"
    if len(line) > WIDTH:
        line = f"{one.key}  {value}"
        below.insert(0, position)
    over = ", ".join(f"{render_value(old.value)} ({old.position})" for old in one.overrode)
    if over and not one.interpolations and len(f"{line}   over {over}") <= WIDTH:
        return f"{line}   over {over}"
    widest = max(map(len, below), default=0)
    margin = " " * max(4, min(keys + 2 + values + 2, WIDTH - widest))
    return "\n".join([line, *(render_wrapped(text, first=margin, then=margin) for text in below)])


def _list_overrode(one: ExplainedSetting) -> list[str]:
    return [f"over {render_value(old.value)} ({old.position})" for old in one.overrode]


def _list_texts(one: ExplainedSetting) -> list[str]:
    return [
        f"through {render_value(text.text)}"
        + ("" if text.key == one.key else f" ({text.key}, {text.position})")
        for text in one.interpolations
    ]


def render_fields(found: ExplainedFields) -> str:
    """The fields of one object with the keys behind each; below, where those settings come from."""
    indent = "  "
    paths = _column((one.field for one in found.fields), 48)
    values = _column((render_value(one.value) for one in found.fields), _MOST_VALUE)
    lines = [f"{found.object.kind} {found.object.namespace}/{found.object.name}"]
    lines += [_render_field(one, paths, values) for one in found.fields]
    if found.needs:
        made = f"is there because of: {', '.join(found.needs)}"
        lines += [render_wrapped(made, first=indent, then=indent)]
    if found.adds:
        more = f"not set, and would add fields here: {', '.join(found.adds)}"
        lines += [render_wrapped(more, first=indent, then=indent)]
    if found.settings:
        lines += ["", render_explained(found.settings)]
    return "\n".join(lines)


def _render_field(one: ExplainedField, paths: int, values: int) -> str:
    causes = ", ".join(one.settings) or _CONSTANT
    head = f"  {one.field:<{paths}}  {render_value(one.value):<{values}}"
    if len(head) + 2 + len(causes) <= WIDTH:
        return f"{head}  {causes}"
    margin = " " * 6
    lines = [head.rstrip()]
    if len(lines[0]) > WIDTH:
        lines = [f"  {one.field}", margin + render_value(one.value)]
    return "\n".join([*lines, render_wrapped(f"from {causes}", first=margin, then=margin)])
