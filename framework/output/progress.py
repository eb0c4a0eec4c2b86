"""Progress of a running rollout: a live table in a terminal, one line an event elsewhere.

Kept apart from the final report, because in a pipe nothing may be redrawn.
"""

from __future__ import annotations

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

_BAR = 16
_MOST_LINES = 20
_MESSAGE, _STUCK = 60, 85


class RolloutProgress:
    """Shows the progress of Deployments on `stream`; use as a context manager around the run."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._started: dict[str, float] = {}
        self._lines: dict[str, str] = {}
        self._rolling: dict[str, str] = {}
        self._deleting: dict[str, str] = {}
        self._live: Live | None = None
        self.counts: dict[str, tuple[int, int]] = {}
        """Pods available and wanted, as seen last, by `namespace/name` of a Deployment."""

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
        for doing, objects in (("rolling out", self._rolling), ("deleting", self._deleting)):
            if objects:
                names = ", ".join(sorted(objects.values()))
                said = f"no longer watched, but the cluster goes on {doing}: {names}"
                print(render_wrapped(said, then="  "), file=self._stream, flush=True)

    def show(self, progress: Progress) -> None:
        """One event of the engine; only what a reader waits for is shown."""
        change = progress.change
        if change.op is Op.SAME or not change.type.startswith("kubernetes:"):
            return
        self._started.setdefault(change.urn, self._clock())
        shown = change.kind == "Deployment" or change.urn in self._deleting
        # What is kept beside a failed rollout is worth a line where it is a whole Namespace.
        kept = change.kind == "Namespace" and progress.state == "skipped"
        if not shown and not kept and progress.state not in ("failed", "waiting"):
            return
        if progress.desired:
            self.counts[change.object] = (progress.available, progress.desired)
        line = self._render(progress)
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
            elapsed = render_elapsed(self._clock() - self._started[change.urn])
            head, *more = line.splitlines()
            text = "\n".join([f"  {head}  {elapsed}", *more])
            print(text, file=self._stream, flush=True)

    def _redraw(self, progress: Progress) -> None:
        from rich.text import Text

        live = self._live or self._start_live()
        urn, state = progress.change.urn, progress.state
        elapsed = render_elapsed(self._clock() - self._started[urn])
        if state in ("done", "failed", "skipped"):
            live.console.print(Text(f"  {self._lines.pop(urn)}  {elapsed}"), soft_wrap=True)
        shown = list(self._lines.values())
        more = [f"  and {len(shown) - _MOST_LINES} more"] if len(shown) > _MOST_LINES else []
        live.update(Text("\n".join([f"  {line}" for line in shown[:_MOST_LINES]] + more)))

    def _start_live(self) -> Live:
        # Not before the first event: until then the engine may ask its question.
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=self._stream), transient=True)
        self._live.__enter__()
        return self._live

    def _render(self, progress: Progress) -> str:
        name = progress.change.object.rpartition("/")[2] or progress.change.name
        if progress.state == "waiting" or progress.change.op is Op.DELETE:
            name = _with_kind(progress.change, name)
        if progress.state in ("failed", "skipped"):
            # The whole message comes at the end of the run.
            said = textwrap.shorten(progress.message, _MESSAGE, placeholder=" ...")
            return f"{name:<20} {progress.state}: {said}"
        if progress.state == "waiting":
            said = textwrap.shorten(progress.message, _STUCK, placeholder=" ...")
            return f"{name:<20} deleting\n    held by: {said}"
        if progress.change.op is Op.DELETE:
            return f"{name:<20} {'deleted' if progress.state == 'done' else 'deleting'}"
        if progress.state == "done":
            return f"{name:<20} {render_bar(1, 1)}  done"
        if not progress.desired:
            return f"{name:<20} {render_bar(0, 1)}  applying"
        wanted = progress.desired
        counts = {
            "updated": progress.updated,
            "ready": progress.ready,
            "available": progress.available,
        }
        said = "  ".join(f"{word} {count}/{wanted}" for word, count in counts.items())
        line = f"{name:<20} {render_bar(progress.updated, wanted)}  {said}"
        if progress.message:
            line += f"\n    stuck: {textwrap.shorten(progress.message, _STUCK, placeholder=' ...')}"
        return line


def _with_kind(change: Change, name: str) -> str:
    """The name as a reader knows it: a Deployment's alone, anything else's with its kind."""
    return name if change.kind == "Deployment" else f"{change.kind} {name}"


def _is_complete(progress: Progress) -> bool:
    """A line that "done" is about to say again."""
    return (
        progress.state == "rolling" and progress.updated == progress.available == progress.desired
    )


def render_bar(done: int, total: int) -> str:
    """A bar of 16 characters."""
    filled = min(_BAR, _BAR * done // total) if total else 0
    return "█" * filled + "░" * (_BAR - filled)
