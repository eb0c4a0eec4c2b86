"""The journal beside a checkpoint: every step, on disk before the next one begins.

Owns its lines and how they fold into a checkpoint. Kept apart from the checkpoint because rewriting
a large state after each of hundreds of steps would cost more than the steps; a line costs nothing,
and steps that end together share one flush.

A line is `{"begin": <pending operation>}`, `{"set": <resource>}`, `{"drop": <key>}`,
`{"end": <urn>}`, `{"rename": {old: new}}` or `{"salt": <salt>}`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from framework.core.errors import StateFileError
from framework.engines.embedded import state_files
from framework.engines.embedded.checkpoint import Checkpoint, Resource, order_resources
from framework.engines.embedded.shapes import (
    ShapeError,
    check_operation,
    check_resource,
    check_type,
    check_urn,
    name_type,
    parse_json,
)

Line = Mapping[str, Any]
_KINDS = frozenset({"begin", "set", "drop", "end", "rename", "salt"})


class Journal:
    """Appends lines that are on disk when `append` returns. Safe for any number of threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []
        self._gate = threading.Lock()
        self._disk = threading.Lock()
        self._fd: int | None = None
        self._failure: StateFileError | None = None

    def append(self, *lines: Line) -> None:
        """Write the lines together; a crash leaves all before the torn one.

        StateFileError where they are not on disk. Every later call raises it again, since lines
        behind a gap would tell of a state that never was.
        """
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        with self._gate:
            self._waiting.append(text)
        with self._disk:
            # Whoever comes first writes what the others have queued; they find nothing left.
            with self._gate:
                batch, self._waiting = self._waiting, []
            if batch and self._failure is None:
                self._write("".join(batch))
            if self._failure is not None:
                raise StateFileError(
                    self._failure.path, self._failure.problem, self._failure.remedy
                ) from self._failure

    def _write(self, text: str) -> None:
        size = 0
        try:
            if self._fd is None:
                self._fd = _open_to_append(self._path)
            size = os.fstat(self._fd).st_size
            state_files.write_all(self._fd, text.encode())
            os.fsync(self._fd)
        except OSError as exc:
            self._failure = state_files.explain_write(self._path, exc)
            if self._fd is not None:
                _cut(self._fd, size)

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _open_to_append(path: Path) -> int:
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
    fd = os.open(path, flags, state_files.OWNER_ONLY)
    os.fchmod(fd, state_files.OWNER_ONLY)
    return fd


def _cut(fd: int, size: int) -> None:
    """Takes back half a line, so that it does not hide what is appended later."""
    try:
        os.ftruncate(fd, size)
    except OSError:
        # It stays as a torn last line, which reading leaves out.
        return


def read_journal(path: Path) -> list[Line]:
    """The lines of a journal; none when there is no file. A torn last line is left out.

    StateFileError, which names the line, for any other line that this engine does not write: the
    steps behind it would be lost in silence.
    """
    content = state_files.read_bytes(path)
    return [] if content is None else list(_parse(content, path))


def _parse(content: bytes, path: Path) -> Iterator[Line]:
    *whole, last = content.split(b"\n")
    for number, line in enumerate([*whole, last], start=1):
        is_torn = number > len(whole)
        if is_torn and not _is_json(line):
            return
        try:
            yield _parse_line(line)
        except ShapeError as exc:
            remedy = (
                f"move it away (`mv {path} {path}.damaged`) to go on from the state before the "
                "interrupted command, then see with `preview` what differs"
            )
            raise StateFileError(path, f"line {number}{exc}", remedy) from exc


def _is_json(line: bytes) -> bool:
    try:
        parse_json(line.decode("utf-8"))
    except ValueError:
        return False
    return True


def _parse_line(text: bytes) -> Line:
    """Returns one line. ShapeError, whose message goes on after the line's number."""
    try:
        line = parse_json(text.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise ShapeError(f" is not UTF-8 (byte {exc.start})") from exc
    except ShapeError as exc:
        raise ShapeError(f" is not JSON ({exc})") from exc
    if not isinstance(line, dict):
        raise ShapeError(f" is {name_type(line)}; expected a mapping")
    if len(line) != 1 or not line.keys() <= _KINDS:
        raise ShapeError(" is of an unknown kind")
    (kind, value), *_ = line.items()
    try:
        _check_value(kind, value)
    except ShapeError as exc:
        raise ShapeError(f": {exc}") from exc
    return line


def _check_value(kind: str, value: Any) -> None:
    match kind:
        case "set":
            check_resource(value, kind)
        case "begin":
            check_operation(value, kind)
        case "rename":
            check_type(value, dict, kind)
            for old, new in value.items():
                check_urn(new, f"{kind}.{old}")
        case _:
            check_type(value, str, kind)


def fold(checkpoint: Checkpoint, lines: Sequence[Line]) -> Checkpoint:
    """The checkpoint as it is after the journal's lines, in an order that the CLI accepts."""
    if not lines:
        return checkpoint
    entries = {entry.key: entry for entry in checkpoint.resources}
    pending = {operation["resource"]["urn"]: operation for operation in checkpoint.pending}
    for line in lines:
        if "begin" in line:
            pending[line["begin"]["resource"]["urn"]] = line["begin"]
        elif "set" in line:
            entry = Resource(line["set"])
            entries[entry.key] = entry
        elif "drop" in line:
            entries.pop(line["drop"], None)
        elif "end" in line:
            pending.pop(line["end"], None)
        elif "rename" in line:
            entries = _rename(entries, line["rename"])
        elif "salt" in line:
            checkpoint = checkpoint.with_salt(line["salt"])
    return replace(
        checkpoint,
        resources=order_resources(_without_loose_ends(entries)),
        pending=tuple(pending.values()),
    )


def _rename(entries: Mapping[str, Resource], renames: Mapping[str, str]) -> dict[str, Resource]:
    renamed = (entry.renamed(renames) for entry in entries.values())
    return {entry.key: entry for entry in renamed}


def _without_loose_ends(entries: Mapping[str, Resource]) -> Iterator[Resource]:
    """References to what was deleted go: the CLI calls a dangling one an integrity error."""
    live = {entry.urn for entry in entries.values() if not entry.pending_delete}
    for entry in entries.values():
        if all(urn in live for urn in entry.needs):
            yield entry
            continue
        by_property = {
            name: [urn for urn in urns or () if urn in live]
            for name, urns in (entry.raw.get("propertyDependencies") or {}).items()
        }
        yield entry.with_fields(
            dependencies=[u for u in entry.raw.get("dependencies") or () if u in live],
            propertyDependencies=by_property,
        )
