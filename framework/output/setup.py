"""Shows the progress of a set-up: builds, and the start of the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TextIO

from framework.core.durations import render_elapsed

if TYPE_CHECKING:
    from framework.builds import SetupProgress

# In a pipe, a line this often shows that a build of several minutes still runs.
_REPEAT_SECONDS = 30


class SetupScreen:
    """Shows progress on `stream`: a redrawn line in a terminal, elsewhere a line per event.

    Prints nothing if there was nothing to do.
    """

    def __init__(self, stream: TextIO, subject: str) -> None:
        self._stream, self._subject = stream, subject
        self._line_is_open = False
        self._shown: tuple[object, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line_is_open:
            print(file=self._stream, flush=True)

    def show(self, progress: SetupProgress) -> None:
        """Shows one event."""
        line = _render_progress(self._subject, progress)
        if self._stream.isatty():
            # Returns to the start of the line and erases it.
            print(f"\r\033[K{line}", end="\n" if progress.done else "", file=self._stream)
            self._line_is_open = not progress.done
            self._stream.flush()
            return
        repeat = int(progress.elapsed) // _REPEAT_SECONDS
        event = (progress.step, progress.component, progress.message, progress.done, repeat)
        if event != self._shown:
            self._shown = event
            print(line, file=self._stream, flush=True)


def _render_progress(subject: str, progress: SetupProgress) -> str:
    """Returns `cluster  build kube-apiserver (2 of 5)  3:12  compiling`."""
    index = f" ({progress.index} of {progress.total})" if progress.total > 1 else ""
    component = f" {progress.component}" if progress.component else ""
    elapsed = render_elapsed(progress.elapsed)
    state = "done" if progress.done else progress.message
    return f"{subject:<9}{progress.step}{component}{index}  {elapsed}  {state}".rstrip()
