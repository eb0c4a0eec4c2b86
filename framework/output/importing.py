"""Renders the result of `import`: the entries, the comparison, and the objects left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from framework.core.field_paths import MISSING
from framework.core.suggestions import list_names
from framework.edits.importing.comparison import Difference
from framework.edits.importing.importer import Imported, Overlay, render_redacted
from framework.edits.importing.manifests import Source
from framework.edits.importing.proof import Proof
from framework.output.text import render_count, render_table, render_wrapped
from framework.output.values import render_apart

# The result of a dry run: the fields that the server would store differently, and the errors of the
# objects that it refuses.
DryRun = tuple[Sequence[Difference], Sequence[str]]
DryRuns = Mapping[str, DryRun]
# For more models than this, the texts of the files are not shown.
_MAX_SHOWN = 3
_MAX_DIFFERENCES = 20


def render_import(
    models: Sequence[Imported],
    leftovers: Mapping[Source, str],
    dry_runs: DryRuns,
) -> str:
    """Renders the result for all models, with the dry run of each by its name."""
    show_text = len(models) <= _MAX_SHOWN
    blocks = [_render_model(model, dry_runs.get(model.name), show_text) for model in models]
    if leftovers:
        rows = [[str(s), str(s.position), reason] for s, reason in leftovers.items()]
        blocks.append("not imported\n" + render_table(rows, indent="  "))
    return "\n\n".join(blocks)


def render_errors(models: Iterable[Imported]) -> str:
    """Renders the errors of models that cannot be imported."""
    return "\n".join(error for model in models for error in model.errors)


def _render_model(
    model: Imported,
    dry_run: DryRun | None,
    show_text: bool,
) -> str:
    proof = model.proof
    lines = [f"{model.path}  from {model.workload.deployment.position}"]
    if show_text:
        text = render_redacted(model)
        lines += ["", *(f"    {line}".rstrip() for line in text.splitlines()), ""]
    if model.profiles:
        saved = model.lines_without_profiles - model.lines
        names = ", ".join(model.profiles)
        effect = f": {render_count(saved, 'fewer value')} to write" if saved > 0 else ""
        lines.append(_row("profiles", f"{names}{effect}"))
    covered = f"{proof.by_setting} by settings, {proof.by_patch} by patch"
    left = f", {proof.impossible} not expressed" if proof.impossible else ""
    lines.append(_row("fields", f"{proof.fields} of the manifests: {covered}{left}"))
    if model.translation.renamed:
        lines.append(_row("renamed", "; ".join(model.translation.renamed)))
    if proof.objects:
        lines.append(_row("added", list_names(proof.objects)))
    if model.translation.kept:
        kept = [f"{source}: {reason}" for source, reason in model.translation.kept.items()]
        lines.append(_row("objects", "; ".join(kept)))
    lines += _render_proof(proof)
    if model.secrets:
        names = list_names(model.secrets)
        lines.append(
            _row("secrets", f"the value of {names} is in the file; write secret: and key: instead")
        )
    for overlay in model.overlays:
        lines += _render_overlay(overlay)
    if dry_run is not None:
        differences, refused = dry_run
        result = "no difference" if not differences and not refused else "see below"
        lines.append(_row("dry run", f"both sides sent to the local cluster: {result}"))
        lines += [_row("refused", text) for text in refused]
        lines += _render_differences("differs", differences)
    return "\n".join(lines)


def _render_overlay(overlay: Overlay) -> list[str]:
    proof = overlay.proof
    text = overlay.path if overlay.text else "as in the catalog"
    covered = f"{proof.by_setting} fields by settings, {proof.by_patch} by patch"
    return [_row(overlay.environment, f"{text}   {covered}"), *_render_proof(proof)]


def _render_proof(proof: Proof) -> list[str]:
    """Renders the fields that differ, and the objects and settings that are left out."""
    # An object that is left out has a line with the reason, and needs no other.
    kinds = {source.kind for source in proof.left_out}
    remaining = [d for d in proof.remaining if not (d.fields and d.kind in kinds)]
    lines = [
        *_render_differences("differs", remaining),
        *_render_differences("added", proof.added),
    ]
    for source, reason in proof.left_out.items():
        lines.append(_row("left out", f"{source} ({source.position}): {reason}"))
    # A refused setting is missing in the entry. If a patch has not replaced it, the field is among
    # the differences too.
    return lines + [_row("refused", f"{path}: {reason}") for path, reason in proof.refused.items()]


def _row(label: str, text: str) -> str:
    return render_wrapped(text, first=f"  {label:<9}", then=" " * 11)


def _render_differences(label: str, differences: Iterable[Difference]) -> list[str]:
    found = list(differences)
    lines = []
    for difference in found[:_MAX_DIFFERENCES]:
        sides = [difference.wanted, difference.rendered]
        values = [None if value is MISSING else value for value in sides]
        is_image = difference.field.endswith(".image")
        old, new = render_apart(values, missing="(none)", is_image=is_image)
        text = f"{difference.field}: {old} -> {new}"
        if difference.fields:
            count = render_count(difference.fields, "field")
            text = f"{difference.kind} {difference.wanted} is not rendered ({count})"
        lines.append(_row(label, f"{text}   {difference.reason}".rstrip()))
    if len(found) > _MAX_DIFFERENCES:
        lines.append(_row(label, f"... and {len(found) - _MAX_DIFFERENCES} more fields"))
    return lines
