"""Settles what earlier commands left in a state that only the CLI reads or writes.

The CLI repeats a pending update or deletion by itself. For a pending create it only prints a
warning: the object may exist without a record, and then no later command would delete it. For a
state in a folder, the embedded engine records it (`embedded/settlement.py`). Any other state, and
one that is compressed, is exported, settled by the same code and imported: the import takes the
lock, and the CLI encrypts the secrets again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from framework.core.changes import Problem
from framework.core.errors import StateError
from framework.engines.base import Request
from framework.engines.cli_opened_stack import OpenedStack, build_recorded, read_stack
from framework.engines.cli_stack import describe_pending_creates, read_export
from framework.engines.clusters import Connect, open_clusters
from framework.engines.deletions import CheckedDeletions
from framework.engines.embedded.engine import EmbeddedEngine
from framework.engines.embedded.settlement import restore_wanted, settle_pending
from framework.engines.project import load_project
from framework.engines.state.backend import FileBackend, open_backend
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.state.journal import fold
from framework.engines.state.secrets import read_plaintext, write_plaintext
from framework.engines.state.stack_state import StackState


class _ExportedState:
    """An exported state, whose secrets are in plain text."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def get_current(self) -> Checkpoint:
        return self._checkpoint

    def read_inputs(self, resource: Resource) -> Any:
        return read_plaintext(resource.raw.get("inputs") or {})

    def read_outputs(self, resource: Resource) -> Any:
        return read_plaintext(resource.raw.get("outputs") or {})

    def seal(self, tree: Any) -> Any:
        return write_plaintext(tree)


def settle_folder(
    request: Request, connect: Connect, *, accepts_recreated: bool = False
) -> tuple[str, ...]:
    """Prepares a state in a folder for a command that writes.

    Removes the locks of commands that have ended, names the command that holds the stack, and
    records what an interrupted command has done: the CLI does not read the journal, and would try
    to create an object that exists. Returns warnings for `Preview.messages`.
    """
    backend, checkpoint = read_folder(request)
    if backend is None:
        return ()
    backend.check_lock()
    # The embedded engine has written nothing beside a state that it cannot read.
    if checkpoint is None or not (is_unfinished(backend, checkpoint) or backend.find_leftovers()):
        return ()
    return EmbeddedEngine(connect).recover(request, accepts_recreated=accepts_recreated)


def settle_in_memory(opened: OpenedStack, connect: Connect) -> tuple[OpenedStack, tuple[str, ...]]:
    """Returns the stack as the next `up` settles it, and warnings; writes nothing.

    Otherwise a preview would show once more what an interrupted command has done, and `up` would
    refuse the plan of that preview: it settles the state before it compares. If there is nothing to
    settle, the same stack is returned, because the change list of the CLI is better.
    """
    settled: Checkpoint | None
    backend, checkpoint = read_folder(opened.request)
    if backend is not None and checkpoint is not None:
        messages = tuple(
            f"warning: another command works on this stack, so this may change: {holder}"
            for holder in backend.find_holders()
        )
        if not is_unfinished(backend, checkpoint):
            return opened, messages
        # The CLI does not read the journal, so then its state is another one in any case.
        known = None if backend.journal_path.exists() else checkpoint
        settled, warnings = EmbeddedEngine(connect).export_settled(opened.request, known)
    else:
        messages = describe_unfinished(opened.checkpoint)
        settled, warnings = settle_export(opened.checkpoint, opened.request, connect)
        if not _can_import(settled, opened.checkpoint):
            settled = None
    if settled is not None:
        opened = replace(opened, checkpoint=settled, is_settled_in_memory=True)
    return opened, messages + warnings


def settle_remote(
    opened: OpenedStack, connect: Connect, *, accepts_recreated: bool = False
) -> tuple[OpenedStack, tuple[str, ...]]:
    """Records what an interrupted command created, for a state that only the CLI reads.

    It is not in a folder, or in a form of a folder that the embedded engine does not read. Returns
    the stack as it is afterwards, and warnings in the form of `Preview.messages`. Raises
    ClusterError if a cluster does not answer, and StateError if another command holds the stack.
    """
    stack, request = opened.stack, opened.request
    if not _has_leftovers(opened.checkpoint) or read_folder(request)[1] is not None:
        return opened, ()
    exported = stack.export()
    checkpoint = read_export(exported, stack.name)
    settled, messages = settle_export(
        checkpoint, request, connect, accepts_recreated=accepts_recreated
    )
    if not _can_import(settled, checkpoint):
        return opened, messages
    exported.deployment["resources"] = [resource.raw for resource in settled.resources]
    exported.deployment["pending_operations"] = []
    stack.import_back(exported)
    stack.lock.require()
    return read_stack(stack, request, accepts_recreated=accepts_recreated), messages


def settle_export(
    checkpoint: Checkpoint, request: Request, connect: Connect, *, accepts_recreated: bool = False
) -> tuple[Checkpoint, tuple[str, ...]]:
    """Returns an exported state as the embedded engine would settle it; writes nothing.

    It has the objects of pending creates that exist, and the records of replaced objects that the
    plan has again. The second value are the warnings about what was pending, in the form of
    `Preview.messages`. Raises ClusterError if a cluster does not answer.
    """
    if not _has_leftovers(checkpoint):
        return checkpoint, ()
    # The recorded providers created the objects, so these are looked up through them.
    recorded = build_recorded(checkpoint.resources, replace(request, components=None))
    with open_clusters(request, recorded, connect, accepts_recreated=accepts_recreated) as clusters:
        settlement = settle_pending(_ExportedState(checkpoint), clusters)
    settled = fold(checkpoint, settlement.lines)
    if request.plan is not None:
        settled = fold(settled, restore_wanted(settled, request.plan))
    return settled, tuple(sorted(f"warning: {warning}" for warning in settlement.warnings))


def _can_import(settled: Checkpoint, checkpoint: Checkpoint) -> bool:
    """Returns True if settling has changed the state, and the change can be recorded.

    The import drops all pending operations. So nothing is imported while one is undecided: the next
    command decides again, and the warnings say what the user must look at.
    """
    return settled != checkpoint and not describe_pending_creates(settled.pending)


def read_folder(request: Request) -> tuple[FileBackend | None, Checkpoint | None]:
    """Returns the backend of a state that is in a folder, and the state; None for what is not so.

    The state is None if only the CLI can read it, for example one that is compressed.
    """
    project = load_project(request.root)
    if not project.has_file_backend:
        return None, None
    backend = open_backend(project, request.stack.name)
    try:
        return backend, StackState(project, backend).checkpoint
    except StateError:
        return backend, None


def is_unfinished(backend: FileBackend, checkpoint: Checkpoint) -> bool:
    """Returns True if an interrupted command left something to settle in the state."""
    return backend.journal_path.exists() or _has_leftovers(checkpoint)


def describe_unfinished(exported: Checkpoint) -> tuple[str, ...]:
    """Returns a warning if the state names operations that have not ended."""
    names = [Resource(found["resource"]).name for found in exported.pending]
    if not names:
        return ()
    more = len(names) - 1
    others = f" and {more} other{'s' if more > 1 else ''}" if more else ""
    return (
        f"warning: {names[0]}{others}: a change has not ended, because another command works on "
        "this stack or was interrupted, so some of these changes may be its work; next: wait until "
        "it has ended; if it was interrupted, run `up`, which records what it has done",
    )


def _has_leftovers(checkpoint: Checkpoint) -> bool:
    """Returns True if an operation is pending, or the deletion of a replaced object."""
    replaced = any(resource.pending_delete for resource in checkpoint.resources)
    return bool(checkpoint.pending) or replaced


def add_pending_problem(checked: CheckedDeletions, opened: OpenedStack) -> CheckedDeletions:
    """Returns the checked deletions with a problem if `forget_old` cannot remove their records."""
    reason = describe_pending_creates(opened.checkpoint.pending)
    if not checked.forgotten or not reason:
        return checked
    name = f"{checked.forgotten[0].kind} {checked.forgotten[0].id}"
    message = f"{name}: somebody recreated it, and its record cannot be removed: {reason}"
    problems = sorted((*checked.preview.problems, Problem("", name, message)))
    return replace(checked, preview=replace(checked.preview, problems=tuple(problems)))


def forget_old(opened: OpenedStack, forgotten: Iterable[Resource]) -> OpenedStack:
    """Removes records before the first deletion, and returns the stack without them.

    These are the records of `CheckedDeletions.forgotten`: the CLI deletes by name, and a refresh
    would record the object of others as ours. Raises StateError if another command holds the stack,
    or while a create is pending.
    """
    keys = frozenset(found.key for found in forgotten)
    if not keys:
        return opened
    opened.stack.forget(keys)
    return replace(opened, checkpoint=fold(opened.checkpoint, [{"drop": key} for key in keys]))
