"""One Deployment of a model as the checks see it: its settings, its Pods, where each value stands.

Kept apart because the stable track and the canary are held to the same rules: a check is written
once, for a track.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from framework.catalog import CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.field_paths import FieldPath, ItemKey, Step
from framework.layers import Merged
from framework.plan.manifest import ModelPlan, TrackPlan
from framework.plan.patch import find_touched
from framework.settings.model import Model
from framework.settings.reserved import MODEL_CONTAINER

_POD: tuple[Step, ...] = ("spec", "template", "spec")


class PodContainer(NamedTuple):
    """One rendered container: the setting it comes from, () for the model's own, the steps to it
    below the Pod, and its fields."""

    setting: KeyPath
    steps: tuple[Step, ...]
    fields: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class CheckedTrack:
    """One track; `pod` is the `spec` of its rendered Pod template, `patched` where `patch` had a
    hand in it: then anything may stand in it, of any shape."""

    model: CatalogModel
    settings: Model
    merged: Merged
    plan: TrackPlan
    pod: Mapping[str, Any]
    patched: bool = False

    @property
    def stable(self) -> bool:
        """False for the canary."""
        return self.plan.track == "stable"

    def position(self, path: KeyPath) -> Position:
        """Where the setting was said last; where it was not, its nearest parent's place."""
        return find_position(self.model, path, self.merged)

    def diagnostic(self, code: Code, path: KeyPath, message: str) -> Diagnostic:
        """A fault at a setting of this track."""
        return self.position(path).diagnostic(code, message, self.model.name)


def list_tracks(model: CatalogModel, plan: ModelPlan) -> tuple[CheckedTrack, ...]:
    """The tracks of a model, the stable one first; `plan` is what is built from it."""
    deployments = {m.name: m.object for m in plan.manifests if m.kind == "Deployment"}
    found = []
    for track in plan.tracks:
        settings, merged = model.settings, model.merged
        if track.track == "canary" and model.candidate and model.candidate_merged:
            settings, merged = model.candidate, model.candidate_merged
        pod = deployments[track.deployment]["spec"]["template"]["spec"]
        patched = f"Deployment/{track.deployment}" in plan.patched
        found.append(CheckedTrack(model, settings, merged, track, pod, patched))
    return tuple(found)


def find_position(model: CatalogModel, path: KeyPath, merged: Merged | None = None) -> Position:
    """Where a setting was said last, or its nearest parent; the model's file where neither was."""
    return (merged or model.merged).origin(path) or Position(model.home, 1, 1)


def find_patched(track: CheckedTrack, *steps: Step) -> KeyPath | None:
    """Where `patch` sets a field of the Pod or takes it away, or what it is in; None where no patch
    does. What is of the canary alone is laid last, and so comes first."""
    for key in ("Deployment",) if track.stable else ("Deployment/canary", "Deployment"):
        patch = track.settings.patch.get(key)
        if track.patched and patch:
            touched = find_touched(patch, FieldPath((*_POD, *steps)))
            if touched is not None:
                return ("patch", key, *touched)
    return None


def list_containers(track: CheckedTrack) -> Iterator[PodContainer]:
    """Every rendered container; one that a patch brought in comes from the patch."""
    settings = track.settings
    for kind in ("containers", "initContainers"):
        for container in mappings_in(track.pod, kind):
            name = str(container.get("name"))
            steps: tuple[Step, ...] = (kind, ItemKey(name))
            setting: KeyPath
            if kind == "containers" and name == MODEL_CONTAINER:
                setting = ()
            elif kind == "initContainers" and name in settings.sidecars:
                setting = ("sidecars", name)
            elif kind == "initContainers" and name in settings.init_containers:
                setting = ("initContainers", name)
            else:
                setting = find_patched(track, *steps) or ("patch", "Deployment")
            yield PodContainer(setting, steps, container)


def mapping_in(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping at `key` of what may be patched; an empty one where there is none."""
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}


def mappings_in(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The mappings of the list at `key` of what may be patched."""
    found = data.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def texts_in(data: Mapping[str, Any], key: str) -> list[str]:
    """The items of the list at `key` of what may be patched, as text."""
    found = data.get(key)
    return [str(one) for one in found] if isinstance(found, list) else []
