"""Applies the `patch` of a model to its manifests, and refuses what a patch must not change.

A patch sets fields that no setting covers. It must not change fields that the checks compute with,
such as `spec.replicas`: then the checks of the rolling-update budget would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath, SettingDiagnostic
from framework.core.env_references import order_variables
from framework.core.field_paths import FieldPath, get_at, name_path, paths_overlap
from framework.core.redaction import REDACTED, is_secret
from framework.kinds.kind import PROTECTED_EVERYWHERE, Manifest
from framework.kinds.registry import find_kind
from framework.plan.manifest import ModelPlan
from framework.plan.patch.dangling_references import find_dangling_references
from framework.plan.patch.entries import (
    Patch,
    find_key_diagnostics,
    list_patches,
    list_track_patches,
    name_items,
)
from framework.plan.patch.field_checks import find_field_diagnostics
from framework.plan.patch.field_types import FieldType
from framework.plan.patch.merge import PatchError, apply_patch, find_touched, list_fields
from framework.plan.patch.rules import find_broken_rules
from framework.settings.messages import show


def patch_plan(plan: ModelPlan, model: CatalogModel) -> tuple[ModelPlan, list[Diagnostic]]:
    """Returns the plan with all valid patches applied, and the diagnostics of the others."""
    if not model.settings.patch and not (model.candidate and model.candidate.patch):
        return plan, []
    diagnostics = [*find_key_diagnostics(plan, model), *_find_unused_diagnostics(plan, model)]
    manifests, patched_fields = [], {}
    for manifest in plan.manifests:
        fields: set[str] = set()
        for patch in list_patches(manifest, plan, model):
            problems, patched = _apply(patch, manifest, plan)
            diagnostics += [d for problem in problems for d in patch.diagnostics(problem)]
            if not problems:
                manifest = patched
                fields |= {*list_fields(patch.kind, patch.content)}
        manifests.append(manifest)
        if fields:
            patched_fields[f"{manifest.kind}/{manifest.name}"] = tuple(sorted(fields))
    patched_plan = replace(plan, manifests=tuple(manifests), patched=patched_fields)
    # References are checked only after valid patches: a patch that was refused leaves old names.
    dangling = [] if diagnostics else [*find_dangling_references(patched_plan, model)]
    return (plan, dangling) if dangling else (patched_plan, diagnostics)


def _apply(
    patch: Patch, manifest: Manifest, plan: ModelPlan
) -> tuple[list[SettingDiagnostic], Manifest]:
    """Returns everything that is wrong with a patch, and the manifest with the patch applied."""
    problems = _find_problems(patch, manifest.object, plan)
    try:
        patched = apply_patch(manifest.object, patch.content)
    except PatchError as error:
        paths = {problem.path for problem in problems}
        return [*problems, *(p for p in error.diagnostics if p.path not in paths)], manifest
    # A rule compares values, so it needs values of the right type.
    problems = problems or [*_find_broken_rules(patch, manifest.object, patched)]
    return problems, replace(manifest, object=_order_variables(patched))


def _find_broken_rules(
    patch: Patch, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[SettingDiagnostic]:
    """Yields the rules of the API server that the patched object breaks, at the patched value."""
    type_ = FieldType(patch.kind)
    # A rule that the unpatched object breaks is reported as an error of the settings already.
    kept = {problem.path for problem in find_broken_rules(before, type_, show)}

    def show_after(at: KeyPath, value: Any) -> str:
        # The patch may not have the value: another one has become wrong beside it.
        path, _ = name_items(after, at)
        return REDACTED if is_secret(path, value) else show(path, value)

    for problem in find_broken_rules(after, type_, show_after):
        if problem.path in kept:
            continue
        paths = [name_path(path, before, after).steps for path in (problem.path, *problem.others)]
        # A rule is about a whole mapping, and the patch may set only a part of it, or the reverse.
        paths += [paths[0][:end] for end in range(len(paths[0]) - 1, -1, -1)]
        touched, steps = next(
            (touched, steps)
            for steps in paths
            if (touched := find_touched(patch.content, FieldPath(steps))) is not None
        )
        # The rest of the path to the value, or the whole one where the patch set another value.
        rest = paths[0][len(steps) :] if steps == paths[0][: len(steps)] else paths[0]
        message = f": {FieldPath(rest)} {problem.message}" if rest else problem.message
        yield problem._replace(path=touched, message=message, at_key=False)


def _order_variables(obj: dict[str, Any]) -> dict[str, Any]:
    """Returns a Deployment in which no variable comes before one that it refers to.

    A patch adds a variable at the end of the list, where the ones before it cannot use it.
    """
    pod = get_at(obj, ("spec", "template", "spec"))
    for kind in ("containers", "initContainers"):
        containers = pod.get(kind) if isinstance(pod, dict) else None
        for container in containers if isinstance(containers, list) else ():
            if isinstance(container, dict) and isinstance(container.get("env"), list):
                container["env"] = order_variables(container["env"])
    return obj


def _find_problems(
    patch: Patch, manifest: Mapping[str, Any] | None, plan: ModelPlan
) -> list[SettingDiagnostic]:
    """Returns the errors of a patch, at most one for each path.

    These are the protected fields that it sets, and, outside of these, what the API would refuse.
    """
    protected = [*_find_protected(patch, autoscaled=any(track.autoscaled for track in plan.tracks))]
    problems = {problem.path: problem for problem in protected}
    for problem in find_field_diagnostics(patch.kind, patch.content, manifest, patch.show):
        if not any(paths_overlap(problem.path, other.path) for other in protected):
            problems.setdefault(problem.path, problem)
    return [*problems.values()]


def _find_protected(patch: Patch, *, autoscaled: bool) -> Iterator[SettingDiagnostic]:
    kind = find_kind(patch.kind)
    fields = {**PROTECTED_EVERYWHERE, **(kind.protected if kind else {})}
    reported: set[KeyPath] = set()
    for field, reason in fields.items():
        touched = find_touched(patch.content, FieldPath.parse(field))
        if touched is None or touched in reported:
            continue
        reported.add(touched)
        if autoscaled and field == "spec.replicas":
            reason = "the autoscaler sets it; set autoscaling.minReplicas"
        yield SettingDiagnostic(touched, f"cannot be patched: {reason}", Code.BAD_PATCH)


def _find_unused_diagnostics(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    """Yields the errors of canary patches in a model that has no candidate at the moment."""
    for patch in list_track_patches(model, "stable") if model.candidate is None else ():
        if patch.part == "canary" and patch.per_track:
            for problem in _find_problems(patch, None, plan):
                yield from patch.diagnostics(problem)
