"""Finds the YAML files: the models and profiles of the catalog, and the overlays of an environment.

It looks at names and folders only, and reads no file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from framework.core.diagnostics import Code, Diagnostic
from framework.files.unread import (
    CATALOG,
    ENVIRONMENT,
    ENVIRONMENTS,
    OVERLAYS,
    PROFILES,
    PULUMI_SETTINGS,
    Place,
    find_unread,
    list_entries,
)

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_CANARY_SUFFIX = "-canary"
_LONGEST = {"model": 40, "profile": 63, "environment": 63}


@dataclass(frozen=True)
class CatalogFiles:
    """The files of the catalog. `profiles` and `models` map names, sorted, to paths.

    Paths are relative to the root.
    """

    defaults: str | None
    profiles: Mapping[str, str]
    models: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True)
class EnvironmentFiles:
    """The files of one environment. `overlays` maps model names, sorted, to paths."""

    environment: str
    overlays: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]


def find_catalog(root: Path) -> CatalogFiles:
    """Finds the files under catalog/, and those directly in environments/ that are not read.

    Names that begin with `_` are never models.
    """
    diagnostics: list[Diagnostic] = []
    folder = root / "catalog"
    if not folder.is_dir():
        message = "no such folder; models are in catalog/<model>.yaml"
        diagnostics.append(Diagnostic("catalog", 0, 0, Code.UNREADABLE, message))
    models = _find_named_files(root, folder, "model", diagnostics, CATALOG)
    profiles = _find_named_files(root, folder / "_profiles", "profile", diagnostics, PROFILES)
    environments = root / "environments"
    for entry in list_entries(root, environments, diagnostics):
        is_settings = PULUMI_SETTINGS.fullmatch(entry.name) and entry.is_file()
        if not is_settings and (entry.name[0] == "_" or not entry.is_dir()):
            diagnostics += find_unread(root, entry, ENVIRONMENTS)
    defaults = folder / "_defaults.yaml"
    path_of_defaults = _relative(root, defaults) if defaults.is_file() else None
    return CatalogFiles(path_of_defaults, profiles, models, tuple(diagnostics))


def environment_path(name: str) -> str:
    """Returns the path of the file of an environment, relative to the root."""
    return f"environments/{name}/environment.yaml"


def find_environment(root: Path, name: str) -> EnvironmentFiles:
    """Finds the files under environments/<name>/."""
    folder = root / "environments" / name
    own = environment_path(name)
    diagnostics: list[Diagnostic] = [*name_diagnostics(own, "environment", name)]
    unread: list[Diagnostic] = []
    for entry in list_entries(root, folder, diagnostics):
        is_read = (entry.name == "models" and entry.is_dir()) or (
            entry.name == "environment.yaml" and entry.is_file()
        )
        if not is_read:
            unread += find_unread(root, entry, ENVIRONMENT)
    # The error about a file that is probably environment.yaml is enough.
    if not (root / own).is_file() and not any("environment.yaml" in d.message for d in unread):
        message = "no such file; an environment needs one, with at least `namespace: ...`"
        diagnostics.append(Diagnostic(own, 0, 0, Code.UNREADABLE, message))
    overlays = _find_named_files(root, folder / "models", "model", diagnostics, OVERLAYS)
    return EnvironmentFiles(own, overlays, (*diagnostics, *unread))


def environment_names(root: Path) -> tuple[str, ...]:
    """Returns the names of the folders under environments/, sorted."""
    entries = list_entries(root, root / "environments", [])
    return tuple(entry.name for entry in entries if entry.is_dir() and entry.name[0] not in "._")


def count_files(root: Path, environments: Iterable[str]) -> int:
    """Returns the number of YAML files in the catalog and in these environments."""
    files = find_catalog(root)
    count = len(files.models) + len(files.profiles) + bool(files.defaults)
    for name in environments:
        count += 1 + len(find_environment(root, name).overlays)
    return count


def _is_regular_yaml(entry: os.DirEntry[str]) -> bool:
    """Returns True for a YAML file that is not a symbolic link."""
    # The listing of the folder already has the type of each entry: calling stat() for each of a
    # thousand files takes longer than planning one model.
    return entry.name.endswith(".yaml") and entry.is_file(follow_symlinks=False)


def _find_named_files(
    root: Path, folder: Path, kind: str, diagnostics: list[Diagnostic], place: Place
) -> dict[str, str]:
    """Returns the YAML files of a folder by name, and adds what is wrong to `diagnostics`."""
    paths: dict[str, str] = {}
    prefix = _relative(root, folder)
    for entry in list_entries(root, folder, diagnostics):
        if entry.name in place.known:
            continue
        is_file = _is_regular_yaml(entry) or (entry.name.endswith(".yaml") and entry.is_file())
        if not is_file or entry.name[0] == "_" or entry.name.lower().startswith("pulumi."):
            diagnostics += find_unread(root, entry, place)
            continue
        paths[entry.name.removesuffix(".yaml")] = f"{prefix}/{entry.name}"
    taken = set(paths)
    for stem, path in list(paths.items()):
        invalid = list(name_diagnostics(path, kind, stem, taken))
        diagnostics += invalid
        if invalid:
            del paths[stem]
            # If two files have one proposal, the second gets another.
            taken.add(_find_free(_propose_name(stem), taken))
    return paths


def name_diagnostics(
    path: str, kind: str, name: str, taken: AbstractSet[str] = frozenset()
) -> Iterator[Diagnostic]:
    """Yields what is wrong with a name; `kind` is "model", "profile" or "environment".

    The names in `taken` are not proposed.
    """
    longest = _LONGEST[kind]
    if not _DNS_LABEL.fullmatch(name) or len(name) > longest:
        article = "an" if kind == "environment" else "a"
        proposed = _propose_name(name)
        free = _find_free(proposed, taken)
        valid = _DNS_LABEL.fullmatch(free) and len(free) <= longest
        message = (
            f'"{name}" is not a valid name for {article} {kind}; expected a letter, then '
            f"lower-case letters, digits and '-', at most {longest} characters; rename it"
            f"{f' to {free}' if valid else ''}"
            f"{f' ({proposed} exists already)' if valid and free != proposed else ''}"
        )
        yield Diagnostic(path, 0, 0, Code.FILE_NAME, message)
    elif kind == "model" and name.endswith(_CANARY_SUFFIX):
        message = (
            f'"{name}" is not a valid name for a model; "-canary" is for canary tracks; rename it'
        )
        yield Diagnostic(path, 0, 0, Code.FILE_NAME, message)


def _propose_name(name: str) -> str:
    """Returns the nearest valid name: `llama-3-1-8b` for `Llama_3.1-8B`.

    A name is not changed silently, because objects, overlays and Git then have two names for it,
    and `a.b` and `a-b` would become one.
    """
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def _find_free(proposed: str, taken: AbstractSet[str]) -> str:
    """Returns the proposed name, with a number if another file has it: `a-b-2` for `a.b`."""
    return next(
        name
        for number in count(1)
        if (name := proposed if number == 1 else f"{proposed}-{number}") not in taken
    )


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
