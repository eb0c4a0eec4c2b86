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
    """What changed since a commit, by environment in order of name."""

    ref: str
    commit: str
    environments: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()

    @property
    def affected(self) -> tuple[Comparison, ...]:
        """The environments with a manifest that differs."""
        return tuple(one for one in self.environments if one.affected or one.namespace)


def compare_since(
    root: Path,
    ref: str,
    environment: str | None,
    *,
    choose: Choose | None = None,
    why: bool = True,
) -> Since:
    """Compare the working tree with the commit `ref` names, in one environment or in all.

    `why` also finds causes. Errors: UnknownRefError, GitError, UnknownNameError, ConfigError for
    the working tree, OldCatalogError for the commit's.
    """
    with open_trees(root, ref) as trees:
        found = tuple(
            _compare(trees, name, choose, why) for name in trees.environments(environment)
        )
        return Since(ref, trees.revision.commit, found, trees.notes)


def _compare(trees: Trees, environment: str, choose: Choose | None, why: bool) -> Comparison:
    sides = trees.load_sides(environment)
    names = choose(trees, sides or ()) if choose else None
    total = len(trees.models() if names is None else names)
    if sides is None:
        return Comparison(environment, "changed", same=total)
    comparison = compare_sides(*sides, names=names, why=why)
    return replace(comparison, same=total - len(comparison.models))
