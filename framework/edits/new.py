"""Adds a model to the catalog: a short, valid entry that shows as comments what it inherits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.core.errors import ConfigError, UnknownNameError, UsageError
from framework.core.field_paths import get_at
from framework.core.redaction import is_secret_key
from framework.edits.bump import check_tag
from framework.edits.transaction import apply_valid_changes
from framework.edits.yaml_edit import Change
from framework.edits.yaml_text import render_inline
from framework.files import find_catalog, find_environment, list_environments, name_diagnostics
from framework.files.document import load_document
from framework.layers import Layer, LayerStack, Merged
from framework.settings.model import model_forms

# The settings that teams change most, in the order they are shown in.
_SHOWN: tuple[KeyPath, ...] = (
    ("replicas",),
    ("startupSeconds",),
    ("args",),
    ("resources", "requests"),
    ("resources", "limits"),
    ("env",),
    ("rollout", "maxSurge"),
    ("rollout", "minReadySeconds"),
)
# Settings that a model needs and that profiles usually set, with the words for them in messages.
_NEEDED: tuple[tuple[str, KeyPath], ...] = (
    ("a server", ("image", "repository")),
    ("resources", ("resources", "requests")),
)
_COMMENT_COLUMN = 40
_WIDTH = 100


@dataclass(frozen=True)
class Draft:
    """A model to be added. `owner` and `tag` are None if not given; a profile may set them."""

    root: Path
    name: str
    profiles: tuple[str, ...]
    owner: str | None = None
    tag: str | None = None

    @property
    def path(self) -> str:
        """Returns the path of the file to be written."""
        return f"catalog/{self.name}.yaml"

    @cached_property
    def inherited(self) -> Merged:
        """Returns what `_defaults` and the profiles set, without any environment.

        Errors: ConfigError.
        """
        files = find_catalog(self.root)
        paths = [files.defaults] if files.defaults else []
        paths += [files.profiles[name] for name in self.profiles]
        documents = [load_document(self.root, path) for path in paths]
        if diagnostics := [diagnostic for _, found in documents for diagnostic in found]:
            raise ConfigError(diagnostics)
        layers = [Layer(document, forms=model_forms()) for document, _ in documents]
        return LayerStack().add(*layers).resolve({"name": self.name})

    @property
    def missing(self) -> tuple[str, ...]:
        """Returns which of "owner" and "tag" are neither given nor inherited."""
        data = self.inherited.data
        missing = []
        if self.owner is None and get_at(data, ("owner",), None) is None:
            missing.append("owner")
        if self.tag is None and get_at(data, ("image", "tag"), None) is None:
            missing.append("tag")
        return tuple(missing)


def check_name(root: Path, name: str) -> None:
    """Raises UsageError if the name is not valid for a model, or is taken."""
    check_syntax(name)
    for taken in (f"catalog/{name}.yaml", f"catalog/{name}.yml"):
        if (root / taken).exists():
            raise UsageError(f"{taken} exists already; edit it, or choose another name")


def check_syntax(name: str) -> None:
    """Raises UsageError if the name is not valid for a model."""
    if diagnostics := list(name_diagnostics(f"catalog/{name}.yaml", "model", name)):
        message = diagnostics[0].message.replace("; rename it to", "; use")
        raise UsageError(message.replace("; rename it", "; choose another name"))


def check_profiles(root: Path, names: Sequence[str]) -> None:
    """Raises UnknownNameError for a profile that does not exist, UsageError for a duplicate."""
    known = find_catalog(root).profiles
    for index, name in enumerate(names):
        if name not in known:
            raise UnknownNameError("profile", name, known)
        if name in names[:index]:
            raise UsageError(f'the profile "{name}" is given twice; name it once')


def list_profiles(root: Path) -> Mapping[str, str]:
    """Returns the first comment of every profile, by name, sorted by name."""
    return {
        name: next(_list_comments((root / path).read_text("utf-8-sig")), "")
        for name, path in find_catalog(root).profiles.items()
    }


def _list_comments(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("#") and (comment := line.lstrip("# ").strip()):
            yield comment


def list_owners(root: Path) -> tuple[str, ...]:
    """Returns the owners of the catalog's models, sorted. Files with errors are skipped."""
    documents = [load_document(root, path)[0] for path in find_catalog(root).models.values()]
    owners = {document.data.get("owner") for document in documents}
    return tuple(sorted(owner for owner in owners if isinstance(owner, str)))


def add_model(draft: Draft) -> tuple[str, ...]:
    """Writes the entry. Returns the names of all environments; it is valid in each of them.

    Errors: UsageError for a name or a profile that is not valid; InvalidEditError if a required
    setting is neither inherited nor given. Nothing is written then.
    """
    check_name(draft.root, draft.name)
    check_profiles(draft.root, draft.profiles)
    if draft.tag is not None:
        check_tag(draft.tag)
    environments = list_environments(draft.root)
    change = Change(draft.path, None, render_entry(draft).encode(), _build_data(draft))
    advice = _suggest_profiles(draft)
    with apply_valid_changes(draft.root, [change], {draft.name}, environments, advice=advice):
        return environments


def _build_data(draft: Draft) -> dict[str, Any]:
    data: dict[str, Any] = {} if draft.owner is None else {"owner": draft.owner}
    data["description"] = f"{draft.name} on {draft.profiles[0]}"
    data["profiles"] = list(draft.profiles)
    return data if draft.tag is None else {**data, "image": {"tag": draft.tag}}


def render_entry(draft: Draft) -> str:
    """Renders the text of the file. The settings that it inherits are comments."""
    inherited, lines = draft.inherited.data, []
    for key, value in _build_data(draft).items():
        comment, repository = "", get_at(inherited, ("image", "repository"), None)
        if key == "description":
            comment = "say in one sentence what it does"
        elif key == "image" and repository:
            comment = f"of {repository}, from {_list_files(draft, ('image', 'repository'))}"
        lines.append(_with_comment(f"{key}: {render_inline(value)}", comment))
    lines += ["", '# Inherited. To change a value, remove the "# " before it.']
    parent = ""
    for path in _SHOWN:
        if (value := _get_shown(inherited, path)) is None:
            continue
        if len(path) > 1 and path[0] != parent:
            lines.append(f"# {path[0]}:")
        parent = str(path[0])
        line = f"# {'  ' * (len(path) - 1)}{path[-1]}: {render_inline(value)}"
        comment = f"from {_list_files(draft, path)}{_list_other_defaults(draft, path)}"
        lines.append(_with_comment(line, comment))
    return "\n".join(lines) + "\n"


def _with_comment(line: str, comment: str) -> str:
    commented = f"{line.ljust(_COMMENT_COLUMN - 2)}  # {comment}"
    return commented if comment and len(commented) <= _WIDTH else line


def _list_files(draft: Draft, path: KeyPath) -> str:
    """Returns the files that set the values at or below a path, the last file first."""
    positions = [
        origins[-1]
        for at, origins in draft.inherited.origins.items()
        if at[: len(path)] == path and origins
    ]
    return ", ".join(dict.fromkeys(position.path for position in reversed(positions)))


def _list_other_defaults(draft: Draft, path: KeyPath) -> str:
    """Returns the values that the `defaults` of environments set instead: `; 3 in prod`.

    Profiles override `defaults`, so a value from a profile is the same in every environment.
    """
    if any(f"_profiles/{name}.yaml" in _list_files(draft, path) for name in draft.profiles):
        return ""
    text = ""
    for environment in list_environments(draft.root):
        home = find_environment(draft.root, environment).environment
        value = get_at(load_document(draft.root, home)[0].data, ("defaults", *path), None)
        if value not in (None, get_at(draft.inherited.data, path, None)):
            text += f"; {render_inline(value)} in {environment}"
    return text


def _get_shown(data: Any, path: KeyPath) -> Any:
    """Returns the value at `path` without secrets and interpolations; None if nothing is left."""
    value = get_at(data, path, None)
    if isinstance(value, dict):
        value = {
            key: item
            for key, item in value.items()
            if not is_secret_key((*path, key)) and "${" not in str(item)
        }
    return None if value in ({}, []) or "${" in str(value) else value


def _suggest_profiles(draft: Draft) -> str:
    """Returns one line for each needed setting that is missing, with profiles that set it."""
    names = find_catalog(draft.root).profiles
    data = {name: Draft(draft.root, draft.name, (name,)).inherited.data for name in names}
    lines = []
    for need, path in _NEEDED:
        if get_at(draft.inherited.data, path, None) is None:
            suitable = [name for name in names if get_at(data[name], path, None) is not None]
            example = ",".join((*draft.profiles, *suitable[:1]))
            lines.append(
                f"Profiles with {need}: {', '.join(suitable) or 'none'}; as in PROFILE={example}"
            )
    return "\n".join(lines)
