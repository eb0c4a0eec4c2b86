"""Compares the same models in several environments, and writes overlays for the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.catalog import CatalogLoader
from framework.edits.importing.containers import Settings
from framework.edits.importing.entry import render_entry
from framework.edits.importing.importer import (
    Imported,
    Overlay,
    diff_entry,
    order_entry,
)
from framework.edits.importing.manifests import Source
from framework.edits.importing.proof import describe_errors, open_loader, prove
from framework.edits.importing.reading import read_settings
from framework.edits.importing.translation import translate
from framework.edits.importing.workloads import Workload, group_manifests


def add_overlays(
    root: Path,
    models: Sequence[Imported],
    environments: Mapping[str, Sequence[Source]],
    drafts: Mapping[str, str],
) -> None:
    """Adds the overlays of the models, from the manifests of each environment.

    A model belongs to the manifests with the name of its Deployment. A model without manifests in
    an environment is disabled there. `drafts` has the text of profiles that are not written yet.
    """
    for environment, sources in environments.items():
        workloads = {w.name: w for w in group_manifests(sources).workloads}
        for model in models:
            workload = workloads.get(model.workload.name)
            model.overlays.append(_build_overlay(root, model, environment, workload, drafts))


def find_missing(
    models: Sequence[Imported],
    leftovers: Mapping[Source, str],
    environments: Mapping[str, Sequence[Source]],
) -> dict[Source, str]:
    """Returns the objects that belong to no model, with the reasons: `leftovers`, which are those
    of the base, and those that only an environment has."""
    names = {model.workload.name for model in models}
    missing = dict(leftovers)
    listed = {(source.kind, source.name) for source in leftovers}
    for environment, sources in environments.items():
        reasons = dict(group_manifests(sources).leftovers)
        for source in sources:
            if source.kind == "Deployment" and source.name not in names:
                reasons[source] = (
                    "BASE has no Deployment of this name; import it by itself, then with "
                    f"ENV={environment}"
                )
        missing |= {s: r for s, r in reasons.items() if (s.kind, s.name) not in listed}
        listed |= {(source.kind, source.name) for source in reasons}
    return missing


def _build_overlay(
    root: Path,
    model: Imported,
    environment: str,
    workload: Workload | None,
    drafts: Mapping[str, str],
) -> Overlay:
    overlay = Overlay(environment, f"environments/{environment}/models/{model.name}.yaml")
    if workload is None:
        overlay.text = _render(overlay, model, {"enabled": False})
        return overlay
    translation = translate(workload, model.name)
    owner = str(model.entry.get("owner") or (model.wanted.owner if model.wanted else ""))
    wanted = read_settings(translation, owner)
    if wanted is None:
        overlay.errors = translation.errors
        return overlay
    files = {**drafts, model.path: model.text}
    below = open_loader(root, files, environment).load_model(model.name)
    if below.model is None:
        overlay.errors = describe_errors(below.diagnostics)
        return overlay
    entry: Settings = diff_entry(wanted, below.model.merged.data)

    def load() -> CatalogLoader:
        overlay.text = _render(overlay, model, entry) if entry else ""
        own = {overlay.path: overlay.text} if entry else {}
        return open_loader(root, {**files, **own}, environment)

    _, overlay.proof, overlay.errors = prove(translation, entry, load)
    return overlay


def _render(overlay: Overlay, model: Imported, entry: Mapping[str, Any]) -> str:
    opening = f"Settings of {model.name} in {overlay.environment} only, laid over {model.path}."
    return render_entry(order_entry(dict(entry)), {}, opening)
