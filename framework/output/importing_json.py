"""The JSON of `import`: its types, and how it is built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import with_config

from framework.core.diagnostics import DiagnosticGroup
from framework.core.field_paths import MISSING
from framework.edits.importing.comparison import Difference
from framework.edits.importing.importer import Imported
from framework.edits.importing.manifests import Source
from framework.edits.importing.proof import Proof
from framework.output.catalog_documents import CONFIG, DiagnosticItem
from framework.output.importing import DryRun, DryRuns
from framework.output.json import build_diagnostics


@dataclass(frozen=True)
class ImportedField:
    """A field in which the rendered objects differ from the manifests.

    A side that lacks it is null. Without a path, the whole object is not rendered.
    """

    kind: str
    path: str
    manifest: Any
    rendered: Any
    fields: int
    reason: str | None


@dataclass(frozen=True)
class ImportedObject:
    """An object of the manifests that no setting describes, and the reason."""

    object: str
    position: str
    reason: str


@dataclass(frozen=True)
class ImportProof:
    """The comparison of the manifests with the rendered objects, in single fields.

    `objects` are kept as they are, in the setting of this name; `refused` are settings.
    """

    by_setting: int
    by_patch: int
    not_expressed: int
    differences: tuple[ImportedField, ...]
    added_fields: tuple[ImportedField, ...]
    added_objects: tuple[str, ...]
    objects: tuple[ImportedObject, ...]
    left_out: tuple[ImportedObject, ...]
    refused: dict[str, str]


@dataclass(frozen=True)
class ImportedOverlay:
    """The file of a model in one environment; null where nothing differs."""

    environment: str
    file: str | None
    proof: ImportProof


@dataclass(frozen=True)
class ImportDryRun:
    """The fields that the local cluster would store differently, and the refusals of objects."""

    differences: tuple[ImportedField, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class ImportedModel:
    """One model. `secrets` are variables with a plain value; `dry_run` needs a cluster."""

    model: str
    file: str
    position: str
    profiles: tuple[str, ...]
    renamed: tuple[str, ...]
    secrets: tuple[str, ...]
    proof: ImportProof
    overlays: tuple[ImportedOverlay, ...]
    dry_run: ImportDryRun | None


@with_config(CONFIG)
@dataclass(frozen=True)
class ImportDocument:
    """The models made from manifests, the files written, and the errors that these have.

    `proposed_profile` could hold the settings that the models share; YES=1 writes it.
    """

    models: tuple[ImportedModel, ...]
    not_imported: tuple[ImportedObject, ...]
    proposed_profile: str | None
    written: tuple[str, ...]
    diagnostics: tuple[DiagnosticItem, ...]


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
