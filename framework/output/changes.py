"""The change list: what happens to every model, with the forecast of each rollout.

Kept apart from the engines: whichever ran, the list reads the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import groupby

from framework.core.changes import Change, Op, Preview
from framework.core.durations import render_duration
from framework.output.text import render_count, render_field, render_wrapped, short_path
from framework.plan import StackPlan, TrackPlan

_MARKS = {Op.CREATE: "+", Op.UPDATE: "~", Op.REPLACE: "±", Op.DELETE: "-", Op.SAME: " "}
_NAME_WIDTH, _WIDEST_NAME = 16, 24
_MOST_FIELDS = 12
_MOST_NAMES = 6


def is_shown(change: Change) -> bool:
    """Components and the stack itself change only with what is in them."""
    return change.type.startswith(("kubernetes:", "pulumi:providers:"))


def render_changes(
    preview: Preview,
    plan: StackPlan | None,
    *,
    components: Collection[str] | None = None,
    asks: Callable[[Change], bool] | None = None,
) -> str:
    """The change list; a plan adds the forecast of each rollout.

    `components` names what the command was narrowed to, `asks` tells which change waits for a yes;
    none does without it.
    """
    shown = [change for change in preview.changes if is_shown(change)]
    moved = [change for change in shown if change.op is not Op.SAME]
    moved.sort(key=lambda change: (change.component != "", change.component))
    writer = _Writer(moved, plan, asks)
    lines: list[str] = []
    for _, group in groupby(moved, key=lambda change: change.component):
        lines += writer.render(list(group))
    lines.append(f"  {_render_unchanged(shown, components)}")
    return "\n".join([*lines, *writer.render_notes()])


def _render_unchanged(shown: list[Change], components: Collection[str] | None) -> str:
    same = [c for c in shown if c.op is Op.SAME and c.type.startswith("kubernetes:")]
    if components is None:
        return f"{len(same)} unchanged"
    examined = [change for change in same if change.component in components]
    return f"{len(examined)} unchanged, {len(same) - len(examined)} not looked at"


class _Writer:
    """Writes the lines of each component's changes; `moved` are all of them."""

    def __init__(
        self,
        moved: list[Change],
        plan: StackPlan | None,
        asks: Callable[[Change], bool] | None,
    ) -> None:
        models = plan.models if plan else ()
        self._tracks: dict[str, TrackPlan] = {
            track.deployment: track for model in models for track in model.tracks
        }
        self._asks = asks or _never
        self._moved = moved
        names = [min(len(_title(change)), _WIDEST_NAME) for change in moved]
        self._width = 6 + max([_NAME_WIDTH, *names])
        self._margin = " " * self._width

    def render(self, changes: list[Change]) -> list[str]:
        """One component: what is made and what goes on a line each, then each changed object."""
        lines = []
        for op in (Op.CREATE, Op.DELETE):
            if same_op := [change for change in changes if change.op is op]:
                lines.append(self._render_group(op, same_op))
                lines += self._render_forecasts(same_op) if op is Op.CREATE else []
        for change in changes:
            if not _is_grouped(change):
                lines += self._render_change(change)
                lines += self._render_forecasts([change]) if _rolls(change) else []
        return lines

    def _render_group(self, op: Op, changes: list[Change]) -> str:
        asks = any(self._asks(change) for change in changes)
        kinds = ", ".join(sorted(map(_render_kind, changes)))
        return self._render_line(op, _title(changes[0]), kinds + _render_asks(f"{op}s", asks))

    def _render_line(self, op: Op, title: str, text: str) -> str:
        return render_wrapped(text, first=self._begin(op, title), then=self._margin)

    def _begin(self, op: Op, title: str) -> str:
        return f"  {_MARKS[op]} {title}  ".ljust(self._width)

    def _render_change(self, change: Change) -> list[str]:
        head, fields = _render_kind(change), change.fields
        verb = "takes over" if change.takes_over else f"{change.op}s"
        head += _render_asks(verb, self._asks(change))
        first, margin = self._begin(change.op, _title(change)), self._margin
        if len(fields) == 1:
            path = f"{head}  {short_path(fields[0].path)}"
            lines = [render_field(path, fields[0], first=first, then=margin)]
        else:
            lines = [first + head]
            lines += [
                render_field(short_path(field.path), field, first=margin, then=margin)
                for field in fields[:_MOST_FIELDS]
            ]
        if len(fields) > _MOST_FIELDS:
            lines.append(f"{margin}and {len(fields) - _MOST_FIELDS} fields more (--json)")
        if change.note:
            lines.append(render_wrapped(change.note, first=margin, then=margin))
        return lines

    def _render_forecasts(self, changes: list[Change]) -> list[str]:
        lines = []
        for change in changes:
            track = self._tracks.get(change.object.rpartition("/")[2])
            if track and change.kind == "Deployment":
                forecast = render_forecast(track, first=change.op is Op.CREATE)
                lines.append(render_wrapped(forecast, first=self._margin, then=self._margin))
        return lines

    def render_notes(self) -> list[str]:
        """What is said of objects that come or go: once, since it often holds for all of them."""
        grouped = [change for change in self._moved if _is_grouped(change)]
        notes: dict[str, list[str]] = {}
        for change in grouped:
            if change.note:
                notes.setdefault(change.note, []).append(_render_object(change))
        return [
            render_wrapped(f"{_render_names(names)}{note}", first="  ", then="  ")
            for note, names in sorted(notes.items())
        ]


def render_messages(messages: Iterable[str]) -> str:
    """What the program or its engine warned of, a paragraph each."""
    lines = [line for message in messages for line in message.splitlines()]
    return "\n".join(render_wrapped(line, first="  ", then="    ") for line in lines)


def _never(change: Change) -> bool:
    return False


def _title(change: Change) -> str:
    if change.type.startswith("pulumi:providers:"):
        return f"provider {change.name}"
    return change.component or change.name


def _render_names(names: list[str]) -> str:
    if len(names) > _MOST_NAMES:
        return f"{len(names)} objects: "
    return f"{', '.join(sorted(names))}: "


def _render_object(change: Change) -> str:
    return f"{change.kind} {change.object or change.name}"


def _render_asks(verb: str, asks: bool) -> str:
    return f"   {verb}: needs YES=1 or your yes" if asks else ""


def _is_grouped(change: Change) -> bool:
    return change.op in (Op.CREATE, Op.DELETE)


def _render_kind(change: Change) -> str:
    name = change.object.rpartition("/")[2]
    same = name in ("", change.component or change.name)
    return change.kind if same else f"{change.kind} {name}"


def _rolls(change: Change) -> bool:
    return any(field.path.startswith("spec.template") for field in change.fields)


def render_forecast(track: TrackPlan, *, first: bool = False) -> str:
    """What the rolling update of one Deployment will do, in Pods and in time.

    A `first` rollout replaces nothing: all its Pods start at once.
    """
    budget = track.budget
    replicas = render_count(budget.replicas, "replica")
    if track.autoscaled:
        replicas = f"autoscaled, with all {replicas}"
    if first:
        return f"{replicas}, at most {render_duration(track.seconds)}"
    return (
        f"{replicas}, surge {budget.surge}, unavailable {budget.unavailable}: "
        f"{render_count(budget.waves, 'wave')}, peak {render_count(budget.peak, 'Pod')}, "
        f"never below {budget.minimum_available}, at most {render_duration(track.seconds)}"
    )
