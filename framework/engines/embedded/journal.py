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

from framework.engines.embedded.checkpoint import Checkpoint, Resource, order_resources

Line = Mapping[str, Any]


class Journal:
    """Appends lines that are on disk when `append` returns. Safe for any number of threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[str] = []
        self._gate = threading.Lock()
        self._disk = threading.Lock()
        self._fd: int | None = None

    def append(self, *lines: Line) -> None:
        """Write the lines together; a crash leaves all before the torn one."""
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        with self._gate:
            self._waiting.append(text)
        with self._disk:
            # Whoever comes first writes what the others have queued; they find nothing left.
            with self._gate:
                batch, self._waiting = self._waiting, []
            if batch:
                self._write("".join(batch))

    def _write(self, text: str) -> None:
        if self._fd is None:
            self._fd = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        data = text.encode()
        while data:
            data = data[os.write(self._fd, data) :]
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_journal(path: Path) -> list[Line]:
    """The lines of a journal; none when there is no file. A torn last line is left out."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    return list(_parse(text))


def _parse(text: str) -> Iterator[Line]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


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
            for name, urns in entry.raw.get("propertyDependencies", {}).items()
        }
        yield entry.with_fields(
            dependencies=[u for u in entry.raw.get("dependencies", ()) if u in live],
            propertyDependencies=by_property,
        )
