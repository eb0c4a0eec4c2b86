"""The working tree beside the tree of a commit, and how little of both has to be read.

Kept apart from one side: this decides which code renders which tree. A tree whose framework differs
is rendered by its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from framework.catalog import list_environments, list_models
from framework.core.errors import FrameworkError, UnknownNameError
from framework.kinds.naming import NAME_LABEL
from framework.reports.revisions import CODE_PARTS, Revision, resolve_revision
from framework.reports.sides import ITSELF, Manifests, Side, find_owner, load_partial_side


class OldCatalogError(FrameworkError):
    """The commit that is compared with, as `name` has it, cannot be rendered by its own code."""

    def __init__(self, name: str, environment: str, why: str) -> None:
        self.name, self.environment = name, environment
        super().__init__(
            f"{name}: {why}\n{name} has other framework code, which renders {environment} whole or "
            f"not at all; nothing of it can be compared. Give as SINCE a commit that can render it"
        )


@dataclass
class Trees:
    """The working tree and the tree of a commit, of which as little is read as can be."""

    root: Path
    revision: Revision
    changes: frozenset[str]
    _folder: Path

    @cached_property
    def old_root(self) -> Path:
        """The commit's tree, written out when it is first asked for."""
        return self.revision.export(self._folder) if self.changes else self.root

    @property
    def code_differs(self) -> bool:
        """Whether the commit's manifests were made by other code."""
        return any(path.startswith("framework/") for path in self.changes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know about how the two were compared."""
        found = []
        if not self.revision.related:
            found.append(
                f"{self.revision.ref} and HEAD have no commit in common here, as in a shallow "
                f"clone; what others did to {self.revision.ref} meanwhile shows reversed"
            )
        if "requirements.lock" in self.changes:
            found.append(
                "requirements.lock differs: both sides are rendered with the packages installed now"
            )
        return tuple(found)

    def environments(self, asked: str | None) -> tuple[str, ...]:
        """Those of either tree, or the one asked for. Errors: UnknownNameError."""
        known = sorted({*list_environments(self.root), *list_environments(self.old_root)})
        if asked is not None and asked not in known:
            raise UnknownNameError("environment", asked, known)
        return tuple(known) if asked is None else (asked,)

    def models(self) -> frozenset[str]:
        """The names of every model in either tree."""
        return frozenset({*list_models(self.root), *list_models(self.old_root)})

    def load_sides(self, environment: str) -> tuple[Side, Side] | None:
        """The environment before and after; None where nothing it is made from differs.

        Only the models that can differ are read; what has faults is left out of its side.
        """
        only = touched_models(self.changes, environment)
        if only is not None and not only:
            return None
        new = Side(self.root, environment, present=False)
        if environment in list_environments(self.root):
            new = load_partial_side(self.root, environment, only=only)
        return self._load_old(environment, only), new

    def _load_old(self, environment: str, only: frozenset[str] | None) -> Side:
        root, prefix = self.old_root, f"{self.revision.name}:"
        if environment not in list_environments(root):
            return Side(root, environment, present=False, prefix=prefix)
        side = replace(load_partial_side(root, environment, only=only), prefix=prefix)
        if not self.code_differs:
            return side
        try:
            manifests = render_with_own_code(root, environment, self.revision.name)
        except OldCatalogError as error:
            return Side(root, environment, prefix=prefix, usable=False, failure=str(error))
        # What the old code took, the code in hand may refuse.
        rebuilt = {} if side.diagnostics else side.manifests
        return Side(root, environment, manifests, rebuilt, prefix, only=only)


@contextmanager
def open_trees(root: Path, ref: str) -> Iterator[Trees]:
    """The working tree beside the commit where it left `ref`. Errors: UnknownRefError, GitError."""
    revision = resolve_revision(root, ref)
    with tempfile.TemporaryDirectory(prefix="modelcatalog-since-") as folder:
        yield Trees(root, revision, revision.load_changes(), Path(folder))


def touched_models(changes: Collection[str], environment: str) -> frozenset[str] | None:
    """The models whose manifests in `environment` can differ; None for any of them.

    Models are rendered each by itself, so a model's own files concern that model alone.
    """
    found: set[str] = set()
    for path in changes:
        match path.split("/"):
            case ["requirements.lock"]:
                continue
            case ["environments", other, *_] if other != environment:
                continue
        if not (owner := find_owner(path)):
            return None
        found.add(owner)
    return frozenset(found)


def render_with_own_code(root: Path, environment: str, name: str) -> dict[str, Manifests]:
    """The manifests of a tree as its own framework renders them; `name` is that of its commit.

    It says everything or nothing: what it would make of a faulty catalog's sound models cannot be
    asked. Errors: OldCatalogError.
    """
    if not (root / CODE_PARTS[0] / "__main__.py").is_file():
        raise OldCatalogError(name, environment, "there is no framework/ to render it with")
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONSAFEPATH", "PYTHONHOME")}
    done = subprocess.run(
        [sys.executable, "-m", "framework", "render", environment, "--json"],
        cwd=root,
        env={**kept, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}"
        if said.startswith("Traceback"):
            # That commit's code is broken; its own lines help nobody here.
            said = said.splitlines()[-1]
        told = f"its own `render {environment} --json` failed:\n{said}"
        raise OldCatalogError(name, environment, told)
    try:
        return _by_model(json.loads(done.stdout))
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        told = f"its own `render {environment} --json` printed no list of manifests"
        raise OldCatalogError(name, environment, told) from exc


def _by_model(objects: list[dict[str, Any]]) -> dict[str, Manifests]:
    found: dict[str, Manifests] = {}
    for obj in objects:
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        itself = obj["kind"] == "Namespace"
        name = ITSELF if itself else labels.get(NAME_LABEL, metadata["name"])
        found[name] = (*found.get(name, ()), obj)
    return found
