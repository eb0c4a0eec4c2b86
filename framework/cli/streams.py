"""Lets a verb that changes something continue when its output cannot be written any more.

`make up ENV=prod YES=1 | head` must not stop a rollout in the middle, nor must a full disk that a
log is written to. Both engines print from threads and callbacks, where an exception would end the
operation, so the streams never fail.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LostOutput:
    """The reason why output was lost; `error` is None if nothing was lost.

    A reader that closed the pipe needs no more output, so that does not count as a loss.
    """

    error: OSError | None = None


class _Sink(io.FileIO):
    """A file that accepts all output, and drops it once the output cannot be written."""

    lost: LostOutput

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.lost.error = error
            # For the whole process: Python flushes the original stream at exit, and a process that
            # inherits the descriptor would be killed by SIGPIPE.
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, self.fileno())
            os.close(devnull)
            return memoryview(data).nbytes


@contextmanager
def keep_going_without_output() -> Iterator[LostOutput]:
    """Replaces stdout and stderr by streams that never fail, and yields what was lost on them."""
    lost = LostOutput()
    with ExitStack() as undo:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            # PYTHONUNBUFFERED leaves the buffer out. Tests put other objects here, which have no
            # descriptor.
            buffer = getattr(stream, "buffer", None)
            raw = getattr(buffer, "raw", buffer)
            if isinstance(raw, io.FileIO):
                replacement = _replace(stream, raw, lost, buffered=raw is not buffer)
                setattr(sys, name, replacement)
                undo.callback(setattr, sys, name, stream)
                undo.callback(replacement.flush)
        yield lost


def _replace(
    stream: io.TextIOWrapper, raw: io.FileIO, lost: LostOutput, *, buffered: bool
) -> io.TextIOWrapper:
    sink = _Sink(raw.fileno(), "wb", closefd=False)
    sink.lost = lost
    return io.TextIOWrapper(
        # A text stream takes an unbuffered one too, as Python's own stdout then is.
        io.BufferedWriter(sink) if buffered else sink,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
