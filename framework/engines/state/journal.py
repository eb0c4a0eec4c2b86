"""The journal beside a checkpoint: records every step on disk before the next one begins.

A rewrite of the whole checkpoint after each of hundreds of steps would take longer than the steps.
A line of the journal is cheap, and steps that end at the same time share one flush to disk. The
journal is folded into the checkpoint when the command ends, or by the next command.

A line has one of these forms: `{"begin": <pending operation>}`, `{"set": <resource>}`,
`{"drop": <key>}`, `{"end": <urn>}`, `{"rename": {old: new}}`, `{"salt": <salt>}`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from framework.core import atomic_files
from framework.core.errors import StateFileError
from framework.engines.state import files
from framework.engines.state.checkpoint import Checkpoint, Resource, order_resources
from framework.engines.state.shapes import (
    Operation,
    RecordedResource,
    ShapeError,
    Urn,
    check_shape,
    parse_json,
)

Line = Mapping[str, Any]
_SHAPES = {
    "begin": Operation,
    "set": RecordedResource,
    "drop": str,
    "end": str,
    "rename": dict[str, Urn],
    "salt": str,
}


def set_line(resource: Resource) -> Line:
    """Builds the line that records a resource as it is now."""
    return {"set": resource.raw}


def drop_line(resource: Resource) -> Line:
    """Builds the line that removes a resource from the state."""
    return {"drop": resource.key}


def begin_line(operation: str, resource: Mapping[str, Any]) -> Line:
    """Builds the line before a call to the API server; the operation is pending until `end_line`.

    `operation` is creating, updating, deleting or reading.
    """
    return {"begin": {"resource": resource, "type": operation}}


def end_line(urn: str) -> Line:
    """Builds the line that ends the pending operation of a resource."""
    return {"end": urn}


class Journal:
    """Appends lines that are on disk when `append` returns. Safe for any number of threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: list[str] = []
        self._queue_lock = threading.Lock()
        self._disk_lock = threading.Lock()
        self._fd: int | None = None
        self._error: StateFileError | None = None

    def append(self, *lines: Line) -> None:
        """Writes the lines together; a crash may lose the end of them, never the beginning.

        StateFileError where they are not on disk. Every later call then raises it again: lines
        after a gap would describe a state that never existed.
        """
        text = "".join(msgspec.json.encode(line).decode() + "\n" for line in lines)
        with self._queue_lock:
            self._queue.append(text)
        with self._disk_lock:
            # The first thread that comes here also writes the lines that the others have queued;
            # they then find the queue empty. So 100 steps that end together need one or two
            # fsyncs, not 100.
            with self._queue_lock:
                batch, self._queue = self._queue, []
            if batch and self._error is None:
                self._write("".join(batch))
            if self._error is not None:
                error = self._error
                raise StateFileError(error.path, error.problem, error.remedy) from error

    def _write(self, text: str) -> None:
        size = 0
        try:
            if self._fd is None:
                self._fd = _open_to_append(self._path)
            size = os.fstat(self._fd).st_size
            atomic_files.write_all(self._fd, text.encode())
            os.fsync(self._fd)
        except OSError as exc:
            self._error = files.build_write_error(self._path, exc)
            if self._fd is not None:
                _truncate(self._fd, size)

    def close(self) -> None:
        """Closes the file; a later `append` opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _open_to_append(path: Path) -> int:
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
    fd = os.open(path, flags, files.OWNER_ONLY)
    # `open` sets the mode of a new file only, and an earlier version used another mode.
    os.fchmod(fd, files.OWNER_ONLY)
    return fd


def _truncate(fd: int, size: int) -> None:
    """Removes half a line, so that it does not hide lines that are appended later."""
    try:
        os.ftruncate(fd, size)
    except OSError:
        # The half line stays as the last one, and `parse_journal` leaves that out.
        return


# Reading


def parse_journal(content: bytes | None, path: Path) -> list[Line]:
    """Returns the lines of a journal, [] if it does not exist. An incomplete last line is left out.

    StateFileError, which names the line, for any other line that this engine cannot have written:
    if it were skipped, a step would be lost without notice.
    """
    return [] if content is None else list(_parse_lines(content, path))


def _parse_lines(content: bytes, path: Path) -> Iterator[Line]:
    *complete, last = content.split(b"\n")
    for number, text in enumerate([*complete, last], start=1):
        # A process that was killed while it wrote leaves half a line at the end, and the step that
        # it records was not finished: `append` returns only once the whole line is on disk.
        if number > len(complete) and not _is_json(text):
            return
        try:
            yield _parse_line(text)
        except ShapeError as exc:
            remedy = (
                f"move it away (`mv {path} {path}.damaged`) to continue from the state before the "
                "interrupted command, then see with `preview` what differs"
            )
            raise StateFileError(path, f"line {number}{exc}", remedy) from exc


def _is_json(text: bytes) -> bool:
    try:
        parse_json(text.decode("utf-8"))
    except ValueError:
        return False
    return True


def _parse_line(text: bytes) -> Line:
    """Returns one line. The message of ShapeError continues `line <number>`."""
    try:
        line = parse_json(text.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise ShapeError(f" is not UTF-8 (byte {exc.start})") from exc
    except ShapeError as exc:
        raise ShapeError(f" {exc}") from exc
    check_shape(line, dict[str, Any], "")
    if len(line) != 1 or not line.keys() <= _SHAPES.keys():
        raise ShapeError(" is of an unknown kind")
    [(form, value)] = line.items()
    check_shape(value, _SHAPES[form], f": {form}")
    return dict(line)


# Folding


def fold(checkpoint: Checkpoint, lines: Sequence[Line]) -> Checkpoint:
    """Returns the checkpoint after the journal's lines, in an order that the CLI accepts."""
    if not lines:
        return checkpoint
    resources = {resource.key: resource for resource in checkpoint.resources}
    pending = {operation["resource"]["urn"]: operation for operation in checkpoint.pending}
    # Each form replaces or removes by key, so that folding a line a second time changes nothing.
    # `save` relies on it.
    for line in lines:
        [(form, value)] = line.items()
        match form:
            case "begin":
                pending[value["resource"]["urn"]] = value
            case "set":
                resource = Resource(value)
                resources[resource.key] = resource
            case "drop":
                resources.pop(value, None)
            case "end":
                pending.pop(value, None)
            case "rename":
                renamed = [resource.renamed(value) for resource in resources.values()]
                resources = {resource.key: resource for resource in renamed}
            case "salt":
                checkpoint = checkpoint.with_salt(value)
    return replace(
        checkpoint,
        resources=order_resources(_drop_dangling_references(resources)),
        pending=tuple(pending.values()),
    )


def _drop_dangling_references(resources: Mapping[str, Resource]) -> Iterator[Resource]:
    """Yields the resources without dependencies on deleted ones, which the CLI would refuse."""
    live = {resource.urn for resource in resources.values() if not resource.pending_delete}
    for resource in resources.values():
        if all(urn in live for urn in resource.needs):
            yield resource
            continue
        deleted_with = resource.raw.get("deletedWith")
        by_property = {
            name: [urn for urn in urns or () if urn in live]
            for name, urns in (resource.raw.get("propertyDependencies") or {}).items()
        }
        yield resource.with_fields(
            dependencies=[urn for urn in resource.raw.get("dependencies") or () if urn in live],
            propertyDependencies=by_property,
            deletedWith=deleted_with if deleted_with in live else "",
        )
