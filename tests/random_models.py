"""Random settings of models, drawn from the settings classes and from the Kubernetes field types.

Most values are valid, and some lie at a border or beyond it: each random model has few of the
latter, so that `validate` accepts most models.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from framework.plan.patch.field_types import FieldType
from framework.settings import values
from framework.settings.model import Model

Json = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

_NAMES = ["a", "b", "http", "grpc", "model", "0", "x" * 63]
# Texts for which no setting has a form, the nice ones first.
_TEXTS = ["a", "b", "/", "x y", "", "\0", "a\nb", "é", "//", "$(A)", "-", "x" * 300, "\t", "\x7f"]
_NUMBERS = [1, 2, 5, 30, 0, 100, 1800, 3600, 65535, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30]
_QUANTITIES = [
    "500m", 1, "1Gi", "100Mi", "2", "0.5", "0", "1m", "512m", "1Ki", "8", "1e3", "10E", "9Ei",
    "16E", "1.5Gi", "0.0001", "999999999999999999999", "1.", ".5", "1k", "100G",
]  # fmt: skip
_PERCENTAGES = ["25%", 1, 0, "50%", "0%", "100%", "101%", "150%", "999%", 2**31 - 1, 2**31]
_PATHS = [
    "/a",
    "/b",
    "/",
    "/a/b",
    "/a//b",
    "/a/../b",
    "/a/.",
    "//",
    "/a b",
    "/\0",
    "/é",
    "/x" * 300,
]
_LABEL_KEYS = [
    "a",
    "b",
    "example.com/a",
    "x" * 63,
    "x" * 64,
    "a/b/c",
    "é",
    "A.b_c",
    f"{'x.' * 126}x/a",
]
_LABEL_VALUES = ["a", "", "x" * 63, "x" * 64, "1", "a b", "A.b_c", "-a"]
_PROTOCOLS = ["http", "kubernetes.io/h2c", "a b", "", "HTTP", "x" * 64, "a/b/c", "grpc"]
# Values by their type in framework.settings.values.
_POOLS: dict[str, list[Any]] = {
    "Quantity": _QUANTITIES,
    "IntOrPercent": _PERCENTAGES,
    "EnvText": ["a", "", "x" * 300, "\0", "a\nb", "$(A)", "é", 5, "\x01"],
    "DnsLabel": ["a", "b", "x" * 63, "x" * 64, "0a", "a-b", "a.b"],
    "PortName": ["http", "grpc", "a", "x" * 15, "x" * 16, "0", "0a", "a--b", "a-b"],
    "PortNumber": [8080, 80, 443, 9090, 1, 65535, 0, 65536, 30000, 32767, 29999],
    "LabelKey": _LABEL_KEYS,
    "AnnotationKey": [*_LABEL_KEYS, "kubernetes.io/ingress.class", "example.com/A"],
    "LabelValue": _LABEL_VALUES,
    "Owner": ["team", "x" * 63, "x" * 64, "A.b"],
    "EnvName": ["A", "B", "a.b", "-a", "1A", "x" * 300, "..a", ".", "..", "_", "A B"],
    "EnvPrefix": ["A_", "", "a.", "1", "..", ".", "x" * 300],
    "ShortName": _NAMES,
    "ObjectName": ["a", "b", "a.b", "x" * 63, "x" * 64, "x" * 253, "0", f"{'x' * 64}.a"],
    "HostName": ["a.example.com", "b", "*.example.com", "*", "x" * 64,
                 f"{'x' * 64}.b", "1.2.3.4"],
    "ConfigKey": ["a", "a.json", "..a", "...", "..", "x" * 253, "_", "-"],
    "HeaderName": ["A", "X-B", "-", "1"],
    "Repository": ["ghcr.io/a/b", "a", "localhost:5000/a", "x" * 255, f"ghcr.io/{'x' * 240}"],
    "ImageTag": ["v1", "x" * 128, "_", "1.0"],
    "Digest": ["sha256:" + "a" * 64],
    "ImageReference": ["ghcr.io/a/b:v1", "a:1", f"a@sha256:{'a' * 64}",
                       f"a:1@sha256:{'a' * 64}", f"{'x' * 300}:1"],
    "AbsolutePath": _PATHS,
    "UrlPath": [*_PATHS, "/%zz", "/a%2fb", "/%2F", "/a/./b", "/.", "/..", "/a/..", "/*", "/a?b"],
    "RelativePath": ["a", "a/b", "", "./a", ".", "a//b", "a/..b", "..a", "x" * 300, "\0"],
    "ResourceName": [
        "cpu", "memory", "nvidia.com/gpu", "ephemeral-storage", "hugepages-2Mi", "hugepages-3Mi",
        "kubernetes.io/x", "requests.a/b", f"{'x' * 64}.com/a", f"a/{'x' * 63}", "hugepages-0Gi",
        "requests.x.com/gpu", "attachable-volumes.k8s.io/a", "example.com/x.y",
    ],
    "PartOfPods": _PERCENTAGES,
    "AppProtocol": _PROTOCOLS,
    "NodePath": _PATHS,
    "FilePath": ["a", "a/b", "./a", "", ".", "a//b", "a/..b", "..a", "x" * 300],
    "DnsName": ["a.example.com", "b", "*.a.b", "x" * 64, "1.2.3.4", "é"],
    "ProcessText": _TEXTS,
    "PodField": [
        "metadata.name", "status.podIP", "metadata.labels['a']", "metadata.annotations['a b']",
        "spec.nodeName", "status.hostIPs", "metadata.labels['x/y/z']",
        "metadata.annotations['A.b/c']",
    ],
    "ResourceField": [
        "limits.memory", "requests.cpu", "limits.ephemeral-storage", "limits.hugepages-2Mi",
        "requests.hugepages-3Mi",
    ],
    "Cidr": ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "::/0", "10.0.0.1/8", "10.0.0.0", "fd00::/8",
             "10.0.0.0/255.0.0.0", "10.1.2.3/32", "::ffff:10.0.0.0/104", "fe80::1%eth0"],
    "IpAddress": ["10.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "0.0.0.0"],
    "IsoDate": ["2099-01-01"],
    "FileMode": ["0440", 0, 0o777, "777"],
}  # fmt: skip
# Values by class and setting, for texts that have no type of their own.
_BY_SETTING: dict[tuple[str, str], list[Any]] = {
    ("HttpGet", "path"): ["/", "/a b", "", "a", "/é", "\0"],
    ("HttpGet", "host"): ["a.b", "", "a b", "x" * 300],
    ("Security", "drop_capabilities"): [["ALL"], [], ["NET_RAW"], ["a b"], ["CAP_SYS_ADMIN"]],
    ("Security", "add_capabilities"): [[], ["IPC_LOCK"], ["CAP_SYS_ADMIN"], [""]],
    ("ContainerSecurity", "add_capabilities"): [[], ["IPC_LOCK"], ["CAP_SYS_ADMIN"], [""]],
    ("Toleration", "value"): _LABEL_VALUES,
    ("ConfigFiles", "files"): [
        {"a": "b"}, {"a": "\0"}, {"b": ""}, {"a": "x" * 1_048_576},
        {"a": "x" * 1_048_575}, {"a": "é" * 600_000},
        {"a": "x" * 600_000, "b": "x" * 600_000},
    ],
    ("Model", "annotations"): [
        {"a": "b"}, {"b": "c", "a": "d"}, {"a": ""}, {"a": "x" * 262_143},
        {"a": "x" * 262_144}, {"a": "x" * 300_000}, {"a": "\0"},
    ],
    ("Model", "description"): ["a", "", "b c", "x" * 262_144, "\0"],
}  # fmt: skip
# Values of fields of Kubernetes, and those of all other fields.
_FIELD_TEXTS = {
    "operator": ["In", "Exists", "DoesNotExist", "NotIn", "Gt", "Lt", "Equal", "x"],
    "effect": ["NoSchedule", "NoExecute", "PreferNoSchedule", "x"],
    "type": [
        "Utilization",
        "AverageValue",
        "Value",
        "Resource",
        "Pods",
        "Object",
        "External",
        "ContainerResource",
        "x",
    ],
    "topologyKey": ["zone", "example.com/a", "kubernetes.io/hostname", "", "a b"],
    "values": ["1", "a", "b", "a b", ""],
    "path": ["a", "a/b", "/a", "../a", ""],
    "mountPath": _PATHS,
    "name": ["a", "model", "http", "cpu", "memory", "a.b", "A", "a b", ""],
    "containerName": ["model", "a", "x"],
    "fieldPath": [
        "metadata.name",
        "metadata.labels",
        "metadata.labels['a']",
        "spec.nodeName",
        "x",
        "metadata.namespace",
    ],
    "resource": ["limits.cpu", "requests.memory", "limits.memory", "x", "cpu"],
    "nameservers": ["10.0.0.1", "::1", "10.0.0.2", "a", ""],
    "searches": ["a.b", "x", "svc.cluster.local", "a_b", "x" * 300, ""],
    "audience": ["a", "", "vault"],
}
_OTHER_TEXTS = ["a", "b", "a.b", "/a", "http", "", "A b", "x" * 64, "\0", "1"]
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
# Settings that say nothing of the objects, or that have a test of their own.
_LEFT_OUT = frozenset({"owner", "image", "waivers", "patch", "canary", "enabled", "links"})


class _Strategy:
    """Draws one model. `draw` is that of a composite strategy."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def chance(self, percent: int) -> bool:
        return bool(self._draw(st.integers(0, 99)) < percent)

    def pick(self, pool: list[Any]) -> Any:
        """Picks from a pool; the first three values are twice as likely as all others together."""
        return self._draw(st.sampled_from(pool[:3] if self.chance(65) else pool))

    def mapping(self, cls: type[BaseModel], percent: int) -> Json:
        drawn = {}
        for name, field in cls.model_fields.items():
            if cls is Model and name in _LEFT_OUT:
                continue
            if field.is_required() or self.chance(percent):
                drawn[field.alias or name] = self.setting(cls, name, percent)
        return drawn

    def setting(self, cls: type[BaseModel], name: str, percent: int) -> Any:
        if pool := _BY_SETTING.get((cls.__name__, name)):
            return self.pick(pool)
        field = cls.model_fields[name]
        annotation: Any = field.annotation
        if field.metadata:
            annotation = Annotated[(annotation, *field.metadata)]
        return self.value(annotation, percent)

    def value(self, annotation: Any, percent: int) -> Any:
        if pool := self._find_pool(annotation):
            return self.pick(pool)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            inner, *metadata = arguments
            for item in metadata:
                if type(item).__name__ == "Definition":
                    return self.definition(FieldType(item.name), item.name, 25)
            if inner is int:
                return self._number(metadata)
            return self.value(inner, percent)
        if origin in (Union, types.UnionType):
            return self.value(
                self._draw(st.sampled_from([a for a in arguments if a is not type(None)])), percent
            )
        if origin is Literal:
            return self._draw(st.sampled_from(arguments))
        if origin is dict:
            key, item = arguments
            return {
                self.value(key, 0): self.value(item, percent)
                for _ in range(self._draw(st.integers(1, 2)))
            }
        if origin is tuple:
            return [self.value(arguments[0], percent) for _ in range(self._draw(st.integers(0, 2)))]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if len(annotation.model_fields) > 6:
                percent = 20
            return self._one_of(annotation, self.mapping(annotation, percent))
        if annotation is bool:
            return self.chance(50)
        if annotation is int:
            return self.pick(_NUMBERS)
        return self.pick(_TEXTS)

    def _find_pool(self, annotation: Any) -> list[Any]:
        for name, pool in _POOLS.items():
            if pool and getattr(values, name) == annotation:
                return pool
        return []

    def _number(self, metadata: list[Any]) -> int:
        """Picks a number within the limits of a setting; the limits are among the numbers."""
        limits = [*metadata, *(part for mark in metadata for part in getattr(mark, "metadata", ()))]
        low = max((int(str(limit.ge)) for limit in limits if isinstance(limit, Ge)), default=0)
        high = min((int(str(limit.le)) for limit in limits if isinstance(limit, Le)), default=2**63)
        return int(self.pick([n for n in [*_NUMBERS, low, high] if low <= n <= high]))

    def _one_of(self, cls: type[BaseModel], drawn: Json) -> Json:
        """Keeps one of the settings that exclude each other, as most models have it."""
        group = _GROUPS.get(cls.__name__)
        if group is None:
            return drawn
        chosen = self._draw(st.sampled_from(group))
        kept = {key: value for key, value in drawn.items() if key not in group}
        kept[chosen] = drawn.get(chosen) or self.setting(cls, _field_name(cls, chosen), 20)
        if cls.__name__ == "Volume":
            kept.setdefault("mountPath", self.pick(_PATHS))
            for option, takers in _VOLUME_OPTIONS.items():
                if chosen not in takers:
                    kept.pop(option, None)
        return kept

    def definition(self, type_: FieldType, where: str, percent: int, depth: int = 0) -> Any:
        """Draws a value of a field of Kubernetes; the deeper it is, the fewer fields it has."""
        if type_.name == "list" and type_.items:
            count = self._draw(st.integers(0 if self.chance(10) else 1, 2))
            return [self.definition(type_.items, where, percent, depth) for _ in range(count)]
        if type_.name == "map":
            amounts = type_.items is not None and type_.items.name == "Quantity"
            return {self.pick(_LABEL_KEYS): self.pick(_QUANTITIES if amounts else _LABEL_VALUES)}
        if not type_.fields:
            return self._scalar(type_, where)
        names = [
            name
            for name in type_.fields
            if name in type_.required or self.chance(max(5, percent - 4 * depth))
        ] or [self._draw(st.sampled_from(sorted(type_.fields)))]
        return {
            name: self.definition(type_.fields[name], f"{type_.name}.{name}", percent, depth + 1)
            for name in names
        }

    def _scalar(self, type_: FieldType, where: str) -> Any:
        match type_.name:
            case "boolean":
                return self.chance(50)
            case "int32" | "int64":
                return self.pick([1, 5, 80, -1, *_NUMBERS])
            case "Quantity":
                return self.pick(_QUANTITIES)
            case "IntOrString":
                return self.pick([80, "http", "25%", 0, 70000, "a b", ""])
            case "string":
                texts = _FIELD_TEXTS.get(where.rpartition(".")[2], _OTHER_TEXTS)
                return self.pick(list(type_.allowed) or texts)
        return {}


def _field_name(cls: type[BaseModel], alias: str) -> str:
    return next(name for name, field in cls.model_fields.items() if (field.alias or name) == alias)


@st.composite
def model_settings(draw: Draw) -> Json:
    """Draws the settings of one model: a valid one with a few settings changed."""
    strategy = _Strategy(draw)
    names = draw(
        st.lists(
            st.sampled_from(sorted(Model.model_fields.keys() - _LEFT_OUT)),
            min_size=1, max_size=4, unique=True,
        )
    )  # fmt: skip
    drawn: Json = {}
    for name in names:
        drawn[Model.model_fields[name].alias or name] = strategy.setting(Model, name, 30)
    return {"owner": "team-a", "profiles": ["server"], "image": {"tag": "v1"}, **drawn}


def draw_models(count: int, start: int = 0) -> list[Json]:
    """Returns `count` random models, the same ones for the same `start`."""
    drawn: list[Json] = []

    @seed(start)
    @settings(
        max_examples=count, phases=[Phase.generate], database=None, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(model_settings())
    def collect(model: Json) -> None:
        drawn.append(model)

    collect()
    return drawn
