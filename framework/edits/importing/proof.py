"""Compares the rendered objects of an imported model with its manifests, and finds the patches.

A patch sets the fields that no setting covers. Fields that a patch cannot set stay different.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.catalog import CatalogLoader, CatalogReader
from framework.core.diagnostics import Diagnostic
from framework.core.field_paths import MISSING, FieldPath, is_text_within
from framework.core.stack import Stack
from framework.edits.importing.comparison import (
    Difference,
    build_patch,
    count_fields,
    drop_refused,
    find_differences,
    without_generated,
)
from framework.edits.importing.containers import Settings
from framework.edits.importing.manifests import Source
from framework.edits.importing.translation import Translation
from framework.plan import Manifest, ModelPlan
from framework.plan.build import build_model, build_unpatched_model
from framework.plan.patch import list_parts

# The name of an environment without settings, in which the entry of a model is rendered.
NO_ENVIRONMENT = "manifests-without-environment"


@dataclass
class Proof:
    """The result of comparing the rendered objects of a model with its manifests.

    Every field of the manifests is counted once: covered by a setting, by a patch, or by neither
    (`remaining`). `added` are fields that only the rendered objects have, `objects` the rendered
    objects that the manifests do not have. `left_out` has the objects of the manifests and
    `refused` the settings that the entry does not have, each with the reason.
    """

    by_setting: int = 0
    by_patch: int = 0
    remaining: list[Difference] = field(default_factory=list)
    added: list[Difference] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    left_out: Mapping[Source, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> int:
        """The number of fields of the manifests."""
        return self.by_setting + self.by_patch + self.impossible

    @property
    def impossible(self) -> int:
        """The number of fields that neither a setting nor a patch covers."""
        return sum(difference.size for difference in self.remaining)


def open_loader(root: Path, drafts: Mapping[str, str], environment: str = "") -> CatalogLoader:
    """Returns a loader of the catalog that reads `drafts` as files, which maps paths to texts.

    Without `environment`, it uses an environment that sets nothing.
    """
    if not environment:
        environment = NO_ENVIRONMENT
        home = f"environments/{environment}/environment.yaml"
        drafts = {**drafts, home: "namespace: default\n"}
    reader = CatalogReader(root, drafts)
    return CatalogLoader(root, Stack.of(environment), reader=reader)


def prove(
    translation: Translation, entry: Settings, load: Callable[[], CatalogLoader]
) -> tuple[ModelPlan | None, Proof, tuple[str, ...]]:
    """Renders an entry, adds the patches that it needs, and compares the result with the manifests.

    `load` returns a loader that reads the entry as it is then. The result is None with the errors
    of an entry that is not valid.
    """
    # The second round renders the patches that the first one has found.
    while True:
        loader = load()
        loaded, environment = loader.load_model(translation.model), loader.settings
        if loaded.diagnostics or loaded.model is None or environment is None:
            return None, Proof(), describe_errors(loaded.diagnostics)
        unpatched = build_unpatched_model(loaded.model, environment)
        # Computed from the rendered objects: a patch has what no setting could express.
        patches, reasons = find_patches(translation, unpatched)
        inherited = loaded.model.merged.data.get("patch") or {}
        if "patch" in entry or patches == inherited:
            plan = build_model(loaded.model, environment)
            return plan, compare(translation, plan, unpatched, reasons), ()
        # A null for each inherited patch, because the patches that were found begin from unpatched
        # objects.
        entry["patch"] = {**dict.fromkeys(inherited), **patches}


def describe_errors(diagnostics: Iterable[Diagnostic]) -> tuple[str, ...]:
    """Returns the errors of an entry as lines."""
    return tuple(f"{d.position}  {d.code}  {d.message}" for d in diagnostics)


def find_patches(
    translation: Translation, plan: ModelPlan
) -> tuple[dict[str, Any], dict[str, str]]:
    """Returns the patches from the plan to the manifests by kind, and why fields cannot be set."""
    patches: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for wanted in translation.objects:
        kind, manifest = wanted["kind"], find_rendered(plan, wanted)
        if manifest is None:
            continue
        if manifest.object_key:
            # The object is in `objects` as it is, which no patch applies to.
            continue
        rendered, key = manifest.object, kind
        if sum(m.kind == kind and not m.object_key for m in plan.manifests) > 1:
            # A patch of a kind applies to all objects of this kind.
            names = list_parts(manifest, plan)
            if not names:
                reasons[f"{kind}."] = f"another {kind} has this name as its key"
                continue
            key = f"{kind}/{names[0]}"
        patch = build_patch(without_generated(rendered), without_generated(wanted))
        refused = drop_refused(kind, patch, rendered)
        reasons |= {f"{kind}.{path}": reason for path, reason in refused.items()}
        if patch:
            patches[key] = patch
    return patches, reasons


def find_rendered(plan: ModelPlan, wanted: Mapping[str, Any]) -> Manifest | None:
    """Returns the rendered manifest that stands for a manifest."""
    for manifest in plan.manifests:
        if manifest.kind == wanted["kind"] and manifest.name == wanted["metadata"].get("name"):
            return manifest
    return None


def compare(
    translation: Translation, plan: ModelPlan, unpatched: ModelPlan, reasons: Mapping[str, str]
) -> Proof:
    """Compares the objects of a plan with the manifests, field by field.

    `reasons` has why a patch cannot set a field or what is below it.
    """
    proof = Proof(left_out=translation.unexpressed, refused=translation.refused)
    for wanted in translation.objects:
        normal = without_generated(wanted)
        count = count_fields(normal)
        rendered, base = find_rendered(plan, wanted), find_rendered(unpatched, wanted)
        if rendered is None or base is None:
            proof.remaining.append(_missing_object(wanted))
            continue
        before = _lacking(find_differences(without_generated(base.object), normal))
        after = find_differences(without_generated(rendered.object), normal)
        lacking = _lacking(after)
        open_before, open_after = sum(d.size for d in before), sum(d.size for d in lacking)
        proof.by_setting += max(0, count - open_before)
        proof.by_patch += max(0, open_before - open_after)
        proof.remaining += [replace(d, reason=_find_reason(d, reasons)) for d in lacking]
        proof.added += [d for d in after if d.wanted is MISSING]
    for kind, path, value in translation.dropped:
        dropped = Difference(kind, FieldPath(path), value, MISSING)
        proof.remaining.append(dropped if path else _missing_object(value))
    known = {(obj["kind"], obj["metadata"].get("name")) for obj in translation.objects}
    for manifest in plan.manifests:
        if (manifest.kind, manifest.name) not in known:
            proof.objects.append(f"{manifest.kind} {manifest.name}")
    return proof


def _missing_object(wanted: Mapping[str, Any]) -> Difference:
    count = max(count_fields(without_generated(wanted)), 1)
    return Difference(wanted["kind"], FieldPath(), wanted["metadata"]["name"], MISSING, count)


def _lacking(differences: list[Difference]) -> list[Difference]:
    return [difference for difference in differences if difference.wanted is not MISSING]


def _find_reason(difference: Difference, reasons: Mapping[str, str]) -> str:
    return next((r for field, r in reasons.items() if is_text_within(difference.field, field)), "")
