"""Random settings, drawn from the settings classes."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel

from framework.plan.patch.field_types import FieldType
from framework.settings import values
from framework.settings.model import SHARED, Model
from tests.random_models.chooser import Chooser
from tests.random_models.fields import Fields
from tests.random_models.pools import BY_SETTING, NUMBERS, PATHS, POOLS, TEXTS

Json = dict[str, Any]

# Settings of which a mapping has exactly one.
_GROUPS = {
    "DisruptionBudget": ("maxUnavailable", "minAvailable"),
    "EnvSource": ("secret", "configMap"),
    "Handler": ("exec", "httpGet", "sleepSeconds"),
    "Probe": ("httpGet", "tcpSocket", "grpc", "exec"),
    "Volume": (
        "emptyDir", "claim", "configMap", "secret", "image", "hostPath", "nfs", "csi", "ephemeral",
        "projected",
    ),
}  # fmt: skip
_VOLUME_OPTIONS = {
    "items": ("configMap", "secret"),
    "optional": ("configMap", "secret"),
    "defaultMode": ("configMap", "secret", "projected"),
    "hostPathType": ("hostPath",),
    "pullPolicy": ("image",),
}
# Settings that say nothing of the objects, or that are drawn elsewhere.
_LEFT_OUT = frozenset(
    {"canary", "enabled", "image", "links", "objects", "owner", "patch", "waivers"}
)
DRAWN = tuple(sorted(Model.model_fields.keys() - _LEFT_OUT))
DRAWN_FOR_CANDIDATES = tuple(
    name for name in DRAWN if (Model.model_fields[name].alias or name) not in SHARED
)


class Settings:
    """Draws settings, with the choices of one model."""

    def __init__(self, choose: Chooser) -> None:
        self._choose = choose

    def some(self, names: Iterable[str], most: int) -> Json:
        """Draws up to `most` settings of a model."""
        return {
            Model.model_fields[name].alias or name: self.setting(Model, name, 30)
            for name in self._choose.some_of(names, most)
        }

    def mapping(self, cls: type[BaseModel], percent: int) -> Json:
        drawn = {}
        for name, field in cls.model_fields.items():
            if field.is_required() or self._choose.chance(percent):
                drawn[field.alias or name] = self.setting(cls, name, percent)
        return drawn

    def setting(self, cls: type[BaseModel], name: str, percent: int) -> Any:
        if pool := BY_SETTING.get((cls.__name__, name)):
            return self._choose.pick(pool)
        field = cls.model_fields[name]
        annotation: Any = field.annotation
        if field.metadata:
            annotation = Annotated[(annotation, *field.metadata)]
        return self.value(annotation, percent)

    def value(self, annotation: Any, percent: int) -> Any:
        if pool := self._find_pool(annotation):
            return self._choose.pick(pool)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            inner, *metadata = arguments
            for item in metadata:
                if type(item).__name__ == "Definition":
                    return Fields(self._choose).value(FieldType(item.name), item.name, 25)
            if inner is int:
                return self._number(metadata)
            return self.value(inner, percent)
        if origin in (Union, types.UnionType):
            return self.value(
                self._choose.any_of(a for a in arguments if a is not type(None)), percent
            )
        if origin is Literal:
            return self._choose.any_of(arguments)
        if origin is dict:
            key, item = arguments
            return {
                self.value(key, 0): self.value(item, percent)
                for _ in range(self._choose.count(1, 2))
            }
        if origin is tuple:
            return [self.value(arguments[0], percent) for _ in range(self._choose.count(0, 2))]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if len(annotation.model_fields) > 6:
                percent = 20
            return self._one_of(annotation, self.mapping(annotation, percent))
        if annotation is bool:
            return self._choose.chance(50)
        if annotation is int:
            return self._choose.pick(NUMBERS)
        return self._choose.pick(TEXTS)

    def _find_pool(self, annotation: Any) -> list[Any]:
        for name, pool in POOLS.items():
            if pool and getattr(values, name) == annotation:
                return pool
        return []

    def _number(self, metadata: list[Any]) -> int:
        """Picks a number within the limits of a setting; the limits are among the numbers."""
        limits = [*metadata, *(part for mark in metadata for part in getattr(mark, "metadata", ()))]
        low = max((int(str(limit.ge)) for limit in limits if isinstance(limit, Ge)), default=0)
        high = min((int(str(limit.le)) for limit in limits if isinstance(limit, Le)), default=2**63)
        return int(self._choose.pick([n for n in [*NUMBERS, low, high] if low <= n <= high]))

    def _one_of(self, cls: type[BaseModel], drawn: Json) -> Json:
        """Keeps one of the settings that exclude each other, as most models have it."""
        group = _GROUPS.get(cls.__name__)
        if group is None:
            return drawn
        chosen = self._choose.any_of(group)
        kept = {key: value for key, value in drawn.items() if key not in group}
        kept[chosen] = drawn.get(chosen) or self.setting(cls, _field_name(cls, chosen), 20)
        if cls.__name__ == "Volume":
            kept.setdefault("mountPath", self._choose.pick(PATHS))
            for option, takers in _VOLUME_OPTIONS.items():
                if chosen not in takers:
                    kept.pop(option, None)
        return kept


def _field_name(cls: type[BaseModel], alias: str) -> str:
    return next(name for name, field in cls.model_fields.items() if (field.alias or name) == alias)
