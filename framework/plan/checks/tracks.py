"""The Pods of a model as the checks read them: rendered, with the positions of their settings.

Checks take one Pod at a time, so that the same rules apply to the stable track, to the canary and
to the Pods of `objects` (object_pods.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

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
from framework.plan.replicas import replica_range
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
class RenderedPod(ABC):
    """The Pods that one template makes; `pod` is the `spec` of the template.

    A patch, or the author of an object, may have written values of any shape: `mapping_in`,
    `mappings_in` and `texts_in` read them.
    """

    model: CatalogModel
    settings: Model
    merged: Merged
    pod: Mapping[str, Any]

    in_object: ClassVar[bool] = False
    """True for a Pod of `objects`, whose fields are written in the form of Kubernetes."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of Pods without an update."""

    @property
    @abstractmethod
    def count_settings(self) -> tuple[KeyPath, ...]:
        """The settings that decide `count`."""

    @abstractmethod
    def find_patched(self, *steps: Step) -> KeyPath | None:
        """Returns the setting that has a field of the Pod in the form of Kubernetes, if any."""

    @abstractmethod
    def list_containers(self) -> Iterator[PodContainer]:
        """Yields every rendered container."""

    def position(self, path: KeyPath) -> Position:
        """Returns where a setting was last written, or removed.

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

    def report(self, found: SettingDiagnostic) -> Diagnostic:
        """Returns the error that a check has found in the settings of this track."""
        message = f"{FieldPath(found.path)} {found.message}"
        return self.diagnostic(found.code, found.path, message, found.others)


@dataclass(frozen=True, eq=False)
class RenderedTrack(RenderedPod):
    """One track of a model. `patched` is True if a patch changes its Deployment."""

    plan: TrackPlan
    patched: bool = False

    @property
    def stable(self) -> bool:
        """False for the canary."""
        return self.plan.track == "stable"

    @property
    def count(self) -> int:
        """The number of Pods without an update; with an autoscaler, the most that it may create."""
        return self.plan.budget.replicas

    @property
    def count_settings(self) -> tuple[KeyPath, ...]:
        """The settings that decide `count`."""
        return (replica_range(self.settings).most_setting if self.stable else ("canary", "size"),)

    def find_patched(self, *steps: Step) -> KeyPath | None:
        """Returns the setting under `patch` that writes or removes a field of the Pod.

        The patch may also set or remove a parent of the field. Returns None if no patch touches it.
        The patch of one track is applied last and so decides: it is searched first.
        """
        for key in (f"Deployment/{'stable' if self.stable else 'canary'}", "Deployment"):
            patch = self.settings.patch.get(key)
            if self.patched and patch:
                touched = find_touched(patch, FieldPath((*_POD, *steps)))
                if touched is not None:
                    return ("patch", key, *touched)
        return None

    def list_containers(self) -> Iterator[PodContainer]:
        """Yields every rendered container; for one that a patch adds, the setting is the patch."""
        own = {**self.settings.sidecars, **self.settings.init_containers}
        for kind, name, container in name_containers(self.pod):
            steps: tuple[Step, ...] = (kind, ItemKey(name))
            if name == MODEL_CONTAINER or name in own:
                setting = container_setting(self.settings, name)
            else:
                # `find_patched` finds nothing for a container that a patch of another track has
                # added.
                setting = self.find_patched(*steps) or ("patch", "Deployment")
            yield PodContainer(setting, steps, container)

    def report_stable(self, found: SettingDiagnostic) -> Diagnostic:
        """Returns an error in settings that both tracks share, which a candidate cannot set."""
        return replace(self, merged=self.model.merged).report(found)


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
        tracks.append(RenderedTrack(model, settings, merged, pod, track, patched))
    return tuple(tracks)


def name_containers(pod: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yields the field, the name and the content of each container of a Pod."""
    for kind in ("containers", "initContainers"):
        for container in mappings_in(pod, kind):
            yield kind, str(container.get("name")), container


def container_setting(settings: Model, name: str) -> KeyPath:
    """Returns the path of the settings of a container that is not added by a patch."""
    if name == MODEL_CONTAINER:
        return ()
    return ("sidecars" if name in settings.sidecars else "initContainers", name)
