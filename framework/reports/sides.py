"""Loads the two sides of a comparison: an environment in the working tree and in a commit.

Only models whose own files changed are loaded, unless a file that all models share changed too. If
`framework/` differs, the commit's own code renders its tree, because today's code may render the
same files differently.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from framework.catalog import (
    Catalog,
    list_models,
    read_catalog,
    read_environment,
)
from framework.core.diagnostics import Diagnostic
from framework.core.errors import FrameworkError, UnknownNameError
from framework.core.stack import Stack
from framework.files import list_environments
from framework.kinds.naming import NAME_LABEL
from framework.layers import Merged
from framework.plan import PlanStore, StackPlan
from framework.reports.revisions import Revision, resolve_revision
from framework.settings.environment import Environment

Manifests = tuple[dict[str, Any], ...]
# The key of the manifests that belong to the environment and to no model: its Namespace.
NO_MODEL = ""
_LOCK = "requirements.lock"


class OldCatalogError(FrameworkError):
    """The commit `name` has other framework code, and that code cannot render the environment."""

    def __init__(self, name: str, environment: str, why: str) -> None:
        self.name, self.environment = name, environment
        super().__init__(
            f"{name}: {why}\n{name} has other framework code, which renders all of {environment} "
            "or nothing, so nothing of it can be compared. Set SINCE to a commit that can render it"
        )


@dataclass(frozen=True, eq=False)
class Side:
    """One environment in one tree.

    - `manifests` maps each model that runs to its manifests, and NO_MODEL to the Namespace.
    - `rebuilt` is None if today's code rendered `manifests`. If the commit's own code did, it holds
      what today's code builds from the same files, or {} if today's code cannot read them.
    - `prefix` is written before the paths of a commit's tree: `main:`.
    - `only` names the models that were loaded; None means all.
    - `not_planned` names the models left out because of `diagnostics`.
    - `present` is False if the tree does not have the environment.
    - `usable` is False if nothing can be compared; `failure` or `diagnostics` have the reason.
    """

    root: Path
    environment: str
    manifests: Mapping[str, Manifests] = field(default_factory=dict)
    rebuilt: Mapping[str, Manifests] | None = None
    prefix: str = ""
    only: frozenset[str] | None = None
    not_planned: frozenset[str] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()
    present: bool = True
    usable: bool = True
    failure: str | None = None

    @property
    def models(self) -> frozenset[str]:
        """Returns the names of the models that run here."""
        return frozenset(self.manifests) - {NO_MODEL}

    @property
    def is_readable(self) -> bool:
        """Returns True if today's code can read the settings."""
        return self.present and self.rebuilt != {}

    def read_catalog(self, names: Collection[str]) -> Catalog | None:
        """Returns the settings of some models. Their diagnostics are in `diagnostics` already."""
        if not self.is_readable or not names:
            return None
        return read_catalog(self.root, Stack.of(self.environment), models=names)

    @cached_property
    def settings(self) -> tuple[Environment | None, Merged]:
        """Returns the environment's own settings; None if they cannot be read."""
        if not self.is_readable:
            return None, Merged({}, {})
        return read_environment(self.root, self.environment)


def load_side(root: Path, environment: str, *, only: frozenset[str] | None = None) -> Side:
    """Loads an environment of the working tree. Errors: UnknownNameError, ConfigError."""
    loaded = PlanStore(root).load_one(Stack.of(environment), models=only)
    return Side(root, environment, _manifests_by_model(loaded.require()), only=only)


def _load_valid_models(root: Path, environment: str, only: frozenset[str] | None) -> Side:
    """Loads an environment without the models that have errors."""
    loaded = PlanStore(root).load_one(Stack.of(environment), models=only)
    return Side(
        root,
        environment,
        _manifests_by_model(loaded.plan) if loaded.plan else {},
        only=only,
        not_planned=loaded.unplanned,
        diagnostics=loaded.errors,
        usable=loaded.plan is not None,
    )


def _manifests_by_model(plan: StackPlan) -> dict[str, Manifests]:
    models = {model.name: tuple(m.object for m in model.manifests) for model in plan.models}
    return {NO_MODEL: (plan.namespace.object,), **models}


@dataclass
class Trees:
    """The working tree at `root`, and the tree of a commit.

    `changes` are the paths that differ between them, relative to the root.
    """

    root: Path
    revision: Revision
    changes: frozenset[str]
    _folder: Path

    @cached_property
    def old_root(self) -> Path:
        """Returns the root of the commit's tree, which is exported to a folder on first use.

        Models that are the same on both sides are left out. So are the files of the framework,
        unless they differ.
        """
        # Nothing differs, so the working tree is the commit's tree as well.
        if not self.changes:
            return self.root
        # None stands for a file that all models share: with it, every model may have changed.
        owners = {find_owner(path) for path in self.changes - {_LOCK}}
        has_code = any(path.startswith("framework/") for path in self.changes)
        files = self.revision.files
        paths = [
            path
            for path in (*files.blobs, *files.outside)
            if (has_code or not path.startswith("framework/"))
            and (None in owners or (owner := find_owner(path)) is None or owner in owners)
        ]
        return files.export(self._folder, frozenset(paths))

    @property
    def notes(self) -> tuple[str, ...]:
        """Returns remarks that a reader needs to interpret the comparison."""
        notes = []
        if not self.revision.related:
            notes.append(
                f"{self.revision.ref} and HEAD have no commit in common here, as in a shallow "
                f"clone; changes that others made to {self.revision.ref} appear reversed"
            )
        for path in self.revision.files.leaving_links:
            notes.append(
                f"{path} is a link that leaves the repository, and {self.revision.name} does not "
                "have what it leads to: both sides read it as it is now"
            )
        if unchecked := self.revision.find_unchecked_files(self.changes):
            notes.append(
                f"this is a sparse checkout without {len(unchecked)} files of "
                f"{self.revision.name}, such as {min(unchecked)}; they count as removed, because "
                "no command here reads them (`git sparse-checkout disable` restores them)"
            )
        if _LOCK in self.changes:
            notes.append(
                "requirements.lock differs: both sides are rendered with the packages installed now"
            )
        return tuple(notes)

    def select_environments(self, name: str | None) -> tuple[str, ...]:
        """Returns the environments of either tree, or the one named. Errors: UnknownNameError."""
        new, old = list_environments(self.root), list_environments(self.old_root)
        known = tuple(dict.fromkeys((*new, *old)))
        if name is not None and name not in known:
            raise UnknownNameError("environment", name, known)
        return known if name is None else (name,)

    def list_models(self) -> frozenset[str]:
        """Returns the names of all models in either tree."""
        return frozenset({*list_models(self.root), *list_models(self.old_root)})

    def load_sides(self, environment: str) -> tuple[Side, Side] | None:
        """Loads the environment before and after; None if none of its files differ."""
        only = find_touched_models(self.changes, environment)
        if only is not None and not only:
            return None
        new = Side(self.root, environment, present=False)
        if environment in list_environments(self.root):
            new = _load_valid_models(self.root, environment, only)
        return self._load_old_side(environment, only), new

    def _load_old_side(self, environment: str, only: frozenset[str] | None) -> Side:
        root, prefix = self.old_root, f"{self.revision.name}:"
        if environment not in list_environments(root):
            return Side(root, environment, present=False, prefix=prefix)
        side = replace(_load_valid_models(root, environment, only), prefix=prefix)
        if not any(path.startswith("framework/") for path in self.changes):
            return side
        try:
            manifests = render_with_own_code(root, environment, self.revision.name)
        except OldCatalogError as error:
            return Side(root, environment, prefix=prefix, usable=False, failure=str(error))
        # The old code accepted these files; today's code may refuse them.
        rebuilt = {} if side.diagnostics else side.manifests
        return Side(root, environment, manifests, rebuilt, prefix, only)


@contextmanager
def open_trees(root: Path, ref: str) -> Iterator[Trees]:
    """Opens the commit where the branch left `ref`. Errors: UnknownRefError, GitError."""
    revision = resolve_revision(root, ref)
    with tempfile.TemporaryDirectory(prefix="modelcatalog-since-") as folder:
        yield Trees(root, revision, revision.load_changes(), Path(folder))


def find_touched_models(changes: Collection[str], environment: str) -> frozenset[str] | None:
    """Returns the models whose manifests in `environment` can differ; None means all of them.

    A model's own files concern that model alone, because each model is rendered by itself.
    """
    models: set[str] = set()
    for path in changes:
        match path.split("/"):
            case [file] if file == _LOCK:
                continue
            case ["environments", other, *_] if other != environment:
                continue
        if not (owner := find_owner(path)):
            return None
        models.add(owner)
    return frozenset(models)


def find_owner(path: str) -> str | None:
    """Returns the model whose own file or overlay this is; None for a file that models share."""
    match path.split("/"):
        case ["catalog", file] if not file.startswith("_"):
            return file.removesuffix(".yaml")
        case ["environments", _, "models", file]:
            return file.removesuffix(".yaml")
    return None


def render_with_own_code(root: Path, environment: str, name: str) -> dict[str, Manifests]:
    """Renders the tree of the commit `name` with its own framework code, by model.

    Rendering fails as a whole if any model has an error: an old `render` may not be able to leave
    models out. Errors: OldCatalogError.
    """
    if not (root / "framework" / "__main__.py").is_file():
        raise OldCatalogError(name, environment, "there is no framework/ to render it with")
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONSAFEPATH", "PYTHONHOME")}
    completed = subprocess.run(
        [sys.executable, "-m", "framework", "render", environment, "--json"],
        cwd=root,
        env={**inherited, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    command = f"its own `render {environment} --json`"
    if completed.returncode:
        output = (
            completed.stderr.strip()
            or completed.stdout.strip()
            or f"exit code {completed.returncode}"
        )
        if output.startswith("Traceback"):
            # Users cannot act on stack frames of the commit's code. The last line is the exception.
            output = output.splitlines()[-1]
        raise OldCatalogError(name, environment, f"{command} failed:\n{output}")
    try:
        return _group_by_model(json.loads(completed.stdout))
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        why = f"{command} did not print a list of manifests"
        raise OldCatalogError(name, environment, why) from exc


def _group_by_model(objects: list[dict[str, Any]]) -> dict[str, Manifests]:
    groups: dict[str, Manifests] = {}
    for obj in objects:
        labels = obj["metadata"].get("labels") or {}
        model = labels.get(NAME_LABEL, obj["metadata"]["name"])
        key = NO_MODEL if obj["kind"] == "Namespace" else model
        groups[key] = (*groups.get(key, ()), obj)
    return groups
