"""Builds the JSON document of `import`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from framework.core.diagnostics import DiagnosticGroup
from framework.core.field_paths import MISSING
from framework.edits.importing.comparison import Difference
from framework.edits.importing.importer import Imported
from framework.edits.importing.manifests import Source
from framework.edits.importing.proof import Proof
from framework.output.import_documents import (
    ImportDocument,
    ImportDryRun,
    ImportedField,
    ImportedModel,
    ImportedObject,
    ImportedOverlay,
    ImportProof,
)
from framework.output.importing import DryRun, DryRuns
from framework.output.json import build_diagnostics


def build_import_document(
    result: Sequence[Imported],
    leftovers: Mapping[Source, str],
    dry_runs: DryRuns,
    proposed: str | None,
    written: Sequence[str],
    groups: Iterable[DiagnosticGroup],
) -> ImportDocument:
    """Returns the JSON document of `import`."""
    return ImportDocument(
        models=tuple(_build_model(model, dry_runs.get(model.name)) for model in result),
        not_imported=_build_objects(leftovers),
        proposed_profile=proposed,
        written=tuple(written),
        diagnostics=build_diagnostics(groups),
    )


def _build_model(model: Imported, dry_run: DryRun | None) -> ImportedModel:
    translation = model.translation
    compared = None
    if dry_run is not None:
        differences, refused = dry_run
        compared = ImportDryRun(_build_fields(differences), tuple(refused))
    return ImportedModel(
        model=model.name,
        file=model.path,
        position=str(model.workload.deployment.position),
        profiles=model.profiles,
        renamed=tuple(translation.renamed),
        secrets=model.secrets,
        proof=_build_proof(model.proof, translation.kept),
        overlays=tuple(
            ImportedOverlay(
                overlay.environment,
                overlay.path if overlay.text else None,
                _build_proof(overlay.proof, {}),
            )
            for overlay in model.overlays
        ),
        dry_run=compared,
    )


def _build_proof(proof: Proof, kept: Mapping[Source, str]) -> ImportProof:
    return ImportProof(
        by_setting=proof.by_setting,
        by_patch=proof.by_patch,
        not_expressed=proof.impossible,
        differences=_build_fields(proof.remaining),
        added_fields=_build_fields(proof.added),
        added_objects=tuple(proof.objects),
        objects=_build_objects(kept),
        left_out=_build_objects(proof.left_out),
        refused=dict(proof.refused),
    )


def _build_fields(differences: Iterable[Difference]) -> tuple[ImportedField, ...]:
    return tuple(
        ImportedField(
            kind=difference.kind,
            path=str(difference.path),
            manifest=None if difference.wanted is MISSING else difference.wanted,
            rendered=None if difference.rendered is MISSING else difference.rendered,
            fields=difference.size,
            reason=difference.reason or None,
        )
        for difference in differences
    )


def _build_objects(reasons: Mapping[Source, str]) -> tuple[ImportedObject, ...]:
    return tuple(ImportedObject(str(s), str(s.position), reason) for s, reason in reasons.items())
