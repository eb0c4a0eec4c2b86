"""Which models of which environments a change since a commit affects, by whatever cause.

Kept apart from comparing one environment: this goes over all of them, and loads each tree once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from framework.reports.comparing import compare_sides
from framework.reports.differences import Comparison
from framework.reports.sides import Side
from framework.reports.trees import Trees, open_trees

# Chooses the models to look at, from the trees and both sides, none where they were not loaded.
Choose = Callable[[Trees, tuple[Side, ...]], Collection[str]]


@dataclass(frozen=True)
class Since:
    """What changed since a commit, by environment in order of name.

    `commit` is what was compared with; `merge_base` says that it is not the ref's own, but the one
    where the branch left it.
    """

    ref: str
    commit: str
    environments: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()
    merge_base: bool = False

    @property
    def affected(self) -> tuple[Comparison, ...]:
        """The environments with a manifest that differs."""
        return tuple(one for one in self.environments if one.affected or one.namespace)

    @property
    def incomplete(self) -> tuple[Comparison, ...]:
        """The environments of which something, or all, could not be compared."""
        return tuple(one for one in self.environments if one.uncompared or not one.compared)

    @property
    def faulty(self) -> bool:
        """Whether a fault of either tree was met."""
        return any(one.faulty for one in self.environments)


def compare_since(
    root: Path,
    ref: str,
    environment: str | None,
    *,
    choose: Choose | None = None,
    why: bool = True,
) -> Since:
    """Compare the working tree with the commit `ref` names, in one environment or in all.

    A branch is compared with the commit where it left the ref. `why` also finds causes. What has
    faults in either tree is named as not compared. Errors: UnknownRefError, GitError,
    UnknownNameError.
    """
    with open_trees(root, ref) as trees:
        found = tuple(
            _compare(trees, name, choose, why) for name in trees.environments(environment)
        )
        revision = trees.revision
        left = revision.commit != revision.tip
        return Since(ref, revision.commit, found, trees.notes, merge_base=left)


def _compare(trees: Trees, environment: str, choose: Choose | None, why: bool) -> Comparison:
    sides = trees.load_sides(environment)
    names = choose(trees, sides or ()) if choose else None
    total = len(trees.models() if names is None else names)
    if sides is None:
        return Comparison(environment, "changed", same=total)
    found = compare_sides(*sides, names=names, why=why)
    if not found.compared:
        return found
    return replace(found, same=total - len(found.models) - len(found.uncompared))
