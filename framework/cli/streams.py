"""Lets a verb that changes something go on when the reader of its output closes the pipe.

`make up ENV=prod YES=1 | head` must not stop a rollout in the middle. Both engines print from
threads and callbacks, where an exception would end the operation, so the streams never fail.
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


class _Pipe(io.FileIO):
    """A file descriptor that takes everything and drops it once its reader is gone."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # For the whole process: Python flushes the original stream at exit, and a process that
            # inherits the descriptor would be killed by SIGPIPE.
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, self.fileno())
            os.close(devnull)
            return memoryview(data).nbytes


@contextmanager
def outlive_readers() -> Iterator[None]:
    """Replaces stdout and stderr by streams on which a closed pipe is not an error."""
    with ExitStack() as undo:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            # PYTHONUNBUFFERED leaves the buffer out. Tests put other objects here, which have no
            # descriptor.
            buffer = getattr(stream, "buffer", None)
            raw = getattr(buffer, "raw", buffer)
            if isinstance(raw, io.FileIO):
                replacement = _replace(stream, raw, buffered=raw is not buffer)
                setattr(sys, name, replacement)
                undo.callback(setattr, sys, name, stream)
                undo.callback(replacement.flush)
        yield


def _replace(stream: io.TextIOWrapper, raw: io.FileIO, *, buffered: bool) -> io.TextIOWrapper:
    pipe = _Pipe(raw.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        # A text stream takes an unbuffered one too, as Python's own stdout then is.
        io.BufferedWriter(pipe) if buffered else pipe,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
