"""Rules of the API server that its OpenAPI document does not contain.

`FIELD_RULES` restricts single values, `find_broken_rules` compares the values of one mapping. They
follow `pkg/apis/*/validation` of Kubernetes. A test holds random objects to the real server, so a
rule that is missing here, or stricter than the server, becomes known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from ipaddress import ip_address
from typing import Any, NamedTuple, get_args

from framework.core.diagnostics import Code, KeyPath, SettingDiagnostic
from framework.core.quantities import quantity_value
from framework.plan.patch.field_types import FieldType
from framework.settings.amounts import find_unlikely
from framework.settings.container import Resources
from framework.settings.values import (
    AnnotationKey,
    ConfigKey,
    EnvName,
    FilePath,
    Form,
    LabelKey,
    LabelValue,
    ObjectName,
    PodField,
    ResourceField,
    ShortName,
)

Object = Mapping[str, Any]
Show = Callable[[KeyPath, Any], str]
"""Renders a value for a message: REDACTED where it may be secret."""
Rule = Callable[[Object, Show], Iterator[SettingDiagnostic]]


class FieldRule(NamedTuple):
    """Restricts one value; `expected` completes the message "expected ..."."""

    accepts: Callable[[Any], bool]
    expected: str


def _text(form: Form) -> FieldRule:
    matches = re.compile(form.pattern).fullmatch

    def accepts(value: Any) -> bool:
        return not isinstance(value, str) or (
            matches(value) is not None and not 0 < form.longest < len(value)
        )

    return FieldRule(accepts, form.expected)


def _form(annotated: Any) -> FieldRule:
    return _text(get_args(annotated)[1])


def _number(low: int, high: int | None = None) -> FieldRule:
    expected = f"{low} or more" if high is None else f"a number from {low} to {high}"

    def accepts(value: Any) -> bool:
        return not isinstance(value, int) or (low <= value and (high is None or value <= high))

    return FieldRule(accepts, expected)


def _choice(*names: str) -> FieldRule:
    quoted = ", ".join(f'"{name}"' for name in names)
    return FieldRule(lambda value: not isinstance(value, str) or value in names, f"one of {quoted}")


def _is_address(value: Any) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return not isinstance(value, str)
    # The zone of an address (`fe80::1%eth0`) is refused by the API server.
    return "%" not in value


_LABEL_KEY, _LABEL_VALUE = _form(LabelKey), _form(LabelValue)
_OBJECT_NAME, _SHORT_NAME = _form(ObjectName), _form(ShortName)
_NOT_EMPTY = FieldRule(lambda value: value != "", "text that is not empty")
_FILE_PATH = _form(FilePath)
_PORT = _number(1, 65535)
_PORT_NAME = re.compile("(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PORT_OR_NAME = FieldRule(
    lambda value: (
        _PORT.accepts(value)
        and (
            not isinstance(value, str)
            or (len(value) <= 15 and _PORT_NAME.fullmatch(value) is not None)
        )
    ),
    "a port from 1 to 65535, or the name of a port",
)
_MODE = _number(0, 0o777)
_WEIGHT = _number(1, 100)
_USER = _number(0, 2**31 - 1)
# Names in the path of a request: those of metrics.
_SEGMENT = FieldRule(
    lambda value: (
        not isinstance(value, str)
        or bool(value not in ("", ".", "..") and not re.search("[/%]", value))
    ),
    "a name without '/' and '%'",
)

# Rules by definition and field. For a list they hold for each item.
FIELD_RULES: dict[tuple[str, str], FieldRule] = {
    ("CSIVolumeSource", "driver"): _text(
        Form(
            "[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?",
            "the name of a CSI driver: letters, digits, '-' and '.', at most 63",
            63,
        )
    ),
    ("ConfigMapKeySelector", "key"): _form(ConfigKey),
    ("ConfigMapProjection", "name"): _OBJECT_NAME,
    ("Container", "name"): _SHORT_NAME,
    ("Container", "image"): _text(Form(r"\S+", "an image, without spaces")),
    ("ContainerPort", "containerPort"): _PORT,
    ("ContainerPort", "hostPort"): _number(0, 65535),
    ("ContainerPort", "name"): _text(
        Form(
            _PORT_NAME.pattern,
            "a port name: at most 15 lower-case letters, digits and '-', at least one of them a "
            "letter",
            15,
        )
    ),
    ("ContainerResourceMetricSource", "container"): _SHORT_NAME,
    ("ContainerResourceMetricSource", "name"): _choice("cpu", "memory", "ephemeral-storage"),
    ("CrossVersionObjectReference", "kind"): _SEGMENT,
    ("CrossVersionObjectReference", "name"): _SEGMENT,
    ("DownwardAPIVolumeFile", "path"): _FILE_PATH,
    ("DownwardAPIVolumeFile", "mode"): _MODE,
    ("EnvVar", "name"): _form(EnvName),
    ("GRPCAction", "port"): _PORT,
    ("HTTPGetAction", "port"): _PORT_OR_NAME,
    ("HTTPHeader", "name"): _text(Form("[-A-Za-z0-9]+", "an HTTP header's name")),
    ("KeyToPath", "key"): _form(ConfigKey),
    ("KeyToPath", "mode"): _MODE,
    ("KeyToPath", "path"): _FILE_PATH,
    ("LabelSelectorRequirement", "key"): _LABEL_KEY,
    ("LabelSelectorRequirement", "operator"): _choice("In", "NotIn", "Exists", "DoesNotExist"),
    ("LabelSelectorRequirement", "values"): _LABEL_VALUE,
    ("LocalObjectReference", "name"): _OBJECT_NAME,
    ("MetricIdentifier", "name"): _SEGMENT,
    ("MetricSpec", "type"): _choice("ContainerResource", "External", "Object", "Pods", "Resource"),
    ("MetricTarget", "averageUtilization"): _number(1),
    ("MetricTarget", "type"): _choice("Utilization", "Value", "AverageValue"),
    ("NFSVolumeSource", "path"): _text(Form("/.*", "an absolute path")),
    ("NFSVolumeSource", "server"): _NOT_EMPTY,
    ("NodeSelectorRequirement", "operator"): _choice(
        "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"
    ),
    ("ObjectFieldSelector", "fieldPath"): _form(PodField),
    ("PodAffinityTerm", "matchLabelKeys"): _LABEL_KEY,
    ("PodAffinityTerm", "mismatchLabelKeys"): _LABEL_KEY,
    ("PodAffinityTerm", "namespaces"): _SHORT_NAME,
    ("PodAffinityTerm", "topologyKey"): _LABEL_KEY,
    ("PodDNSConfig", "nameservers"): FieldRule(_is_address, "an IP address"),
    ("PodDNSConfig", "searches"): _text(
        Form(
            r"\.|[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*\.?",
            "a DNS name, at most 253 characters",
            254,
        )
    ),
    ("PodDNSConfigOption", "name"): _NOT_EMPTY,
    ("PodSecurityContext", "fsGroup"): _USER,
    ("PodSecurityContext", "runAsGroup"): _USER,
    ("PodSecurityContext", "runAsUser"): _USER,
    ("PodSecurityContext", "supplementalGroups"): _USER,
    ("PodSpec", "terminationGracePeriodSeconds"): _number(0),
    ("PreferredSchedulingTerm", "weight"): _WEIGHT,
    ("Probe", "failureThreshold"): _number(0),
    ("Probe", "initialDelaySeconds"): _number(0),
    ("Probe", "periodSeconds"): _number(0),
    ("Probe", "successThreshold"): _number(0),
    ("Probe", "terminationGracePeriodSeconds"): _number(1),
    ("Probe", "timeoutSeconds"): _number(0),
    ("ProjectedVolumeSource", "defaultMode"): _MODE,
    ("ResourceFieldSelector", "resource"): _form(ResourceField),
    ("ResourceMetricSource", "name"): _NOT_EMPTY,
    ("SecretKeySelector", "key"): _form(ConfigKey),
    ("SecretProjection", "name"): _OBJECT_NAME,
    ("SecurityContext", "runAsGroup"): _USER,
    ("SecurityContext", "runAsUser"): _USER,
    ("ServiceAccountTokenProjection", "expirationSeconds"): _number(600, 2**32),
    ("ServiceAccountTokenProjection", "path"): _FILE_PATH,
    ("ServicePort", "nodePort"): _number(0, 65535),
    ("ServicePort", "port"): _PORT,
    ("ServicePort", "targetPort"): _PORT_OR_NAME,
    ("TCPSocketAction", "port"): _PORT_OR_NAME,
    ("Volume", "name"): _SHORT_NAME,
    ("WeightedPodAffinityTerm", "weight"): _WEIGHT,
}
# Fields that map names to text: the rule of the keys, and that of the values.
MAPPING_RULES: dict[str, tuple[FieldRule, FieldRule | None]] = {
    "annotations": (_form(AnnotationKey), None),
    "labels": (_LABEL_KEY, _LABEL_VALUE),
    "matchLabels": (_LABEL_KEY, _LABEL_VALUE),
    "nodeSelector": (_LABEL_KEY, _LABEL_VALUE),
}
# Lists with a largest number of items.
MOST_ITEMS = {("PodDNSConfig", "nameservers"): 3, ("PodDNSConfig", "searches"): 32}
# Fields of which only one may be set, after the word that messages use for them.
ONE_OF = {
    "Probe": ("handler", ("exec", "grpc", "httpGet", "tcpSocket")),
    "LifecycleHandler": ("handler", ("exec", "httpGet", "sleep", "tcpSocket")),
    "EnvVar": ("value", ("value", "valueFrom")),
    "EnvVarSource": (
        "source",
        ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"),
    ),
    "VolumeProjection": (
        "source",
        (
            "clusterTrustBundle", "configMap", "downwardAPI", "podCertificate", "secret",
            "serviceAccountToken",
        ),
    ),
    "DownwardAPIVolumeFile": ("source", ("fieldRef", "resourceFieldRef")),
}  # fmt: skip


def find_broken_rules(
    value: Any, type_: FieldType, show: Show, at: KeyPath = ()
) -> Iterator[SettingDiagnostic]:
    """Yields the rules that a complete value breaks; each of its fields has the right type."""
    if type_.name == "list" and type_.items and isinstance(value, list):
        for index, item in enumerate(value):
            yield from find_broken_rules(item, type_.items, show, (*at, index))
    elif type_.fields and isinstance(value, Mapping):
        if rule := _RULES.get(type_.name):

            def show_below(path: KeyPath, child: Any) -> str:
                return show((*at, *path), child)

            for broken in rule(value, show_below):
                yield broken._replace(path=(*at, *broken.path))
        for key, child in value.items():
            if key in type_.fields and child is not None:
                yield from find_broken_rules(child, type_.fields[key], show, (*at, key))


def _broken(path: KeyPath, message: str, *, at_key: bool = False) -> SettingDiagnostic:
    return SettingDiagnostic(path, message, Code.BAD_VALUE, at_key=at_key)


# The source that a metric of each type has, and the targets of which it needs exactly one.
_METRICS = {
    "ContainerResource": ("containerResource", ("averageUtilization", "averageValue"), True),
    "External": ("external", ("value", "averageValue"), True),
    "Object": ("object", ("value", "averageValue"), False),
    "Pods": ("pods", ("averageValue",), False),
    "Resource": ("resource", ("averageUtilization", "averageValue"), True),
}
_SOURCES = tuple(source for source, _, _ in _METRICS.values())


def _check_metric(metric: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks that a metric has the source of its type, and a target that fits the source."""
    source, targets, only_one = _METRICS[metric["type"]]
    for other in _SOURCES:
        if other != source and other in metric:
            message = f'belongs to another type than "{metric["type"]}"; expected {source} alone'
            yield _broken((other,), message, at_key=True)
    if source not in metric:
        yield _broken((), f'has type "{metric["type"]}"; expected {source} with it')
        return
    target = metric[source]["target"]
    given = [name for name in targets if name in target]
    if not given or (only_one and len(given) > 1):
        count = "exactly one of " if only_one else ""
        message = f"has {len(given)} of {' and '.join(targets)}; expected {count}"
        yield _broken((source, "target"), message + " or ".join(targets))
    for name in ("value", "averageValue"):
        if name in target and not _amount(target[name]) > 0:
            path = (source, "target", name)
            yield _broken(path, f"is {show(path, target[name])}; expected more than 0")


def _amount(quantity: Any) -> Fraction:
    return quantity_value(str(quantity))


def _check_node_requirement(requirement: Object, show: Show) -> Iterator[SettingDiagnostic]:
    yield from _check_operator(requirement)
    operator, values = requirement["operator"], requirement.get("values") or ()
    if operator in ("Gt", "Lt") and len(values) != 1:
        yield _broken((), f'has {len(values)} values; expected one with operator "{operator}"')


def _check_label_requirement(requirement: Object, show: Show) -> Iterator[SettingDiagnostic]:
    yield from _check_operator(requirement)


def _check_operator(requirement: Object) -> Iterator[SettingDiagnostic]:
    operator, values = requirement["operator"], requirement.get("values") or ()
    if operator in ("In", "NotIn") and not values:
        yield _broken((), f'has no values; expected one or more with operator "{operator}"')
    if operator in ("Exists", "DoesNotExist") and values:
        yield _broken(("values",), f'is not allowed with operator "{operator}"; remove it')


def _check_node_term(term: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks requirements of labels, and those of `matchFields`, which are about a node's name."""
    for index, requirement in enumerate(term.get("matchExpressions") or ()):
        if not _LABEL_KEY.accepts(requirement["key"]):
            path: KeyPath = ("matchExpressions", index, "key")
            yield _broken(path, f"is {show(path, requirement['key'])}; expected a label's key")
    for index, requirement in enumerate(term.get("matchFields") or ()):
        here: KeyPath = ("matchFields", index)
        if requirement["key"] != "metadata.name":
            message = f"is {show((*here, 'key'), requirement['key'])}; expected metadata.name"
            yield _broken((*here, "key"), message)
        if requirement["operator"] not in ("In", "NotIn"):
            yield _broken((*here, "operator"), 'expected "In" or "NotIn" for a field of the node')
        elif len(requirement.get("values") or ()) != 1:
            yield _broken(here, "expected exactly one value for a field of the node")


def _check_node_selector(selector: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the values of required terms; in preferred ones the server accepts any text."""
    terms = selector["nodeSelectorTerms"]
    if not terms:
        yield _broken(("nodeSelectorTerms",), "is empty; expected at least one term")
    for number, term in enumerate(terms):
        for index, requirement in enumerate(term.get("matchExpressions") or ()):
            for position, value in enumerate(requirement.get("values") or ()):
                if not _LABEL_VALUE.accepts(value):
                    path = ("nodeSelectorTerms", number, "matchExpressions", index, "values",
                            position)  # fmt: skip
                    yield _broken(path, f"is {show(path, value)}; expected {_LABEL_VALUE.expected}")


def _check_pod_term(term: Object, show: Show) -> Iterator[SettingDiagnostic]:
    both = ("matchLabelKeys", "mismatchLabelKeys")
    for name in both:
        if term.get(name) and not term.get("labelSelector"):
            yield _broken((name,), "needs a labelSelector with it")
    for key in term.get(both[0]) or ():
        if key in (term.get(both[1]) or ()):
            yield _broken((both[1],), f"has {key}, like {both[0]}; expected it in one of them")


def _check_projected(projected: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks that no two files of a projected volume have the same path."""
    taken: set[str] = set()
    for index, source in enumerate(projected.get("sources") or ()):
        for kind, content in source.items():
            for path, file in _list_files(kind, content):
                if file in taken:
                    where = ("sources", index, kind, *path)
                    yield _broken(where, f"is {show(where, file)}, which another source has too")
                taken.add(file)


def _list_files(kind: str, content: Object) -> Iterator[tuple[KeyPath, str]]:
    if kind == "serviceAccountToken":
        yield ("path",), content["path"]
    for index, item in enumerate(content.get("items") or ()):
        yield ("items", index, "path"), item["path"]


def _expect_one_of(definition: str, noun: str, choices: Sequence[str]) -> Rule:
    def check(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
        if not any(value.get(choice) is not None for choice in choices):
            yield _broken((), f"has no {noun}; expected one of {', '.join(choices)}")

    return check


# Definitions that need a name, although the OpenAPI document does not require it.
_NAMED = ("ConfigMapProjection", "PodDNSConfigOption", "SecretProjection")


def _check_named(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if not value.get("name"):
        yield _broken((), "has no name; expected one")


def _check_resources(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks amounts as the setting `resources` does: half a byte, or a request above its limit."""
    requests, limits = (
        {name: str(amount) for name, amount in (value.get(kind) or {}).items()}
        for kind in ("requests", "limits")
    )
    yield from Resources.model_construct(requests=requests, limits=limits).find_diagnostics()


def _check_storage(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks the size of a claim."""
    size = (value.get("requests") or {}).get("storage")
    if size is not None and (message := find_unlikely("storage", str(size))):
        yield _broken(("requests", "storage"), message)


def _check_empty_dir(value: Object, show: Show) -> Iterator[SettingDiagnostic]:
    limit = value.get("sizeLimit")
    if limit is not None and (message := find_unlikely("storage", str(limit))):
        yield _broken(("sizeLimit",), message)


_RULES: dict[str, Rule] = {
    "EmptyDirVolumeSource": _check_empty_dir,
    "LabelSelectorRequirement": _check_label_requirement,
    "MetricSpec": _check_metric,
    "NodeSelector": _check_node_selector,
    "NodeSelectorRequirement": _check_node_requirement,
    "NodeSelectorTerm": _check_node_term,
    "PodAffinityTerm": _check_pod_term,
    "ProjectedVolumeSource": _check_projected,
    "ResourceRequirements": _check_resources,
    "VolumeResourceRequirements": _check_storage,
    **dict.fromkeys(_NAMED, _check_named),
    **{name: _expect_one_of(name, *ONE_OF[name]) for name in ("EnvVarSource", "VolumeProjection")},
}
