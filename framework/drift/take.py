"""Writes the live value of a finding into the catalog, so that the cluster is as planned again.

The setting behind a field is found by experiment, as `explain` does. Each candidate edit is applied
to a copy of the catalog, and the model is planned again: an edit is accepted only if the field then
has the live value, and nothing else changes. The order of the candidates:

1. the setting, at the line that defines it, if no other environment reads that line;
2. the setting, in the environment's file for the model;
3. the field itself, as an entry under `patch:` of that file; or the whole list without keys, if
   it has no interpolations.

take_candidates.py finds the setting and builds the patch, take_lists.py the edits of a list without
keys.

Only then are the files of the project edited, all or none. The cluster is never touched.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from framework.catalog import Catalog, CatalogModel, load_catalog
from framework.core.diagnostics import Diagnostic, KeyPath
from framework.core.errors import ConfigError, EditError, FrameworkError
from framework.core.field_paths import (
    FieldPath,
    find_list_without_keys,
    get_at,
    resolve,
)
from framework.core.redaction import REDACTED
from framework.core.stack import Stack
from framework.core.suggestions import list_names
from framework.drift.report import Finding, FindingKind
from framework.drift.take_candidates import (
    build_patch,
    build_patch_edits,
    build_setting_edits,
    find_settings_of_list,
    name_settings,
)
from framework.drift.take_lists import (
    ListChange,
    build_item_edits,
    build_list_change,
    build_whole_list,
    describe_loss,
    group_by_list,
)
from framework.edits.transaction import (
    apply_without_new_errors,
    find_new_errors,
    list_errors,
)
from framework.edits.yaml_edit import Change, Edit, build_change
from framework.engines.recorded import RELEASE
from framework.engines.urns import OBJECT_PREFIX
from framework.files import list_environments
from framework.files.document import load_document
from framework.kube.object_diff import compare_objects
from framework.layers.references import escape
from framework.plan.build import build_model

_FOLDERS = ("catalog", "environments")
# A file, the edits to try there, and the setting for the message.
Candidate = tuple[str, list[Edit], str]
# The manifests of a model by kind and name.
Objects = Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Taken:
    """A finding whose live value is in the catalog now. `setting` is the key that was written."""

    finding: Finding
    file: str
    setting: str


@dataclass(frozen=True)
class NotTaken:
    """A finding whose live value cannot be written, and the reason."""

    finding: Finding
    reason: str


@dataclass(frozen=True)
class TakeResult:
    """The findings that were taken and those that were not, and the changes of the files."""

    taken: tuple[Taken, ...]
    not_taken: tuple[NotTaken, ...]
    changes: tuple[Change, ...]


def take_findings(
    root: Path,
    stack: Stack,
    findings: Iterable[Finding],
    announce: Callable[[int, int, Finding], None] = lambda number, count, finding: None,
) -> TakeResult:
    """Writes the live values of findings into the files of the project, one after another.

    The findings about a list without keys are taken together, or not at all. `announce` is called
    before each try, because each takes seconds.
    Errors: ConfigError if the catalog has errors, EditError if a file cannot be edited,
    InvalidEditError if the result would have errors; then no file is changed.
    """
    taken: list[Taken] = []
    not_taken: list[NotTaken] = []
    with tempfile.TemporaryDirectory(prefix="modelcatalog-take-") as folder:
        copy = _Copy(Path(folder), root, stack)
        groups = group_by_list(findings)
        for number, group in enumerate(groups, 1):
            announce(number, len(groups), group[0])
            try:
                file, setting = copy.take(group)
                taken += (Taken(finding, file, setting) for finding in group)
            except FrameworkError as error:
                not_taken += (NotTaken(finding, str(error)) for finding in group)
        changes = copy.list_changes()
    names = {item.finding.model for item in taken}
    # An environment does not read the overlays of the others.
    reads_all = any(change.path.startswith("catalog/") for change in changes)
    apply_without_new_errors(
        root, changes, names, list_environments(root) if reads_all else [stack.environment]
    )
    return TakeResult(tuple(taken), tuple(not_taken), changes)


class _Planned(NamedTuple):
    """A model of one environment, and its manifests by kind and name."""

    catalog: Catalog
    model: CatalogModel
    objects: Objects


class _Copy:
    """A copy of the catalog in which edits are tried; accepted edits stay."""

    def __init__(self, folder: Path, root: Path, stack: Stack) -> None:
        self._root, self._stack = folder, stack
        for name in _FOLDERS:
            _copy_folder(root, name, folder)
        # The content of each edited file when the copy was made, None for a new file. If somebody
        # edits the file of the project meanwhile, nothing is written.
        self._originals: dict[str, bytes | None] = {}

    def list_changes(self) -> tuple[Change, ...]:
        """Returns the change of each file that an accepted edit touched."""
        changes = []
        for path, old in sorted(self._originals.items()):
            new = (self._root / path).read_bytes()
            changes.append(Change(path, old, new, load_document(self._root, path)[0].data))
        return tuple(changes)

    def take(self, findings: Sequence[Finding]) -> tuple[str, str]:
        """Tries the candidates in order for one finding, or for all findings of a list.

        Returns the file and the setting that were edited. Errors: EditError with the reason.
        """
        finding = findings[0]
        for part in findings:
            if reason := _find_obstacle(part):
                raise EditError((part.label, reason))
        before = self._plan(finding.model, self._stack)
        if before is None:
            reason = f"{finding.model} is not planned in {self._stack}, so no setting renders it"
            raise EditError((finding.label, reason))
        obj = before.objects.get(_identify(finding))
        if obj is None:
            reason = (
                "the files no longer have this object, and the next `up` removes it from the "
                "stack; to keep it, add it to the files again"
            )
            if finding.type == RELEASE or not finding.type.startswith(OBJECT_PREFIX):
                reason = (
                    "the files of the model do not render this object; edit your own program by "
                    "hand, put it back with `up`, or accept it"
                )
            raise EditError((finding.label, reason))
        path = find_list_without_keys(FieldPath.parse(finding.path))
        if path is None:
            # A text with `${` would be an interpolation.
            written = replace(finding, live=escape(finding.live))
            candidates = self._find_field_candidates(written, before.catalog, before.model)
            return self._try(before, finding, candidates)
        change = build_list_change(findings, obj)
        settings = find_settings_of_list(finding, change, before.catalog, before.model)
        loss = describe_loss(settings, before.model)
        candidates = self._find_list_candidates(finding, change, settings, before.model, loss)
        return self._try(before, finding, candidates, change, loss=loss)

    def _try(
        self,
        before: _Planned,
        finding: Finding,
        candidates: Iterable[Candidate],
        change: ListChange | None = None,
        *,
        loss: str = "",
    ) -> tuple[str, str]:
        """Applies the first candidate that renders the live value and changes nothing else."""
        refusals: list[tuple[object, str]] = []
        obstacles: list[tuple[object, str]] = []
        side_effects: dict[str, None] = {}
        known = list_errors(self._root, [finding.model], [self._stack.environment])
        for path, edits, setting in candidates:
            if change and obstacles and setting.startswith("patch."):
                # The user can remove the obstacle. A patch would set the list at a second place.
                break
            old = (self._root / path).read_bytes() if (self._root / path).exists() else None
            # Every environment reads this line, but only the manifests of this one may change.
            elsewhere: Mapping[str, Objects | None] = {}
            try:
                if path.startswith("catalog/"):
                    elsewhere = self._plan_elsewhere(finding.model)
                self._write(path, edits, finding.model)
                after = self._plan(finding.model, self._stack)
                taken = after and _has_taken(before.objects, after.objects, finding, change)
                others = self._plan_elsewhere(finding.model) if taken and elsewhere else {}
                changed = [name for name in others if others[name] != elsewhere[name]]
                if (
                    after
                    and change
                    and not taken
                    and _has_live_list(after.objects, finding, change)
                ):
                    changed = _list_others_changed(before, after, finding)
                if changed:
                    side_effects[f"`{setting}` in {path} also changes {list_names(changed)}"] = None
                elif taken:
                    errors = self._find_new_errors(finding.model, known)
                    if not errors:
                        self._originals.setdefault(path, old)
                        return path, setting
                    # The setting is found, and the checks of the catalog refuse the value.
                    refusals.append((f"{path} {setting}", errors))
            except EditError as error:
                # For example, a value that other places share through an anchor.
                obstacles += error.refusals
            except ConfigError:
                pass
            self._restore(path, old)
        if change is not None:
            refusals += [
                *obstacles,
                _describe_list_obstacle(finding, change, side_effects, loss),
            ]
        raise EditError(refusals[0] if refusals else _describe_no_setting(finding))

    def _plan(self, name: str, stack: Stack) -> _Planned | None:
        """Returns a model with its manifests; None if it does not run there. Errors: ConfigError"""
        catalog = load_catalog(self._root, stack, models=[name])
        for model in catalog.models:
            if model.name == name:
                manifests = build_model(model, catalog.environment).manifests
                objects = {(m.kind, m.name): m.object for m in manifests}
                return _Planned(catalog, model, objects)
        return None

    def _find_new_errors(self, name: str, known: Sequence[Diagnostic]) -> str:
        """Returns the errors of a model that are not `known`, "" for none."""
        found = list_errors(self._root, [name], [self._stack.environment])
        new = find_new_errors(known, found)
        return str(ConfigError(new)) if new else ""

    def _plan_elsewhere(self, name: str) -> dict[str, Objects | None]:
        """Returns the manifests of a model in every other environment, None where it does not run.

        Errors: ConfigError if an environment has errors: then it is unknown what an edit of
        catalog/ would change there.
        """
        others = [e for e in list_environments(self._root) if e != self._stack.environment]
        plans = {other: self._plan(name, Stack.of(other)) for other in others}
        return {other: plan.objects if plan else None for other, plan in plans.items()}

    def _find_field_candidates(
        self, finding: Finding, catalog: Catalog, model: CatalogModel
    ) -> Iterator[Candidate]:
        overlay = self._overlay(finding)
        for file, edits in build_setting_edits(finding, catalog, model):
            # A line of a profile or of environment.yaml applies to other models as well.
            if file in (overlay, f"catalog/{finding.model}.yaml"):
                yield file, edits, name_settings(edits)
            yield overlay, edits, name_settings(edits)
        yield from self._find_patch_candidates(finding)

    def _find_patch_candidates(self, finding: Finding) -> Iterator[Candidate]:
        overlay, patch = self._overlay(finding), build_patch(finding)
        if patch is not None:
            track = "canary" if finding.object.endswith("-canary") else "stable"
            kind = finding.object_kind
            entry = f"{kind}/{track}" if kind == "Deployment" else kind
            path: KeyPath = ("patch", entry)
            held = get_at(self._read(overlay), path, None)
            edits = [*build_patch_edits(path, held, patch)] if held else [Edit(path, patch)]
            yield overlay, edits, f"patch.{entry}"

    def _find_list_candidates(
        self,
        finding: Finding,
        change: ListChange,
        settings: Sequence[KeyPath],
        model: CatalogModel,
        loss: str,
    ) -> Iterator[Candidate]:
        """Yields the edits of a list without keys: of its items, where a file has the list, then a
        patch of the whole list, if that has no `loss` (`describe_loss`)."""
        overlay, own = self._overlay(finding), f"catalog/{finding.model}.yaml"
        for path in settings:
            for file in (overlay, own):
                edits = build_item_edits(change, path, get_at(self._read(file), path, None))
                if edits:
                    yield file, edits, str(FieldPath(path))
            if path[0] == "patch" or get_at(self._read(overlay), path, None) is not None:
                # A whole list in its place would lose what the overlay has there. In a patch, it
                # would need the items above it as well: `_find_patch_candidates` writes them.
                continue
            if change.adds_at_end:
                added = escape(change.new[len(change.old) :])
                yield overlay, [Edit(path, {"append": added})], str(FieldPath(path))
            new_list = build_whole_list(change, path, model)
            if new_list is not None:
                yield overlay, [Edit(path, new_list)], str(FieldPath(path))
        if not loss:
            # A setting may also change the canary, and a patch changes only one Deployment.
            live_list = replace(finding, path=str(change.path), live=escape(change.new))
            yield from self._find_patch_candidates(live_list)

    def _overlay(self, finding: Finding) -> str:
        return f"environments/{self._stack.environment}/models/{finding.model}.yaml"

    def _read(self, path: str) -> Any:
        """Returns the data of a YAML file of the copy, {} if it does not exist."""
        exists = (self._root / path).is_file()
        return load_document(self._root, path)[0].data if exists else {}

    def _write(self, path: str, edits: Sequence[Edit], model: str) -> None:
        opening = f"# Settings of {model} in {self._stack} only, laid over catalog/{model}.yaml.\n"
        change = build_change(self._root, path, edits, opening=opening)
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(change.new)

    def _restore(self, path: str, old: bytes | None) -> None:
        if old is None:
            (self._root / path).unlink(missing_ok=True)
        else:
            (self._root / path).write_bytes(old)


def _copy_folder(root: Path, name: str, folder: Path) -> None:
    """Copies the files that are not hidden. Errors: EditError if one cannot be read.

    Editors hide their locks, such as `.#chat.yaml` of Emacs, which is a link to no file.
    """

    def locate(source: str) -> str:
        return Path(source).relative_to(root).as_posix()

    def copy(source: str, target: str) -> None:
        if not Path(source).exists():
            # A link to no file is an error of the catalog, which the copy keeps.
            Path(target).symlink_to(target)
            return
        try:
            # Without the mode: the file may be read-only.
            shutil.copyfile(source, target)
        except OSError as exc:
            why = exc.strerror or str(exc)
            raise EditError((locate(source), f"cannot be read: {why}; allow reading it")) from exc

    try:
        shutil.copytree(
            root / name,
            folder / name,
            ignore=lambda _, names: [name for name in names if name.startswith(".")],
            copy_function=copy,
        )
    except shutil.Error as exc:
        refusals = [(locate(source), f"cannot be read: {why}") for source, _, why in exc.args[0]]
        raise EditError(*refusals) from exc
    except OSError as exc:
        raise EditError((name, f"cannot be read: {exc.strerror or exc}")) from exc


def _find_obstacle(finding: Finding) -> str:
    """Returns why the live value cannot be written whatever the settings are; "" if it may."""
    if finding.is_changed_pod:
        return "is a single Pod, which no setting describes; delete it, or accept it"
    if finding.kind is FindingKind.FOREIGN:
        return "no stack owns it; `make import` turns an object into settings, or accept it"
    if not finding.path:
        remedy = (
            "take it over with `adopt`" if finding.belongs_to_others else "put it back with `up`"
        )
        return f"is {finding.kind}, so there is no value to take; {remedy}, or disable the model"
    if not finding.model:
        return (
            "belongs to no model; edit environment.yaml or your own program by hand, or put it "
            "back with `up`"
        )
    if REDACTED in repr(finding.live) or REDACTED in repr(finding.desired):
        return "the live value is secret, so it is not written to a file; refer to a Secret"
    if finding.object_kind == "ConfigMap":
        return (
            "the name of a ConfigMap changes with its content, so the live object would stay "
            "different; edit `config` in the catalog by hand"
        )
    return ""


def _identify(finding: Finding) -> tuple[str, str]:
    return finding.object_kind, finding.object.rpartition("/")[2]


def _describe_no_setting(finding: Finding) -> tuple[str, str]:
    is_read = "${" in json.dumps(finding.live, default=str)
    how = " (a literal `${` is written as `\\${` there)" if is_read else ""
    return (
        f"{finding.label} {finding.path}",
        "no setting and no patch renders exactly the live value; edit the catalog by hand"
        f"{how}, put it back with `up`, or accept it",
    )


def _describe_list_obstacle(
    finding: Finding, change: ListChange, side_effects: Iterable[str], loss: str
) -> tuple[str, str]:
    reason = "no setting and no patch renders exactly the live list"
    if loss:
        reason = "the items that differ cannot be edited alone"
        loss = f", and a whole new list would {loss}"
    detail = "; ".join(side_effects)
    return (
        f"{finding.label} {change.path}",
        f"{reason}{f' ({detail})' if detail else ''}{loss}; edit the catalog by hand, put the "
        "list back with `up`, or accept it",
    )


def _list_others_changed(before: _Planned, after: _Planned, finding: Finding) -> list[str]:
    """Returns the other objects of the model that an edit changes."""
    return [
        " ".join(identity)
        for identity in sorted(before.objects.keys() | after.objects.keys())
        if identity != _identify(finding)
        and before.objects.get(identity) != after.objects.get(identity)
    ]


def _has_taken(
    before: Objects, after: Objects, finding: Finding, change: ListChange | None
) -> bool:
    """Returns True if the field has the live value now, and no other field changed."""
    if before.keys() != after.keys():
        return False
    own = _identify(finding)
    changed: dict[FieldPath, Any] = {}
    for identity, old in before.items():
        for field in compare_objects(old, after[identity]):
            if identity != own:
                return False
            changed |= _flatten(FieldPath.parse(field.path), field.new)
    if change is not None:
        return _has_live_list(after, finding, change) and all(
            path.is_within(change.path) for path in changed
        )
    return changed == _flatten(FieldPath.parse(finding.path), finding.live)


def _has_live_list(objects: Objects, finding: Finding, change: ListChange) -> bool:
    obj = objects.get(_identify(finding), {})
    steps = resolve(obj, change.path)
    return (get_at(obj, steps) if steps is not None else []) == change.new


def _flatten(path: FieldPath, value: Any) -> dict[FieldPath, Any]:
    """Returns the single values at or below a path: a new mapping is reported as one change."""
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    leaves: dict[FieldPath, Any] = {}
    for key, child in value.items():
        leaves |= _flatten(path.child(key), child)
    return leaves
