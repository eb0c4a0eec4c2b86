"""One track of a model as the checks read it: its settings, its rendered Pod, and positions.

Checks take one track, so that the same rules apply to the stable track and to the canary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from framework.catalog import CatalogModel
from framework.core.diagnostics import (
    Code,
    Diagnostic,
    KeyPath,
    Position,
    SettingDiagnostic,
    list_positions,
)
from framework.core.field_paths import FieldPath, ItemKey, Step
from framework.layers import Merged
from framework.plan.manifest import ModelPlan, TrackPlan
from framework.plan.patch import find_touched
from framework.plan.rendered import mappings_in
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
        """Returns where this track's setting was last written, or removed.

        If no file has it, this is its nearest parent.
        """
        if path not in self.merged.origins and (removal := self.merged.removal(path)):
            return removal
        return self.model.position(path, self.merged)

    def diagnostic(
        self, code: Code, path: KeyPath, message: str, others: Iterable[KeyPath] = ()
    ) -> Diagnostic:
        """Returns an error at the setting that causes it.

        If several settings cause it together, the `others` with `path`, it is the one that the
        latest layer sets: with the layers below it, there was no error. The message then names the
        positions of the others.
        """
        causes = list(dict.fromkeys((path, *others)))
        latest = self.merged.find_latest(causes) or path
        position = self.position(latest)
        named = {
            str(FieldPath(cause)): self.merged.origins[cause][-1]
            for cause in causes
            if cause != latest and cause in self.merged.origins
        }
        message += list_positions(named, position)
        return position.diagnostic(code, message, self.model.name)

    def report_stable(self, found: SettingDiagnostic) -> Diagnostic:
        """Returns an error in settings that both tracks share, which a candidate cannot set."""
        return replace(self, merged=self.model.merged).report(found)

    def report(self, found: SettingDiagnostic) -> Diagnostic:
        """Returns the error that a check has found in the settings of this track."""
        message = f"{FieldPath(found.path)} {found.message}"
        return self.diagnostic(found.code, found.path, message, found.others)


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

    The patch may also set or remove a parent of the field. Returns None if no patch touches it. The
    patch of one track is applied last and so decides: it is searched first.
    """
    for key in (f"Deployment/{'stable' if track.stable else 'canary'}", "Deployment"):
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
