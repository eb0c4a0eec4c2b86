"""The `patch` of a model, laid over its rendered manifests, and refused where it may not touch.

Kept apart from rendering, which knows settings alone, and from the merge itself, which knows no
model. A patch says what no setting says; what the framework itself computes with is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from framework.catalog import CatalogModel
from framework.codes import Code
from framework.errors import Fault
from framework.overlay import Merged
from framework.plan.manifest import Manifest, ModelPlan
from framework.plan.names import RESERVED_LABELS, Track, track_name
from framework.plan.strategic import (
    PatchError,
    Step,
    apply_patch,
    find_touched,
    list_fields,
)
from framework.schema.faults import dotted
from framework.schema.rules import MODEL_CONTAINER
from framework.sources import KeyPath, Place

_CANARY = "/canary"
_OF_A_TRACK = ("Deployment", "ConfigMap")
# Every kind a model may have, and how it comes to have one.
_KINDS = {
    "Deployment": "",
    "ConfigMap": "give it config.files",
    "ServiceAccount": "remove serviceAccount.name",
    "Service": "set service.enabled: true",
    "PodDisruptionBudget": "set disruptionBudget",
    "HorizontalPodAutoscaler": "set autoscaling",
    "Ingress": "set ingress",
    "NetworkPolicy": "set networkPolicy",
}
_IDENTITY = "it tells which object this is"
_SELECTOR = "selectors and the labels they stand on never change"
_COMPUTED = "the framework computes with it; set {}"
_MODEL: tuple[Step, ...] = (
    "spec", "template", "spec", "containers", ("name", MODEL_CONTAINER),
)  # fmt: skip
_EVERYWHERE: dict[tuple[Step, ...], str] = {
    ("apiVersion",): _IDENTITY,
    ("kind",): _IDENTITY,
    ("metadata", "name"): _IDENTITY,
    ("metadata", "generateName"): _IDENTITY,
    ("metadata", "namespace"): _IDENTITY,
    ("status",): "the cluster writes it",
    **{("metadata", "labels", label): _SELECTOR for label in sorted(RESERVED_LABELS)},
}
_PROTECTED: Mapping[str, Mapping[tuple[Step, ...], str]] = {
    "Deployment": {
        ("spec", "selector"): _SELECTOR,
        **{
            ("spec", "template", "metadata", "labels", label): _SELECTOR
            for label in sorted(RESERVED_LABELS)
        },
        ("spec", "replicas"): _COMPUTED.format("replicas"),
        ("spec", "paused"): "no update would ever end",
        ("spec", "strategy"): _COMPUTED.format("rollout.maxSurge and rollout.maxUnavailable"),
        ("spec", "minReadySeconds"): _COMPUTED.format("rollout.minReadySeconds"),
        ("spec", "progressDeadlineSeconds"): _COMPUTED.format("rollout.progressDeadlineSeconds"),
        (*_MODEL, "image"): _COMPUTED.format("image"),
        (*_MODEL, "resources"): _COMPUTED.format("resources"),
    },
    "Service": {("spec", "selector"): _SELECTOR},
    "PodDisruptionBudget": {
        ("spec", "selector"): _SELECTOR,
        ("spec", "minAvailable"): _COMPUTED.format("disruptionBudget"),
        ("spec", "maxUnavailable"): _COMPUTED.format("disruptionBudget"),
    },
    "HorizontalPodAutoscaler": {
        ("spec", "scaleTargetRef"): _SELECTOR,
        ("spec", "minReplicas"): _COMPUTED.format("autoscaling.minReplicas"),
        ("spec", "maxReplicas"): _COMPUTED.format("autoscaling.maxReplicas"),
    },
    "NetworkPolicy": {("spec", "podSelector"): _SELECTOR},
    "ConfigMap": {
        ("data",): "its name is a hash of it; set config.files",
        ("binaryData",): "its name is a hash of its data; use a ConfigMap of your own",
    },
}


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

    def fault(self, at: KeyPath, message: str) -> Fault:
        """A fault at the value below the entry; its sentence begins with the setting's name."""
        path: KeyPath = ("patch", self.key, *at)
        place = self.merged.origin(path) or Place(self.model.home, 1, 1)
        return place.fault(Code.BAD_PATCH, f"{dotted(path)} {message}", self.model.name)

    def key_fault(self, message: str) -> Fault:
        """A fault at the entry's own name."""
        path: KeyPath = ("patch", self.key)
        places = (*self.merged.key_places(path), Place(self.model.home, 1, 1))
        return places[0].fault(Code.BAD_PATCH, message, self.model.name)


def patch_plan(plan: ModelPlan, model: CatalogModel) -> tuple[ModelPlan, list[Fault]]:
    """The plan with every sound patch laid over it, and the faults of the others."""
    if not model.settings.patch and not (model.candidate and model.candidate.patch):
        return plan, []
    faults = [*_find_key_faults(plan, model)]
    manifests, patched = [], {}
    for manifest in plan.manifests:
        fields: set[str] = set()
        for patch in _patches_of(manifest, model):
            manifest, found, set_fields = _lay(patch, manifest, plan)
            faults += found
            fields |= set_fields
        manifests.append(manifest)
        if fields:
            patched[f"{manifest.kind}/{manifest.name}"] = tuple(sorted(fields))
    return replace(plan, manifests=tuple(manifests), patched=patched), faults


def _lay(
    patch: _Patch, manifest: Manifest, plan: ModelPlan
) -> tuple[Manifest, list[Fault], set[str]]:
    if refused := [*_find_refused(patch, plan)]:
        return manifest, refused, set()
    try:
        patched = apply_patch(manifest.object, patch.content)
    except PatchError as error:
        return manifest, [patch.fault(error.at, str(error))], set()
    return replace(manifest, object=patched), [], {*list_fields(patch.kind, patch.content)}


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


def _find_key_faults(plan: ModelPlan, model: CatalogModel) -> Iterator[Fault]:
    kinds = {manifest.kind for manifest in plan.manifests}
    for patch in _track_patches(model, "stable"):
        if message := _refuse_key(patch, kinds):
            yield patch.key_fault(message)
    if model.candidate is None:
        return
    for patch in _track_patches(model, "canary"):
        if patch.content == model.settings.patch.get(patch.key):
            continue
        if message := _refuse_key(patch, kinds):
            yield patch.key_fault(message)
        elif patch.kind not in _OF_A_TRACK:
            yield patch.key_fault(
                f"a {patch.kind} is of both tracks; patch it for the model, not for its candidate"
            )


def _refuse_key(patch: _Patch, kinds: set[str]) -> str:
    """Why there is nothing that a patch of this name could be laid over; "" where there is."""
    if patch.kind not in _KINDS:
        near = get_close_matches(patch.kind, _KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(_KINDS)}"
        return f'"{patch.key}" is no kind of object that a model is made of; {hint}'
    if patch.key != patch.kind and patch.kind not in _OF_A_TRACK:
        return f'"{patch.key}": a {patch.kind} is of both tracks; expected {patch.kind}'
    if patch.kind not in kinds:
        return f'"{patch.key}": this model has no {patch.kind}; {_KINDS[patch.kind]}'
    return ""


def _find_refused(patch: _Patch, plan: ModelPlan) -> Iterator[Fault]:
    scaled = plan.find("HorizontalPodAutoscaler") is not None
    told: set[KeyPath] = set()
    for path, why in (*_EVERYWHERE.items(), *_PROTECTED.get(patch.kind, {}).items()):
        touched = find_touched(patch.content, path)
        if touched is None or touched in told:
            continue
        told.add(touched)
        if scaled and path == ("spec", "replicas"):
            why = "it is the autoscaler's; set autoscaling.minReplicas"
        yield patch.fault(touched, f"cannot be patched: {why}")
