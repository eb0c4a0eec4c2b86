"""The Pods of a model as the checks read them: rendered, with the positions of their settings.

Checks take one Pod at a time, so that the same rules apply to the stable track, to the canary and
to the Pods of `objects`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Literal, NamedTuple

from framework.catalog import CatalogModel
from framework.core.diagnostics import (
    Code,
    Diagnostic,
    KeyPath,
    Position,
    SettingDiagnostic,
    list_positions,
)
from framework.core.field_paths import MISSING, FieldPath, ItemKey, Step, get_at
from framework.layers import Merged
from framework.plan.manifest import ModelPlan, TrackPlan
from framework.plan.patch import find_touched
from framework.plan.rendered import find_pods, mappings_in
from framework.plan.replicas import replica_range
from framework.settings.model import Model
from framework.settings.reserved import MODEL_CONTAINER

Source = Literal["stable", "canary", "objects"]
"""An object that makes Pods: the Deployment of a track, or one of `objects`."""

_POD: tuple[Step, ...] = ("spec", "template", "spec")


class PodContainer(NamedTuple):
    """One rendered container.

    `setting` is the path of the setting that it is built from, () for the model's own container.
    `steps` is the path to it in the Pod's `spec`.
    """

    name: str
    setting: KeyPath
    steps: tuple[Step, ...]
    fields: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RenderedPod(ABC):
    """The Pods that one template makes; `pod` is the `spec` of the template.

    A patch, or the author of an object, may have written values of any shape: `mapping_in`,
    `mappings_in` and `texts_in` read them. `count` is the number of Pods without an update; with an
    autoscaler, the most that it may create. `count_settings` are the settings that decide it.
    """

    source: Source
    model: CatalogModel
    settings: Model
    merged: Merged
    pod: Mapping[str, Any]
    count: int
    count_settings: tuple[KeyPath, ...]

    @property
    def in_object(self) -> bool:
        """True for a Pod of `objects`, whose fields are written in the form of Kubernetes."""
        return self.source == "objects"

    @abstractmethod
    def find_patched(self, *steps: Step) -> KeyPath | None:
        """Returns the setting that has a field of the Pod in the form of Kubernetes, if any."""

    @abstractmethod
    def _find_setting(self, name: str, steps: tuple[Step, ...]) -> KeyPath:
        """Returns the setting that a container is built from."""

    @cached_property
    def containers(self) -> tuple[PodContainer, ...]:
        """Every rendered container."""
        containers = []
        for kind in ("containers", "initContainers"):
            for fields in mappings_in(self.pod, kind):
                name = str(fields.get("name"))
                steps: tuple[Step, ...] = (kind, ItemKey(name))
                containers.append(
                    PodContainer(name, self._find_setting(name, steps), steps, fields)
                )
        return tuple(containers)

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
        return self.source == "stable"

    def find_patched(self, *steps: Step) -> KeyPath | None:
        """Returns the setting under `patch` that writes or removes a field of the Pod.

        The patch may also set or remove a parent of the field. Returns None if no patch touches it.
        The patch of one track is applied last and so decides: it is searched first.
        """
        for key in (f"Deployment/{self.source}", "Deployment"):
            patch = self.settings.patch.get(key)
            if self.patched and patch:
                touched = find_touched(patch, FieldPath((*_POD, *steps)))
                if touched is not None:
                    return ("patch", key, *touched)
        return None

    def _find_setting(self, name: str, steps: tuple[Step, ...]) -> KeyPath:
        own = {MODEL_CONTAINER, *self.settings.sidecars, *self.settings.init_containers}
        if name in own:
            return container_setting(self.settings, name)
        # A patch has added it, maybe one of another track, which `find_patched` does not find.
        return self.find_patched(*steps) or ("patch", "Deployment")

    def report_stable(self, found: SettingDiagnostic) -> Diagnostic:
        """Returns an error in settings that both tracks share, which a candidate cannot set."""
        return replace(self, merged=self.model.merged).report(found)


@dataclass(frozen=True, eq=False)
class ObjectPod(RenderedPod):
    """The Pods of one template in `objects`; `path` is the path of `pod` in the settings."""

    path: KeyPath

    def find_patched(self, *steps: Step) -> KeyPath | None:
        """Returns the path of a field of the Pod in the settings; None if it is not written."""
        path: KeyPath = ()
        for step in steps:
            if isinstance(step, ItemKey):
                items = mappings_in({"items": get_at(self.pod, path)}, "items")
                step = next(i for i, item in enumerate(items) if str(item.get("name")) == step.text)
            path = (*path, step)
        return None if get_at(self.pod, path) is MISSING else (*self.path, *path)

    def _find_setting(self, name: str, steps: tuple[Step, ...]) -> KeyPath:
        return self.find_patched(*steps) or self.path


def list_tracks(model: CatalogModel, plan: ModelPlan) -> tuple[RenderedTrack, ...]:
    """Returns the tracks of a model, the stable one first; `plan` is the plan of this model."""
    deployments = {m.name: m.object for m in plan.manifests if m.kind == "Deployment"}
    tracks = []
    for track in plan.tracks:
        settings, merged = model.tracks[track.track]
        decides = replica_range(settings).most_setting
        tracks.append(
            RenderedTrack(
                source=track.track,
                model=model,
                settings=settings,
                merged=merged,
                pod=deployments[track.deployment]["spec"]["template"]["spec"],
                count=track.budget.replicas,
                count_settings=(decides if track.track == "stable" else ("canary", "size"),),
                plan=track,
                patched=f"Deployment/{track.deployment}" in plan.patched,
            )
        )
    return tuple(tracks)


def list_object_pods(model: CatalogModel) -> Iterator[ObjectPod]:
    """Yields the Pods that the objects of a model start: those of a Job, a StatefulSet and so on.

    Custom resources have Pod templates too (a JobSet, a LeaderWorkerSet), so a template is
    recognized by its containers. A StatefulSet has `replicas`, a Job `parallelism`, and a JobSet
    both, so all numbers on the way to the template are multiplied. A DaemonSet counts as one Pod:
    the files do not say how many nodes there are. A PodTemplate starts none.
    """
    data = model.merged.data
    for key, content in sorted(model.settings.objects.items()):
        for path, pod in find_pods(content, ("objects", key)):
            numbers: dict[KeyPath, int] = {}
            for end in range(2, len(path)):
                owner = get_at(data, path[:end])
                for field in ("replicas", "parallelism"):
                    number = owner.get(field) if isinstance(owner, Mapping) else None
                    if isinstance(number, int):
                        limit = owner.get("completions")
                        most = min(number, limit) if isinstance(limit, int) else number
                        numbers[*path[:end], field] = most
            count = 0 if content["kind"] == "PodTemplate" else prod(numbers.values())
            yield ObjectPod(
                source="objects",
                model=model,
                settings=model.settings,
                merged=model.merged,
                pod=pod,
                count=count,
                count_settings=tuple(numbers),
                path=path,
            )


def container_setting(settings: Model, name: str) -> KeyPath:
    """Returns the path of the settings of a container that is not added by a patch."""
    if name == MODEL_CONTAINER:
        return ()
    return ("sidecars" if name in settings.sidecars else "initContainers", name)
