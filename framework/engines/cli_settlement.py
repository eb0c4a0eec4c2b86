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
from typing import TYPE_CHECKING, Any

from framework.core.changes import Problem
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_stack import CliStack, describe_pending_creates, read_export
from framework.engines.clusters import Clusters
from framework.engines.deletions import CheckedDeletions
from framework.engines.embedded.settlement import restore_wanted, settle_pending
from framework.engines.state.checkpoint import Checkpoint, Resource
from framework.engines.state.journal import fold
from framework.engines.state.secrets import read_plaintext, unseal, write_plaintext

if TYPE_CHECKING:
    from framework.plan import StackPlan


class _ExportedState:
    """An exported state, whose secrets are in plain text."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def get_current(self) -> Checkpoint:
        return self._checkpoint

    def read_inputs(self, resource: Resource) -> Any:
        return unseal(resource.raw.get("inputs") or {}, read_plaintext)

    def read_outputs(self, resource: Resource) -> Any:
        return unseal(resource.raw.get("outputs") or {}, read_plaintext)

    def seal(self, tree: Any) -> Any:
        return write_plaintext(tree)


def settle_export(
    checkpoint: Checkpoint, clusters: Clusters, plan: StackPlan | None
) -> tuple[Checkpoint, tuple[str, ...]]:
    """Returns an exported state as the embedded engine would settle it; writes nothing.

    It has the objects of pending creates that exist, and the records of replaced objects that the
    plan has again. The second value are the warnings about what was pending, in the form of
    `Preview.messages`. Raises ClusterError if a cluster does not answer.
    """
    settlement = settle_pending(_ExportedState(checkpoint), clusters)
    settled = fold(checkpoint, settlement.lines)
    if plan is not None:
        settled = fold(settled, restore_wanted(settled, plan))
    return settled, tuple(sorted(f"warning: {warning}" for warning in settlement.warnings))


def settle_remote(
    stack: CliStack, clusters: Clusters, plan: StackPlan | None
) -> tuple[bool, tuple[str, ...]]:
    """Settles the state of a stack that only the CLI reads.

    Returns whether the state was changed, and the warnings of `settle_export`. Raises ClusterError
    if a cluster does not answer, and StateError if another command holds the stack.
    """
    exported = stack.export()
    checkpoint = read_export(exported, stack.name)
    settled, messages = settle_export(checkpoint, clusters, plan)
    if settled == checkpoint:
        return False, messages
    if describe_pending_creates(settled.pending):
        # The import drops all pending operations. So nothing is imported while one is undecided:
        # the next command decides again, and the warnings say what the user must look at.
        return False, messages
    exported.deployment["resources"] = [resource.raw for resource in settled.resources]
    exported.deployment["pending_operations"] = []
    stack.import_back(exported)
    stack.lock.require()
    return True, messages


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
