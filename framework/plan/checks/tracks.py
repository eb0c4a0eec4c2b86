"""One track of a model as the checks read it: its settings, its rendered Pod, and positions.

Checks take one track, so that the same rules apply to the stable track and to the canary.
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
    """One rendered container.

    `setting` is the path of the setting that it is built from, () for the model's own container.
    `steps` is the path to it in the Pod's `spec`.
    """

    setting: KeyPath
    steps: tuple[Step, ...]
    fields: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RenderedTrack:
    """One track; `pod` is the `spec` of its Pod template.

    If `patched`, the Pod may have values of any shape: `mapping_in`, `mappings_in` and `texts_in`
    read them.
    """

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
        """Returns where this track's setting, or else its nearest parent, was last written."""
        return self.model.position(path, self.merged)

    def diagnostic(self, code: Code, path: KeyPath, message: str) -> Diagnostic:
        """Returns an error at a setting of this track."""
        return self.position(path).diagnostic(code, message, self.model.name)


def list_tracks(model: CatalogModel, plan: ModelPlan) -> tuple[RenderedTrack, ...]:
    """Returns the tracks of a model, the stable one first; `plan` is the plan of this model."""
    deployments = {m.name: m.object for m in plan.manifests if m.kind == "Deployment"}
    tracks = []
    for track in plan.tracks:
        settings, merged = model.settings, model.merged
        if track.track == "canary" and model.candidate and model.candidate_merged:
            settings, merged = model.candidate, model.candidate_merged
        pod = deployments[track.deployment]["spec"]["template"]["spec"]
        patched = f"Deployment/{track.deployment}" in plan.patched
        tracks.append(RenderedTrack(model, settings, merged, track, pod, patched))
    return tuple(tracks)


def find_patched(track: RenderedTrack, *steps: Step) -> KeyPath | None:
    """Returns the setting under `patch` that writes or removes a field of the Pod.

    The patch may also set or remove a parent of the field. Returns None if no patch touches it. For
    a canary, its own patch is applied last and so decides: it is searched first.
    """
    for key in ("Deployment",) if track.stable else ("Deployment/canary", "Deployment"):
        patch = track.settings.patch.get(key)
        if track.patched and patch:
            touched = find_touched(patch, FieldPath((*_POD, *steps)))
            if touched is not None:
                return ("patch", key, *touched)
    return None


def list_containers(track: RenderedTrack) -> Iterator[PodContainer]:
    """Yields every rendered container; for one that a patch adds, the setting is the patch."""
    settings = track.settings
    for kind in ("containers", "initContainers"):
        for container in mappings_in(track.pod, kind):
            name = str(container.get("name"))
            steps: tuple[Step, ...] = (kind, ItemKey(name))
            if name == MODEL_CONTAINER or name in {**settings.sidecars, **settings.init_containers}:
                setting = container_setting(settings, name)
            else:
                setting = find_patched(track, *steps) or ("patch", "Deployment")
            yield PodContainer(setting, steps, container)


def container_setting(settings: Model, name: str) -> KeyPath:
    """Returns the path of the settings of a container that is not added by a patch."""
    if name == MODEL_CONTAINER:
        return ()
    return ("sidecars" if name in settings.sidecars else "initContainers", name)


def mapping_in(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns the mapping at `key`; an empty one where a patch left something else there."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def mappings_in(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Returns the items of the list at `key` that are mappings."""
    items = data.get(key)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def texts_in(data: Mapping[str, Any], key: str) -> list[str]:
    """Returns the items of the list at `key` as text."""
    items = data.get(key)
    return [str(item) for item in items] if isinstance(items, list) else []
