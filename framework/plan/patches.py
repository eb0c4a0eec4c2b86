"""The `patch` of a model, laid over its rendered manifests, and refused where it may not touch.

Kept apart from rendering, which knows settings alone, and from the merge itself, which knows no
model. A patch says what no setting says; what the framework itself computes with is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.redaction import REDACTED, is_secret
from framework.core.suggestions import did_you_mean
from framework.kinds import KINDS
from framework.kinds.kind import Manifest
from framework.kinds.naming import Track, track_name
from framework.layers import Merged
from framework.plan.manifest import ModelPlan
from framework.plan.patch_fields import find_field_diagnostics
from framework.plan.patch_limits import find_refused
from framework.plan.patch_results import find_losses
from framework.plan.strategic import (
    PatchDiagnostic,
    PatchError,
    Path,
    apply_patch,
    find_touched,
    get_key,
    list_fields,
)
from framework.settings.diagnostics.wording import dotted, show

_CANARY = "/canary"
_OF_A_TRACK = tuple(kind.name for kind in KINDS if kind.per_track)
_KINDS = {kind.name: kind.enabled_by for kind in KINDS}


@dataclass(frozen=True)
class _Patch:
    """One entry of `patch`, of one track's settings."""

    key: str
    content: Mapping[str, Any]
    merged: Merged
    model: CatalogModel

    @property
    def kind(self) -> str:
        return self.key.removesuffix(_CANARY)

    def diagnostics(self, problem: PatchDiagnostic) -> Iterator[Diagnostic]:
        """A diagnostic at the value below the entry, or at its key in every layer that says it; the
        sentence begins with the setting's name."""
        path: KeyPath = ("patch", self.key, *problem.at)
        between = "" if problem.message.startswith(":") else " "
        message = f"{dotted(path)}{between}{problem.message}"
        positions = self.merged.key_positions(path) if problem.at_key else ()
        if not positions:
            positions = (self.merged.origin(path) or Position(self.model.home, 1, 1),)
        for position in positions:
            diagnostic = position.diagnostic(Code.BAD_PATCH, message, self.model.name)
            yield replace(diagnostic, redacted=is_secret(*self._named(problem.at)))

    def show(self, at: Path, value: Any) -> str:
        """A value below the entry as a message may show it: REDACTED where it may be secret."""
        names, _ = self._named(at)
        if is_secret(names, value):
            return REDACTED
        return show(names, value, self.merged.spelling(("patch", self.key, *at)))

    def _named(self, at: Path) -> tuple[KeyPath, Any]:
        """A path with everything on it that tells what its value is, and the value: an item's
        own name, and the argument before it."""
        names: list[str | int] = []
        value: Any = self.content
        for step in at:
            if isinstance(step, int) and step and isinstance(value[step - 1], str):
                names.append(value[step - 1])
            value = value[step]
            names += [step, str(value["name"])] if get_key(value, "name") else [step]
        return tuple(names), value

    def key_diagnostic(self, message: str) -> Diagnostic:
        """A diagnostic at the entry's own name."""
        path: KeyPath = ("patch", self.key)
        positions = (*self.merged.key_positions(path), Position(self.model.home, 1, 1))
        return positions[0].diagnostic(Code.BAD_PATCH, message, self.model.name)


def patch_plan(plan: ModelPlan, model: CatalogModel) -> tuple[ModelPlan, list[Diagnostic]]:
    """The plan with every sound patch laid over it, and the diagnostics of the others."""
    if not model.settings.patch and not (model.candidate and model.candidate.patch):
        return plan, []
    diagnostics = [*_find_key_diagnostics(plan, model), *_find_waiting_diagnostics(plan, model)]
    manifests, patched = [], {}
    for manifest in plan.manifests:
        fields: set[str] = set()
        for patch in _patches_of(manifest, model):
            manifest, found, set_fields = _lay(patch, manifest, plan)
            diagnostics += found
            fields |= set_fields
        manifests.append(manifest)
        if fields:
            patched[f"{manifest.kind}/{manifest.name}"] = tuple(sorted(fields))
    laid = replace(plan, manifests=tuple(manifests), patched=patched)
    lost = [] if diagnostics else [*_find_lost_diagnostics(laid, model)]
    return (plan, lost) if lost else (laid, diagnostics)


def _find_lost_diagnostics(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    """What the patched objects ask and no longer have, where a patch says so."""
    service = plan.find("Service")
    for manifest in plan.manifests:
        if manifest.kind != "Deployment":
            continue
        patches = [*_patches_of(manifest, model), *(_patches_of(service, model) if service else ())]
        for loss in find_losses(manifest.object, service.object if service else None):
            touched = (
                (patch, at)
                for kind, path in loss.positions
                for patch in patches
                if patch.kind == kind and (at := find_touched(patch.content, path)) is not None
            )
            for patch, at in islice(touched, 1):
                yield from patch.diagnostics(PatchDiagnostic(at, f": {loss.message}"))


def _lay(
    patch: _Patch, manifest: Manifest, plan: ModelPlan
) -> tuple[Manifest, list[Diagnostic], set[str]]:
    """The manifest with one patch laid over it, or every diagnostic of the patch."""
    problems = _find_problems(patch, manifest.object, plan)
    try:
        patched = apply_patch(manifest.object, patch.content)
    except PatchError as error:
        told = {problem.at for problem in problems}
        problems += [problem for problem in error.diagnostics if problem.at not in told]
        patched = manifest.object
    if problems:
        return (
            manifest,
            [diagnostic for problem in problems for diagnostic in patch.diagnostics(problem)],
            set(),
        )
    return replace(manifest, object=patched), [], {*list_fields(patch.kind, patch.content)}


def _find_problems(
    patch: _Patch, manifest: Mapping[str, Any] | None, plan: ModelPlan
) -> list[PatchDiagnostic]:
    """What a patch may not touch, and what the API would refuse elsewhere; of one position the
    first."""
    scaled = plan.find("HorizontalPodAutoscaler") is not None
    refused = [*find_refused(patch.kind, patch.content, scaled=scaled)]
    problems = {problem.at: problem for problem in refused}
    for problem in find_field_diagnostics(patch.kind, patch.content, manifest, patch.show):
        if not any(_related(problem.at, other.at) for other in refused):
            problems.setdefault(problem.at, problem)
    return [*problems.values()]


def _related(one: Path, other: Path) -> bool:
    """True where one is in the other."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _patches_of(manifest: Manifest, model: CatalogModel) -> Iterator[_Patch]:
    """What is laid over one manifest, in order."""
    canary = _track_of(manifest, model) == "canary"
    for patch in _track_patches(model, "canary" if canary else "stable"):
        if patch.key == manifest.kind or (canary and patch.key == f"{manifest.kind}{_CANARY}"):
            yield patch


def _track_of(manifest: Manifest, model: CatalogModel) -> Track:
    """A ConfigMap's own name has a hash; its logical name begins with its track's."""
    canary = track_name(model.name, "canary")
    names = (canary, f"{canary}-config")
    ours = manifest.kind in _OF_A_TRACK and manifest.logical_name in names
    return "canary" if ours and model.candidate else "stable"


def _track_patches(model: CatalogModel, track: Track) -> list[_Patch]:
    """The patches a track's settings say; what is of both tracks comes first."""
    settings, merged = model.settings, model.merged
    if track == "canary" and model.candidate and model.candidate_merged:
        settings, merged = model.candidate, model.candidate_merged
    return [_Patch(key, content, merged, model) for key, content in sorted(settings.patch.items())]


def _find_key_diagnostics(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    kinds = {manifest.kind for manifest in plan.manifests}
    for patch in _track_patches(model, "stable"):
        if message := _refuse_key(patch, kinds):
            yield patch.key_diagnostic(message)
    if model.candidate is None:
        return
    for patch in _track_patches(model, "canary"):
        if patch.content == model.settings.patch.get(patch.key):
            continue
        if message := _refuse_key(patch, kinds):
            yield patch.key_diagnostic(message)
        elif patch.kind not in _OF_A_TRACK:
            yield patch.key_diagnostic(
                f"a {patch.kind} is of both tracks; patch it for the model, not for its candidate"
            )


def _find_waiting_diagnostics(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    """What is wrong in the patches of a canary that there is not; they are laid over nothing."""
    for patch in _track_patches(model, "stable") if model.candidate is None else ():
        if patch.key != patch.kind and patch.kind in _OF_A_TRACK:
            for problem in _find_problems(patch, None, plan):
                yield from patch.diagnostics(problem)


def _refuse_key(patch: _Patch, kinds: set[str]) -> str:
    """Why there is nothing that a patch of this name could be laid over; "" where there is."""
    if patch.kind not in _KINDS:
        kind, slash, _ = patch.key.partition("/")
        known = [f"{name}{_CANARY}" for name in _OF_A_TRACK] if slash else list(_KINDS)
        hint = did_you_mean(patch.key, known) or did_you_mean(kind, _KINDS)
        hint = hint or f"expected one of {', '.join(_KINDS)}"
        return f'"{patch.key}" is no kind of object that a model is made of; {hint}'
    if patch.key != patch.kind and patch.kind not in _OF_A_TRACK:
        return f'"{patch.key}": a {patch.kind} is of both tracks; expected {patch.kind}'
    if patch.kind not in kinds:
        return f'"{patch.key}": this model has no {patch.kind}; {_KINDS[patch.kind]}'
    return ""
