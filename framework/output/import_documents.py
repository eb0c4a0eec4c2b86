"""The JSON of `import`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import with_config

from framework.output.catalog_documents import CONFIG, DiagnosticItem


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
