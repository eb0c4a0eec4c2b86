"""Finds the Pods that the objects of a model start: those of a Job, a StatefulSet and so on.

The policy of an environment and its capacity are about every Pod. Custom resources have Pod
templates too (a JobSet, a LeaderWorkerSet), so a template is recognized by its containers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath
from framework.core.field_paths import MISSING, ItemKey, Step, get_at
from framework.plan.checks.tracks import PodContainer, RenderedPod, name_containers
from framework.plan.rendered import find_pods, mappings_in


@dataclass(frozen=True, eq=False)
class ObjectPod(RenderedPod):
    """The Pods of one template in `objects`; `path` is the path of `pod` in the settings."""

    path: KeyPath

    in_object: ClassVar[bool] = True

    @property
    def count(self) -> int:
        """The number of Pods that the object starts at the same time.

        A StatefulSet has `replicas`, a Job `parallelism`, and a JobSet both, so all numbers on the
        way to the template are multiplied. A DaemonSet counts as one Pod: the files do not say how
        many nodes there are. A PodTemplate starts none.
        """
        kind = get_at(self.merged.data, (*self.path[:2], "kind"))
        return 0 if kind == "PodTemplate" else prod(number for _, number in self._numbers())

    @property
    def count_settings(self) -> tuple[KeyPath, ...]:
        """The fields that decide `count`."""
        return tuple(path for path, _ in self._numbers())

    def _numbers(self) -> Iterator[tuple[KeyPath, int]]:
        for end in range(2, len(self.path)):
            owner = get_at(self.merged.data, self.path[:end])
            for field in ("replicas", "parallelism"):
                number = owner.get(field) if isinstance(owner, Mapping) else None
                if isinstance(number, int):
                    yield (*self.path[:end], field), _at_most(number, owner.get("completions"))

    def find_patched(self, *steps: Step) -> KeyPath | None:
        """Returns the path of a field of the Pod in the settings; None if it is not written."""
        path: KeyPath = ()
        for step in steps:
            if isinstance(step, ItemKey):
                items = mappings_in({"items": get_at(self.pod, path)}, "items")
                step = next(i for i, item in enumerate(items) if str(item.get("name")) == step.text)
            path = (*path, step)
        return None if get_at(self.pod, path) is MISSING else (*self.path, *path)

    def list_containers(self) -> Iterator[PodContainer]:
        """Yields every container; its setting is its path in `objects`."""
        for kind, name, container in name_containers(self.pod):
            steps: tuple[Step, ...] = (kind, ItemKey(name))
            yield PodContainer(self.find_patched(*steps) or self.path, steps, container)


def list_object_pods(model: CatalogModel) -> tuple[ObjectPod, ...]:
    """Returns the Pods of the objects of a model, by the keys of the objects."""
    return tuple(
        ObjectPod(model, model.settings, model.merged, pod, path)
        for key, content in sorted(model.settings.objects.items())
        for path, pod in find_pods(content, ("objects", key))
    )


def _at_most(number: int, limit: Any) -> int:
    return min(number, limit) if isinstance(limit, int) else number
