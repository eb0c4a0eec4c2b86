"""Settings in the form of Kubernetes, such as `scheduling.affinity`: checked as patches are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from framework.core.diagnostics import Code
from framework.plan.patch.field_types import FieldType
from framework.plan.raw_settings import list_raw_settings
from framework.settings.environment import Environment
from framework.settings.model import Model
from framework.settings.values import Definition
from tests.plan.small_catalog import PROD, check, write_files

A = "catalog/a.yaml"
NODES = (
    "scheduling: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
    "{nodeSelectorTerms: [%s]}}}}"
)
NODE = NODES % "{matchExpressions: [%s]}"
PREFERRED = (
    "scheduling: {affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: "
    "[%s]}}}"
)
METRIC = "autoscaling: {minReplicas: 4, maxReplicas: 8, metrics: {q: %s}}"
TARGET = "{type: AverageValue, averageValue: 5}"
PROJECTED = "volumes: {v: {mountPath: /v, projected: {sources: [%s]}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scheduling: {affinity: {§nodeAfinity: {}}}",
         "scheduling.affinity.nodeAfinity is not a field of an Affinity; "
         'did you mean "nodeAffinity"?'),
        ("scheduling: {affinity: {§podAntiaffinity: {}}}", 'did you mean "podAntiAffinity"?'),
        ("scheduling: {affinity: {nodeAffinity: §[]}}", "is a list; expected a mapping"),
        (NODES % "{§matchExpression: []}", 'did you mean "matchExpressions"?'),
        (NODES.replace("[%s]", "§[]"), "is empty; expected at least one term"),
        (NODE % "§{key: a}", "lacks operator, which a NodeSelectorRequirement requires"),
        (NODE % "{key: a, operator: §in, values: [b]}", 'is "in"; expected one of "In", "NotIn"'),
        (NODE % "§{key: a, operator: In}", "has no values; expected one or more"),
        (NODE % "{key: a, operator: Exists, values: §[b]}", "is not allowed with operator"),
        (NODE % "§{key: a, operator: Gt, values: ['1', '2']}", "has 2 values; expected one"),
        (NODE % "{key: §a b, operator: Exists}", "expected a label's key"),
        (NODE % "{key: a, operator: In, values: [b, §c d]}", 'is "c d"; expected at most'),
        (NODE % "{key: a, operator: In, values: [§1]}", 'is 1; expected text: quote it, "1"'),
        (NODES % "{matchFields: [{key: §a, operator: In, values: [b]}]}", "expected metadata.name"),
        (PREFERRED % "{weight: §101, podAffinityTerm: {topologyKey: zone}}",
         "is 101; expected a number from 1 to 100"),
        (PREFERRED % "{weight: 9, podAffinityTerm: {topologyKey: §''}}", "expected a label's key"),
        (PREFERRED % "{weight: 9, podAffinityTerm: §{labelSelector: {}}}",
         "lacks topologyKey, which a PodAffinityTerm requires"),
        (PREFERRED % "{weight: 9, podAffinityTerm: {topologyKey: z, labelSelector: {matchLabels: "
         "{a: §b c}}}}", 'is "b c"; expected at most 63 letters'),
        (METRIC % "{type: §Objekt, objekt: {}}", 'is "Objekt"; expected one of'),
        (METRIC % "{type: Object, §objekt: {}}", 'did you mean "object"?'),
        (METRIC % "§{type: Pods}", 'has type "Pods"; expected pods with it'),
        (METRIC % "{type: Pods, §resource: {name: cpu, target: {type: "
         "Utilization, averageUtilization: 5}}, pods: {metric: {name: q}, target: %s}}" % TARGET,
         "belongs to another type than"),
        (METRIC % "{type: Pods, pods: {metric: {name: q}, target: §{type: Value, value: 5}}}",
         "has 0 of averageValue; expected averageValue"),
        (METRIC % "{type: Pods, pods: {metric: {name: §a/b}, target: %s}}" % TARGET,
         "expected a name without"),
        (METRIC % "{type: Pods, pods: {metric: {name: q}, target: {type: AverageValue, "
         "averageValue: §0}}}", "is 0; expected more than 0"),
        (METRIC % "{type: Resource, resource: {name: cpu, target: {type: Utilization, "
         "averageUtilization: §0}}}", "is 0; expected 1 or more"),
        (METRIC % "{type: External, external: {metric: {name: q}, target: §{type: Value, value: 1,"
         " averageValue: 1}}}", "has 2 of value and averageValue; expected exactly one of"),
        ("volumes: {a: {mountPath: /a, csi: §{drivr: x}}}", "lacks driver, which a CSI"),
        ("volumes: {a: {mountPath: /a, csi: {driver: x, §readonly: true}}}",
         'did you mean "readOnly"?'),
        ("volumes: {a: {mountPath: /a, csi: {driver: §a_b}}}", "expected the name of a CSI driver"),
        ("volumes: {a: {mountPath: /a, nfs: {server: s, path: §x}}}", "expected an absolute path"),
        ("volumes: {a: {mountPath: /a, nfs: §{server: s}}}", "lacks path, which an NFS"),
        (PROJECTED % "§{}", "has no source; expected one of"),
        (PROJECTED % "{secret: {name: a}, §configMap: {name: b}}", "is a second source beside"),
        (PROJECTED % "{secret: §{}}", "has no name; expected one"),
        (PROJECTED % "{secret: {name: a, items: [{key: k, path: §/x}]}}", "expected the path"),
        (PROJECTED % "{serviceAccountToken: {path: t, expirationSeconds: §60}}", "from 600 to"),
        (PROJECTED % "{secret: {name: a, items: [{key: k, path: x}]}}, "
         "{configMap: {name: b, items: [{key: k, path: §x}]}}", "which another source has too"),
        ("pod: {dnsConfig: {§nameserver: [10.0.0.1]}}", 'did you mean "nameservers"?'),
        ("pod: {dnsConfig: {nameservers: [10.0.0.1, §dns]}}", 'is "dns"; expected an IP address'),
        ("pod: {dnsConfig: {nameservers: §[10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4]}}",
         "has 4 items; expected at most 3"),
        ("pod: {dnsConfig: {searches: [§a b]}}", "expected a DNS name"),
    ],
    ids=lambda value: value if "§" in value else "",
)  # fmt: skip
def test_a_raw_setting_that_the_api_would_refuse_is_reported(
    text: str, message: str, tmp_path: Path
) -> None:
    checked = check(write_files(tmp_path, {A: f"+{text.replace('§', '')}\n"}))
    positions = {error.position for error in checked.errors}
    expected = f"{A}:4:{text.index('§') + 1}" if "§" in text else next(iter(positions))
    messages = [error.message for error in checked.errors if error.position == expected]
    assert [text for text in messages if message in text], checked.errors
    assert "a" in checked.unplanned


@pytest.mark.parametrize(
    "text",
    [
        NODE % "{key: a, operator: In, values: ['1', '']}, {key: b, operator: Gt, values: ['1']}",
        NODES % "{matchFields: [{key: metadata.name, operator: In, values: [n]}]}",
        PREFERRED % "{weight: 100, podAffinityTerm: {topologyKey: zone, labelSelector: {}}}",
        METRIC % "{type: Object, object: {describedObject: {kind: Service, name: a}, metric: "
        "{name: q}, target: {type: Value, value: 100m}}}",
        METRIC % "{type: ContainerResource, containerResource: {name: cpu, container: model, "
        "target: {type: Utilization, averageUtilization: 60}}}",
        "volumes: {a: {mountPath: /a, csi: {driver: x.example.com, volumeAttributes: {a: 'B c'}}}}",
        PROJECTED % "{serviceAccountToken: {path: t, audience: vault}}, {secret: {name: s}}",
        PROJECTED % "{downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.name}}]}}",
        "pod: {dnsConfig: {searches: [a.b, .], options: [{name: ndots, value: '2'}]}}",
    ],
)
def test_a_raw_setting_that_the_api_accepts_is_no_error(text: str, tmp_path: Path) -> None:
    assert check(write_files(tmp_path, {A: f"+{text}\n"})).errors == ()


POD = "patch: {Deployment: {spec: {template: {spec: %s}}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("autoscaling: {minReplicas: 4, maxReplicas: 8, cpu: 80}\n"
         "patch: {HorizontalPodAutoscaler: {spec: {metrics: ["
         "{type: Resource, resource: {name: cpu, target: §{type: Utilization}}}]}}}",
         "has 0 of averageUtilization and averageValue"),
        (POD % "{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
         "{nodeSelectorTerms: [{matchExpressions: [§{key: a, operator: In}]}]}}}}",
         "has no values; expected one or more"),
    ],
)  # fmt: skip
def test_a_patched_object_is_held_to_the_rules_of_the_server(
    text: str, message: str, tmp_path: Path
) -> None:
    column = len(text[: text.index("§")].splitlines()[-1]) + 1
    (error,) = check(write_files(tmp_path, {A: f"+{text.replace('§', '')}"})).errors
    assert message in error.message
    assert error.column == column


def test_a_bad_field_is_reported_in_the_file_that_has_it(tmp_path: Path) -> None:
    shared = "namespace: n\noverrides: {scheduling: {affinity: {podAfinity: {}}}}\n"
    (error,) = {
        (error.position, error.code)
        for error in check(write_files(tmp_path, {PROD: shared})).errors
    }
    assert error == (f"{PROD}:2:37", Code.UNKNOWN_KEY)


def test_a_candidate_is_checked_as_well(tmp_path: Path) -> None:
    text = "+canary: {candidate: {pod: {dnsConfig: {server: x}}}}\n"
    checked = check(write_files(tmp_path, {A: text}))
    assert [(error.position, error.code) for error in checked.errors] == [
        (f"{A}:4:40", Code.UNKNOWN_KEY)
    ]


def test_a_secret_in_a_raw_setting_is_not_quoted(tmp_path: Path) -> None:
    csi = "{driver: x, volumeAttributes: {password: [hunter2]}}"
    text = f"+volumes: {{a: {{mountPath: /a, csi: {csi}}}}}\n"
    (error,) = check(write_files(tmp_path, {A: text})).errors
    assert "hunter2" not in error.message


def _list_mappings(settings_type: type[BaseModel], seen: set[Any]) -> list[str]:
    """Returns the settings that take any mapping, and the definition of each."""
    found = []
    for name, field in settings_type.model_fields.items():
        annotation = repr(field.annotation) + repr(field.metadata)
        if "Dict[str, Any]" in annotation or "dict[str, typing.Any]" in annotation:
            found.append(
                f"{settings_type.__name__}.{name}" + ("" if "Definition(" in annotation else "?")
            )
        for nested in _nested(field.annotation):
            if nested not in seen:
                seen.add(nested)
                found += _list_mappings(nested, seen)
    return found


def _nested(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _nested(argument)]


def test_every_setting_that_takes_any_mapping_is_checked() -> None:
    found = [*_list_mappings(Model, set()), *_list_mappings(Environment, set())]
    unchecked = {name.removesuffix("?") for name in found if name.endswith("?")}
    # Partial models are validated after merging. Patches, and further objects once their kind is
    # known, are held to the same fields elsewhere.
    assert unchecked == {
        "Canary.candidate", "Model.objects", "Model.patch", "Environment.defaults",
        "Environment.overrides",
    }  # fmt: skip
    assert "Scheduling.affinity" in found


def test_every_definition_exists() -> None:
    marks = {
        mark
        for name in ("Affinity", "CSIVolumeSource", "MetricSpec", "NFSVolumeSource", "PodDNSConfig",
                     "ProjectedVolumeSource")
        for mark in [Definition(name)]
        if not FieldType(name).fields
    }  # fmt: skip
    assert marks == set()


def test_raw_settings_are_listed_by_path() -> None:
    settings = Model.model_validate(
        {
            "owner": "a",
            "image": {"repository": "a", "tag": "b"},
            "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "metrics": {"q": {"type": "Pods"}}},
            "volumes": {"v": {"mountPath": "/v", "nfs": {"server": "s"}}},
            "service": {"enabled": False},
        }
    )
    assert [(path, definition) for path, definition, _ in list_raw_settings(settings)] == [
        (("autoscaling", "metrics", "q"), "MetricSpec"),
        (("volumes", "v", "nfs"), "NFSVolumeSource"),
    ]
