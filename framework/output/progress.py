"""Shows the progress of a running deployment: a live table in a terminal, else a line per event."""

from __future__ import annotations

import contextlib
import textwrap
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from framework.core.changes import Change, Op, Progress
from framework.core.durations import render_elapsed
from framework.output.text import render_wrapped

if TYPE_CHECKING:
    from rich.live import Live

_BAR_WIDTH = 16
_MAX_LINES = 20
_LONGEST_FAILURE, _LONGEST_REASON = 60, 85


class RolloutProgress:
    """Shows Deployments, slow deletions and failures on `stream`.

    Used as a context manager around the operation, with `show` as the engine's callback. `counts`
    are the available and desired Pods that were seen last, by `namespace/name` of a Deployment.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        # By URN: when it started, the line shown last, and the names of what is still going on.
        self._started: dict[str, float] = {}
        self._lines: dict[str, str] = {}
        self._rolling: dict[str, str] = {}
        self._deleting: dict[str, str] = {}
        self._live: Live | None = None
        self.counts: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)
        if kind is not KeyboardInterrupt:
            return
        for verb, objects in (("rolling out", self._rolling), ("deleting", self._deleting)):
            if objects:
                names = ", ".join(sorted(objects.values()))
                text = f"no longer watched, but the cluster continues {verb}: {names}"
                print(render_wrapped(text, then="  "), file=self._stream, flush=True)

    def announce(self, text: str) -> None:
        """Prints a message, above the live table if there is one. A signal handler may call it."""
        # The signal may have interrupted another print, which Python does not allow twice.
        with contextlib.suppress(RuntimeError):
            if self._live:
                self._live.console.print(text)
            else:
                print(f"\n{render_wrapped(text)}", file=self._stream, flush=True)

    def show(self, progress: Progress) -> None:
        """Shows one event of the engine if it concerns something that a reader waits for."""
        change = progress.change
        if change.op is Op.SAME or not change.type.startswith("kubernetes:"):
            return
        self._started.setdefault(change.urn, self._clock())
        if not self._is_shown(progress):
            return
        if progress.desired:
            self.counts[change.object] = (progress.available, progress.desired)
        line = _render_progress(progress)
        # A "waiting" line is repeated although it is the same: it shows that time passes.
        if line == self._lines.get(change.urn) and progress.state != "waiting":
            return
        self._lines[change.urn] = line
        self._rolling.pop(change.urn, None)
        self._deleting.pop(change.urn, None)
        if progress.state == "waiting":
            self._deleting[change.urn] = _with_kind(change, change.object or change.name)
        if progress.state == "rolling" and not _is_complete(progress):
            self._rolling[change.urn] = change.object or change.name
        if self._stream.isatty():
            self._redraw(progress)
        elif progress.state != "started" and not _is_complete(progress):
            head, *more = line.splitlines()
            text = "\n".join([f"  {head}  {self._elapsed(change.urn)}", *more])
            print(text, file=self._stream, flush=True)

    def _is_shown(self, progress: Progress) -> bool:
        change = progress.change
        if change.kind == "Deployment" or change.urn in self._deleting:
            return True
        # A Namespace that is skipped, because a rollout in it failed, explains why it stays.
        is_kept = change.kind == "Namespace" and progress.state == "skipped"
        return is_kept or progress.state in ("failed", "waiting")

    def _elapsed(self, urn: str) -> str:
        return render_elapsed(self._clock() - self._started[urn])

    def _redraw(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            # Started with the first event, and not before: until then `up` waits for confirmation,
            # and a live table would write over the question.
            self._live = Live(console=Console(file=self._stream), transient=True)
            self._live.__enter__()
        urn = progress.change.urn
        if progress.state in ("done", "failed", "skipped"):
            # Leaves the live table and becomes an ordinary line above it.
            text = Text(f"  {self._lines.pop(urn)}  {self._elapsed(urn)}")
            self._live.console.print(text, soft_wrap=True)
        lines = [f"  {line}" for line in self._lines.values()]
        if len(lines) > _MAX_LINES:
            lines[_MAX_LINES:] = [f"  and {len(lines) - _MAX_LINES} more"]
        self._live.update(Text("\n".join(lines)))


def _render_progress(progress: Progress) -> str:
    change = progress.change
    name = change.object.rpartition("/")[2] or change.name
    if progress.state == "waiting" or change.op is Op.DELETE:
        name = _with_kind(change, name)
    if progress.state in ("failed", "skipped"):
        # Shortened: the summary at the end has the whole message.
        return f"{name:<20} {progress.state}: {_shorten(progress.message, _LONGEST_FAILURE)}"
    if progress.state == "waiting":
        reason = _shorten(progress.message, _LONGEST_REASON)
        return f"{name:<20} deleting\n    waiting for: {reason}"
    if change.op is Op.DELETE:
        return f"{name:<20} {'deleted' if progress.state == 'done' else 'deleting'}"
    if progress.state == "done":
        return f"{name:<20} {_render_bar(1, 1)}  done"
    if not progress.desired:
        return f"{name:<20} {_render_bar(0, 1)}  applying"
    counts = {
        "updated": progress.updated,
        "ready": progress.ready,
        "available": progress.available,
    }
    text = "  ".join(f"{word} {count}/{progress.desired}" for word, count in counts.items())
    line = f"{name:<20} {_render_bar(progress.updated, progress.desired)}  {text}"
    if progress.message:
        line += f"\n    stuck: {_shorten(progress.message, _LONGEST_REASON)}"
    return line


def _shorten(message: str, width: int) -> str:
    return textwrap.shorten(message, width, placeholder=" ...")


def _with_kind(change: Change, name: str) -> str:
    """Returns a Deployment's name alone, and any other object's name with its kind."""
    return name if change.kind == "Deployment" else f"{change.kind} {name}"


def _is_complete(progress: Progress) -> bool:
    """Returns True if the next event will be "done", which shows the same counts once more."""
    return (
        progress.state == "rolling" and progress.updated == progress.available == progress.desired
    )


def _render_bar(done: int, total: int) -> str:
    filled = min(_BAR_WIDTH, _BAR_WIDTH * done // total) if total else 0
    return "█" * filled + "░" * (_BAR_WIDTH - filled)
