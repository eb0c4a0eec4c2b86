"""Adds a model to the catalog: a short entry that is valid, and shows what it inherits.

Kept apart from asking for what it takes, which is the command line's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.core.errors import ConfigError, UnknownNameError, UsageError
from framework.core.redaction import is_secret_key
from framework.edits.bump import check_tag
from framework.edits.documents import Change
from framework.edits.outcome import written_soundly
from framework.edits.scalars import render_inline
from framework.files import (
    find_catalog,
    find_environment,
    list_environments,
    load_document,
    name_diagnostics,
)
from framework.layers import Layer, LayerStack, Merged

# What teams change most, in the order they are shown in.
_OFTEN_CHANGED: tuple[KeyPath, ...] = (
    ("replicas",),
    ("startupSeconds",),
    ("args",),
    ("resources", "requests"),
    ("resources", "limits"),
    ("env",),
    ("rollout", "maxSurge"),
    ("rollout", "minReadySeconds"),
)
# What a profile gives if the model's own file need not.
_NEEDED: tuple[tuple[str, KeyPath], ...] = (
    ("a server", ("image", "repository")),
    ("resources", ("resources", "requests")),
)
_COMMENT_COLUMN = 40
_WIDTH = 100


@dataclass(frozen=True)
class Draft:
    """A model that is to be: what `new` was told so far. `owner` and `tag` may be inherited."""

    root: Path
    name: str
    profiles: tuple[str, ...]
    owner: str | None = None
    tag: str | None = None

    @property
    def path(self) -> str:
        """Where it will stand."""
        return f"catalog/{self.name}.yaml"

    @cached_property
    def inherited(self) -> Merged:
        """What defaults and profiles give, before any environment. Errors: ConfigError."""
        files = find_catalog(self.root)
        paths = [files.defaults] if files.defaults else []
        paths += [files.profiles[name] for name in self.profiles]
        documents = [load_document(self.root, path) for path in paths]
        if diagnostics := [diagnostic for _, found in documents for diagnostic in found]:
            raise ConfigError(diagnostics)
        layers = [Layer(document) for document, _ in documents]
        return LayerStack().add(*layers).resolve({"name": self.name})

    @property
    def missing(self) -> tuple[str, ...]:
        """Which of "owner" and "tag" are neither told nor inherited."""
        asked: tuple[tuple[str, str | None, KeyPath], ...] = (
            ("owner", self.owner, ("owner",)),
            ("tag", self.tag, ("image", "tag")),
        )
        data = self.inherited.data
        return tuple(name for name, told, path in asked if told is None and _at(data, path) is None)


def check_name(root: Path, name: str) -> None:
    """UsageError where no model can have this name, or one has it."""
    path = f"catalog/{name}.yaml"
    if diagnostics := list(name_diagnostics(path, "model", name)):
        raise UsageError(diagnostics[0].message.replace("; rename it", "; choose another name"))
    for taken in (path, f"catalog/{name}.yml"):
        if (root / taken).exists():
            raise UsageError(
                f"{taken} is there already, and is not overwritten; edit it, or choose another name"
            )


def check_profiles(root: Path, names: Sequence[str]) -> None:
    """UnknownNameError for the first that is no profile, with the nearest names."""
    known = find_catalog(root).profiles
    for index, name in enumerate(names):
        if name not in known:
            raise UnknownNameError("profile", name, known)
        if name in names[:index]:
            raise UsageError(f'the profile "{name}" is given twice; name it once')


def list_profiles(root: Path) -> Mapping[str, str]:
    """The first comment of every profile, by name, in order of name."""
    return {
        name: next(_comments((root / path).read_text("utf-8-sig")), "")
        for name, path in find_catalog(root).profiles.items()
    }


def list_owners(root: Path) -> tuple[str, ...]:
    """The owners of the catalog's models, sorted; files with faults are passed over."""
    documents = [load_document(root, path)[0] for path in find_catalog(root).models.values()]
    owners = {document.data.get("owner") for document in documents}
    return tuple(sorted(owner for owner in owners if isinstance(owner, str)))


def add_model(draft: Draft) -> tuple[str, ...]:
    """Write the entry; returns the environments it is valid in, which are all.

    Errors: UsageError for a name or a profile that cannot be; UnsoundEditError where the entry
    lacks what neither the profiles nor the draft give, and then nothing is kept.
    """
    check_name(draft.root, draft.name)
    check_profiles(draft.root, draft.profiles)
    if draft.tag is not None:
        check_tag(draft.tag)
    environments = list_environments(draft.root)
    change = Change(draft.path, None, render_entry(draft).encode(), _entry_data(draft))
    with written_soundly(draft.root, [change], {draft.name}, environments, advice=_advise(draft)):
        return environments


def render_entry(draft: Draft) -> str:
    """The file's text; what is commented out is what defaults and profiles give."""
    lines = [f"{key}: {render_inline(value)}" for key, value in _entry_data(draft).items()]
    lines = [_with_comment(line, _explain(draft, line)) for line in lines]
    lines += ["", '# Inherited; take a "# " away and change the value where it does not fit.']
    above = ""
    for path in _OFTEN_CHANGED:
        if (value := _shown(draft.inherited.data, path)) is None:
            continue
        if len(path) > 1 and path[0] != above:
            lines.append(f"# {path[0]}:")
        above = str(path[0])
        line = f"# {'  ' * (len(path) - 1)}{path[-1]}: {render_inline(value)}"
        lines.append(_with_comment(line, f"from {_origin(draft, path)}{_weak(draft, path)}"))
    return "\n".join(lines) + "\n"


def _entry_data(draft: Draft) -> dict[str, Any]:
    data: dict[str, Any] = {} if draft.owner is None else {"owner": draft.owner}
    data["description"] = f"{draft.name} on {draft.profiles[0]}"
    data["profiles"] = list(draft.profiles)
    return data if draft.tag is None else {**data, "image": {"tag": draft.tag}}


def _explain(draft: Draft, line: str) -> str:
    key = line.partition(":")[0]
    if key == "description":
        return "say in one sentence what it does"
    repository = _at(draft.inherited.data, ("image", "repository"))
    if key == "image" and repository:
        return f"of {repository}, from {_origin(draft, ('image', 'repository'))}"
    return ""


def _with_comment(line: str, comment: str) -> str:
    shown = f"{line.ljust(_COMMENT_COLUMN - 2)}  # {comment}"
    return shown if comment and len(shown) <= _WIDTH else line


def _origin(draft: Draft, path: KeyPath) -> str:
    """The files that say it, the last one first."""
    positions = [
        position
        for at, found in draft.inherited.origins.items()
        if at[: len(path)] == path
        for position in found[-1:]
    ]
    return ", ".join(dict.fromkeys(position.path for position in reversed(positions)))


def _weak(draft: Draft, path: KeyPath) -> str:
    """Where an environment's own defaults say otherwise; profiles are stronger than these."""
    if any(f"_profiles/{name}.yaml" in _origin(draft, path) for name in draft.profiles):
        return ""
    said = ""
    for environment in list_environments(draft.root):
        home = find_environment(draft.root, environment).environment
        value = _at(load_document(draft.root, home)[0].data, ("defaults", *path))
        if value not in (None, _at(draft.inherited.data, path)):
            said += f"; {render_inline(value)} in {environment}"
    return said


def _shown(data: Any, path: KeyPath) -> Any:
    """The value at `path` without what may be secret; None where nothing is left to show."""
    value = _at(data, path)
    if isinstance(value, dict):
        value = {
            key: item
            for key, item in value.items()
            if not is_secret_key((*path, key)) and "${" not in str(item)
        }
    return None if value in ({}, []) or "${" in str(value) else value


def _at(data: Any, path: KeyPath) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _advise(draft: Draft) -> str:
    """The profiles that give what the ones named do not."""
    names = find_catalog(draft.root).profiles
    data = {name: Draft(draft.root, draft.name, (name,)).inherited.data for name in names}
    lines = []
    for what, path in _NEEDED:
        if _at(draft.inherited.data, path) is None:
            giving = [name for name in names if _at(data[name], path) is not None]
            example = ",".join((*draft.profiles, *giving[:1]))
            lines.append(
                f"Profiles with {what}: {', '.join(giving) or 'none'}; as in PROFILE={example}"
            )
    return "\n".join(lines)


def _comments(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("#") and (comment := line.lstrip("# ").strip()):
            yield comment
