"""Renders settings with their origins, and rendered fields with the settings behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from framework.output.text import render_count, render_wrapped, screen_width
from framework.output.values import render_apart, render_value
from framework.reports.explain import ExplainedSetting

if TYPE_CHECKING:
    from framework.reports.rendered_fields import ExplainedField, ExplainedFields

_WIDEST_KEY, _WIDEST_VALUE, _WIDEST_PATH = 34, 24, 48
_DEFAULT = "default"
_CONSTANT = "(no setting changes it)"


def render_explained(settings: Sequence[ExplainedSetting], *, count_unset: bool = False) -> str:
    """Renders key, value and origin of each setting, and below it the values that it overrode.

    With `count_unset`, settings that nothing sets are only counted.
    """
    shown = [setting for setting in settings if not count_unset or not _is_unset(setting)]
    key_width = _column_width((setting.key for setting in shown), _WIDEST_KEY)
    value_width = _column_width((render_value(setting.value) for setting in shown), _WIDEST_VALUE)
    lines = [_render_setting(setting, key_width, value_width) for setting in shown]
    if unset := len(settings) - len(shown):
        verb = "is" if unset == 1 else "are"
        lines += ["", f"{render_count(unset, 'more setting')} {verb} not set; --json lists them"]
    return "\n".join(lines)


def _is_unset(setting: ExplainedSetting) -> bool:
    return not setting.position and not setting.overrode and setting.value in (None, "", [], {})


def _column_width(texts: Iterable[str], widest: int) -> int:
    """Returns the width of a column; a text above `widest` may break out of it."""
    return max((len(text) for text in texts if len(text) <= widest), default=0)


def _render_setting(setting: ExplainedSetting, key_width: int, value_width: int) -> str:
    position = setting.position or _DEFAULT
    value, *old_values = render_apart([setting.value, *(old.value for old in setting.overrode)])
    olds = zip(old_values, setting.overrode, strict=True)
    overridden = [f"{text} ({old.position})" for text, old in olds]
    below = [f"over {text}" for text in overridden]
    for text in setting.interpolations:
        origin = "" if text.key == setting.key else f" ({text.key}, {text.position})"
        below.append(f"through {render_value(text.text)}{origin}")
    line = f"{setting.key:<{key_width}}  {value:<{value_width}}  {position}"
    if len(line) > screen_width():
        line = f"{setting.key}  {value}  {position}"
    if len(line) > screen_width():
        line = f"{setting.key}  {value}"
        below.insert(0, position)
    short = f"{line}   over {', '.join(overridden)}"
    if overridden and not setting.interpolations and len(short) <= screen_width():
        return short
    # Below the position, or further left if the widest line would not fit there.
    widest = max(map(len, below), default=0)
    margin = " " * max(4, min(key_width + 2 + value_width + 2, screen_width() - widest))
    return "\n".join([line, *(render_wrapped(text, first=margin, then=margin) for text in below)])


def render_fields(explained: ExplainedFields) -> str:
    """Renders the fields of one object with their settings, then the origins of these settings."""
    indent = "  "
    path_width = _column_width((field.field for field in explained.fields), _WIDEST_PATH)
    values = (render_value(field.value) for field in explained.fields)
    value_width = _column_width(values, _WIDEST_VALUE)
    name = "/".join(filter(None, (explained.object.namespace, explained.object.name)))
    lines = [f"{explained.object.kind} {name}"]
    if not explained.fields:
        lines.append(f"{indent}no field here is set by the catalog")
    lines += [_render_field(field, path_width, value_width) for field in explained.fields]
    if explained.needs:
        text = f"exists because of: {', '.join(explained.needs)}"
        lines.append(render_wrapped(text, first=indent, then=indent))
    if explained.adds:
        text = f"not set, and would add fields here: {', '.join(explained.adds)}"
        lines.append(render_wrapped(text, first=indent, then=indent))
    if explained.settings:
        lines += ["", render_explained(explained.settings)]
    return "\n".join(lines)


def _render_field(field: ExplainedField, path_width: int, value_width: int) -> str:
    settings = ", ".join(field.settings) or _CONSTANT
    line = f"  {field.field:<{path_width}}  {render_value(field.value):<{value_width}}"
    if len(line) + 2 + len(settings) <= screen_width():
        return f"{line}  {settings}"
    margin = " " * 6
    lines = [line.rstrip()]
    if len(lines[0]) > screen_width():
        lines = [f"  {field.field}", margin + render_value(field.value)]
    return "\n".join([*lines, render_wrapped(f"from {settings}", first=margin, then=margin)])
