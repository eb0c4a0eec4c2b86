"""Whether the catalog is still sound once files are edited, in every environment it concerns.

Kept apart because every edit is held to it, and because only the models that were edited are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from framework.catalog import Catalog, read_catalog
from framework.core.diagnostics import Diagnostic
from framework.core.errors import ConfigError, FrameworkError
from framework.core.stack import Stack
from framework.edits.documents import Change
from framework.edits.writing import written
from framework.plan import PlanStore


class UnsoundEditError(FrameworkError):
    """An edit that would leave faults in the catalog; every file is as it was."""

    def __init__(self, diagnostics: Iterable[Diagnostic], advice: str = "") -> None:
        self.diagnostics = tuple(diagnostics)
        told = str(ConfigError(self.diagnostics))
        super().__init__(
            f"Nothing was changed: the catalog would have these faults.\n{told}"
            + (f"\n{advice}" if advice else "")
        )


def load_everywhere(
    root: Path, names: Collection[str], environments: Iterable[str]
) -> Mapping[str, Catalog]:
    """The catalogs of these models by environment. Errors: ConfigError with the faults of all."""
    stacks = [Stack.of(environment) for environment in environments]
    loaded = PlanStore(root).load(stacks, models=names).plans.values()
    if errors := [error for plan in loaded for error in plan.errors]:
        raise ConfigError(errors)
    return {stack.environment: read_catalog(root, stack, models=names) for stack in stacks}


@contextmanager
def written_soundly(
    root: Path,
    changes: Sequence[Change],
    names: Collection[str],
    environments: Iterable[str],
    *,
    advice: str = "",
) -> Iterator[Mapping[str, Catalog]]:
    """Write the changes and load what they led to; where that has faults, all are undone.

    Errors: UnsoundEditError, which ends in `advice`; EditError where a file cannot be written.
    """
    with written(root, changes):
        try:
            catalogs = load_everywhere(root, names, environments)
        except ConfigError as error:
            raise UnsoundEditError(error.diagnostics, advice) from error
        yield catalogs
