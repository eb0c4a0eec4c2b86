"""Renders the result of `import`: the entries, the comparison, and the objects left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from framework.core.diagnostics import DiagnosticGroup
from framework.core.field_paths import MISSING
from framework.core.redaction import find_secret_texts, redact_text
from framework.core.suggestions import list_names
from framework.edits.importing.comparison import Difference
from framework.edits.importing.importer import Imported, Overlay
from framework.edits.importing.manifests import Source
from framework.edits.importing.proof import Proof
from framework.output.text import render_count, render_table, render_value, render_wrapped

if TYPE_CHECKING:
    from framework.output.json import (
        ImportDocument,
        ImportedField,
        ImportedModel,
        ImportedObject,
        ImportProof,
    )

# The fields that differ on the server, and the errors of the objects that it refuses.
ServerResult = tuple[Sequence[Difference], Sequence[str]]
OnServer = Mapping[str, ServerResult]
# For more models than this, the texts of the files are not shown.
_MOST_SHOWN = 3
_MOST_DIFFERENCES = 20


def render_import(
    models: Sequence[Imported],
    leftovers: Mapping[Source, str],
    on_server: OnServer,
) -> str:
    """Renders the result for all models. `on_server` has the result of the dry runs, by model."""
    show_text = len(models) <= _MOST_SHOWN
    blocks = [_render_model(model, on_server.get(model.name), show_text) for model in models]
    if leftovers:
        rows = [[str(s), str(s.position), reason] for s, reason in leftovers.items()]
        blocks.append("not imported\n" + render_table(rows, indent="  "))
    return "\n\n".join(blocks)


def _render_model(
    model: Imported,
    on_server: ServerResult | None,
    show_text: bool,
) -> str:
    proof = model.proof
    lines = [f"{model.path}  from {model.workload.deployment.position}"]
    if show_text:
        secrets = find_secret_texts([model.entry, *model.translation.objects])
        text = redact_text(model.text, secrets)
        lines += ["", *(f"    {line}".rstrip() for line in text.splitlines()), ""]
    if model.profiles:
        saved = model.lines_without_profiles - model.lines
        names = ", ".join(model.profiles)
        effect = f": {render_count(saved, 'value')} less to write" if saved > 0 else ""
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
    left_out = model.translation.unexpressed
    lines += _render_remaining(proof, left_out)
    lines += _render_differences("added", proof.added, {})
    lines += _render_left_out(left_out, model.refused)
    if model.secrets:
        names = list_names(model.secrets)
        lines.append(
            _row("secrets", f"the value of {names} is in the file; write secret: and key: instead")
        )
    for overlay in model.overlays:
        lines += _render_overlay(overlay)
    if on_server is not None:
        differences, refused = on_server
        result = "no difference" if not differences and not refused else "see below"
        lines.append(_row("dry run", f"both sides sent to the local cluster: {result}"))
        lines += [_row("refused", text) for text in refused]
        lines += _render_differences("differs", differences, {})
    return "\n".join(lines)


def _render_overlay(overlay: Overlay) -> list[str]:
    proof = overlay.proof
    text = overlay.path if overlay.text else "as in the catalog"
    covered = f"{proof.by_setting} fields by settings, {proof.by_patch} by patch"
    lines = [_row(overlay.environment, f"{text}   {covered}")]
    lines += _render_remaining(proof, overlay.unexpressed)
    lines += _render_differences("added", proof.added, {})
    return lines + _render_left_out(overlay.unexpressed, overlay.refused)


def _render_remaining(proof: Proof, left_out: Mapping[Source, str]) -> list[str]:
    """Renders the fields that neither a setting nor a patch covers.

    An object that is left out has a line with the reason, and needs no other.
    """
    kinds = {source.kind for source in left_out}
    found = [d for d in proof.remaining if not (d.fields and d.kind in kinds)]
    return _render_differences("differs", found, proof.reasons)


def _render_left_out(unexpressed: Mapping[Source, str], refused: Mapping[str, str]) -> list[str]:
    """Renders the objects that are left out, and the settings that validation refuses."""
    lines = [
        _row("left out", f"{source} ({source.position}): {reason}")
        for source, reason in unexpressed.items()
    ]
    # A refused setting is missing in the entry. If a patch has not replaced it, the field is among
    # the differences too.
    return lines + [_row("refused", f"{path}: {reason}") for path, reason in refused.items()]


def _row(label: str, text: str) -> str:
    return render_wrapped(text, first=f"  {label:<9}", then=" " * 11)


def _render_differences(
    label: str, differences: Iterable[Difference], reasons: Mapping[str, str]
) -> list[str]:
    found = list(differences)
    lines = []
    for difference in found[:_MOST_DIFFERENCES]:
        text = f"{difference.field}: {_show(difference.wanted)} -> {_show(difference.rendered)}"
        if difference.fields:
            count = render_count(difference.fields, "field")
            text = f"{difference.kind} {difference.wanted} is not rendered ({count})"
        reason = _find_reason(difference, reasons)
        lines.append(_row(label, f"{text}   {reason}".rstrip()))
    if len(found) > _MOST_DIFFERENCES:
        lines.append(_row(label, f"... and {len(found) - _MOST_DIFFERENCES} more fields"))
    return lines


def _find_reason(difference: Difference, reasons: Mapping[str, str]) -> str:
    return next((r for field, r in reasons.items() if _is_near(field, difference.field)), "")


def _is_near(field: str, other: str) -> bool:
    """Returns True if `field` is `other` or a parent of it."""
    return other == field or other.startswith((f"{field}.", f"{field}["))


def _show(value: object) -> str:
    return "(none)" if value is MISSING else render_value(value)


def build_import_document(
    result: Sequence[Imported],
    leftovers: Mapping[Source, str],
    on_server: OnServer,
    proposed: str | None,
    written: Sequence[str],
    groups: Iterable[DiagnosticGroup],
) -> ImportDocument:
    """Returns the JSON document of `import`."""
    from framework.output.json import ImportDocument, build_diagnostics

    return ImportDocument(
        models=tuple(_build_model(model, on_server.get(model.name)) for model in result),
        not_imported=_build_objects(leftovers),
        proposed_profile=proposed,
        written=tuple(written),
        diagnostics=build_diagnostics(groups),
    )


def _build_model(model: Imported, on_server: ServerResult | None) -> ImportedModel:
    from framework.output.json import ImportDryRun, ImportedModel, ImportedOverlay

    translation = model.translation
    dry_run = None
    if on_server is not None:
        dry_run = ImportDryRun(_build_fields(on_server[0], {}), tuple(on_server[1]))
    return ImportedModel(
        model=model.name,
        file=model.path,
        position=str(model.workload.deployment.position),
        profiles=model.profiles,
        renamed=tuple(translation.renamed),
        secrets=model.secrets,
        proof=_build_proof(model.proof, translation.kept, translation.unexpressed, model.refused),
        overlays=tuple(
            ImportedOverlay(
                overlay.environment,
                overlay.path if overlay.text else None,
                _build_proof(overlay.proof, {}, overlay.unexpressed, overlay.refused),
            )
            for overlay in model.overlays
        ),
        dry_run=dry_run,
    )


def _build_proof(
    proof: Proof,
    kept: Mapping[Source, str],
    left_out: Mapping[Source, str],
    refused: Mapping[str, str],
) -> ImportProof:
    from framework.output.json import ImportProof

    return ImportProof(
        by_setting=proof.by_setting,
        by_patch=proof.by_patch,
        not_expressed=proof.impossible,
        differences=_build_fields(proof.remaining, proof.reasons),
        added_fields=_build_fields(proof.added, {}),
        added_objects=tuple(proof.objects),
        objects=_build_objects(kept),
        left_out=_build_objects(left_out),
        refused=dict(refused),
    )


def _build_fields(
    differences: Iterable[Difference], reasons: Mapping[str, str]
) -> tuple[ImportedField, ...]:
    from framework.output.json import ImportedField

    return tuple(
        ImportedField(
            kind=difference.kind,
            path=str(difference.path),
            manifest=None if difference.wanted is MISSING else difference.wanted,
            rendered=None if difference.rendered is MISSING else difference.rendered,
            fields=difference.size,
            reason=_find_reason(difference, reasons) or None,
        )
        for difference in differences
    )


def _build_objects(reasons: Mapping[Source, str]) -> tuple[ImportedObject, ...]:
    from framework.output.json import ImportedObject

    return tuple(ImportedObject(str(s), str(s.position), reason) for s, reason in reasons.items())


def render_errors(models: Iterable[Imported]) -> str:
    """Renders the errors of models that cannot be imported."""
    return "\n".join(error for model in models for error in model.errors)
