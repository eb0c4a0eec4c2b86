"""Reports files and folders that nothing reads, and suggests the name that was probably meant.

Without this, a file with a small mistake in its name would be ignored silently: the replicas in
`models/churn.YAML` would never apply. Allowed are files that are read, hidden files (a leading
dot) and documents for people (`README.md`). Any other file is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from framework.core.diagnostics import Code, Diagnostic
from framework.core.suggestions import near_misses

PULUMI_SETTINGS = re.compile(r"Pulumi\.[-\w]+\.yaml")
_DOCUMENT = re.compile(r"README(\..*)?|(CODE)?OWNERS|LICENSE(\..*)?|.*\.md", re.IGNORECASE)
_BACKUP = re.compile(r".*~|#.*#|.*\.(orig|bak|backup|old|rej|save|tmp|swp|swo)", re.IGNORECASE)
_YAML = re.compile(r"(.*)\.ya?ml", re.IGNORECASE)
_HIDE = "or hide it with a leading dot"


@dataclass(frozen=True)
class Place:
    """A folder. `content` describes the files that are read there, `known` their fixed names."""

    content: str
    known: Mapping[str, str] = field(default_factory=dict)


CATALOG = Place(
    "models are directly in catalog/, as <model>.yaml",
    {"_defaults.yaml": "the defaults of every model", "_profiles": "the profiles"},
)
PROFILES = Place("profiles are directly in catalog/_profiles/, as <profile>.yaml")
ENVIRONMENTS = Place("an environment is a folder with environment.yaml in it")
ENVIRONMENT = Place(
    "an environment has environment.yaml, and overlays in models/<model>.yaml",
    {"environment.yaml": "the settings of the environment", "models": "the overlays of models"},
)
OVERLAYS = Place("overlays are directly in models/, as <model>.yaml")


def list_entries(root: Path, folder: Path, diagnostics: list[Diagnostic]) -> list[os.DirEntry[str]]:
    """Returns the entries of a folder that are not hidden, sorted; none where it does not exist."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if entry.name[0] != "."]
        return sorted(visible, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        path = folder.relative_to(root).as_posix()
        message = f"cannot be read: {error.strerror}; allow reading it"
        diagnostics.append(Diagnostic(path, 0, 0, Code.UNREADABLE, message))
        return []


def find_unread(root: Path, entry: os.DirEntry[str], place: Place) -> Iterator[Diagnostic]:
    """Yields an error for an entry that is not read, unless it is a document or an empty folder."""
    path = Path(entry.path)
    relative = path.relative_to(root).as_posix()
    if entry.is_symlink() and not path.exists():
        message = "is a link to a file that does not exist; fix or remove it"
        yield Diagnostic(relative, 0, 0, Code.UNREADABLE, message)
    elif entry.is_dir():
        unreadable: list[Diagnostic] = []
        # Git does not store empty folders, so one cannot be part of the project.
        if list_entries(root, path, unreadable) or entry.name.endswith(".yaml"):
            message = f"is a folder; {_describe_folder(entry.name, place)}"
            yield Diagnostic(relative, 0, 0, Code.FILE_NAME, message)
        yield from unreadable
    elif not _DOCUMENT.fullmatch(entry.name):
        message = _describe_file(entry, place)
        yield Diagnostic(relative, 0, 0, Code.FILE_NAME, message)


def _describe_folder(name: str, place: Place) -> str:
    if place is ENVIRONMENT and name == "stacks":
        return "several stacks of one environment are not supported yet; remove it"
    if name.endswith(".yaml"):
        return f"expected a file; {place.content}"
    if near := _near_name(name, place, folder=True):
        return f"rename it to {near}, which has {place.known[near]}"
    return f"{place.content}; move the files, {_HIDE}"


def _describe_file(entry: os.DirEntry[str], place: Place) -> str:
    name = entry.name
    if not entry.is_file():
        return f"is not a regular file; remove it, {_HIDE}"
    if _BACKUP.fullmatch(name):
        return f"is a backup and is not read; remove it, {_HIDE}"
    if name.lower().startswith("pulumi."):
        return "is not read here; the settings of a stack are in environments/Pulumi.<stack>.yaml"
    if near := _near_name(name, place, folder=False):
        return f"is not read; rename it to {near}, which has {place.known[near]}"
    match = _YAML.fullmatch(name)
    if match and not name.endswith(".yaml"):
        ending = name[len(match[1]) :]
        renamed = f"rename it to {match[1]}.yaml"
        if not place.known or place is CATALOG:
            return f"files with the extension {ending} are not read; {renamed}"
    if match and name[0] == "_":
        return f"is not read: its name begins with _; {place.content}; rename it, {_HIDE}"
    return f"is not read; {place.content}; move or rename it, {_HIDE}"


def _near_name(name: str, place: Place, *, folder: bool) -> str:
    """Returns the known name that an entry was probably meant to have; "" where none is near.

    `_default.yaml` is near `_defaults.yaml`. `defaults.yaml` is not checked: it is a valid model.
    """
    known = [other for other in place.known if folder != other.endswith(".yaml")]
    stems = {Path(other).stem: other for other in known}
    stem = name if folder else Path(name).stem
    if stem in stems:
        return stems[stem]
    near = near_misses(stem, stems, cutoff=0.75)
    return stems[near[0]] if near else ""
