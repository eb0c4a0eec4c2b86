"""Values from interpolations: they keep their type, and get the checks of values written out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from framework.core.field_paths import get_at
from tests.plan.small_catalog import check, first_model, write_files

A = "catalog/a.yaml"
VARIABLES = 'variables: {n: 9000, five: 5, good: true, text: "9000", half: 512m}\n'
CONTAINER = "{name: x, image: ghcr.io/a/b:1, %s}"
JOB = (
    "objects: {o: {apiVersion: batch/v1, kind: Job, metadata: {%s}, spec: {template: "
    "{metadata: {%s}, spec: {restartPolicy: Never, %s containers: [%s]}}}}}"
)
POD = "spec.template.spec"
WEIGHTED = (
    "scheduling: {affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: "
    "[{weight: '${variables.five}', podAffinityTerm: {topologyKey: z, labelSelector: {matchLabels:"
    " {n: '${variables.n}'}}}}]}}}"
)
ANTI_AFFINITY = f"{POD}.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0]"


@pytest.mark.parametrize(
    ("own", "kind", "field", "value"),
    [
        (JOB % ("annotations: {a: '${variables.n}'}", "", "", CONTAINER % ""),
         "Job", "metadata.annotations.a", "9000"),
        (JOB % ("labels: {a: '${variables.good}'}", "", "", CONTAINER % ""),
         "Job", "metadata.labels.a", "true"),
        (JOB % ("", "labels: {a: '${ports.http}'}", "", CONTAINER % ""),
         "Job", "spec.template.metadata.labels.a", "8080"),
        (JOB % ("", "", "", CONTAINER % "args: ['${ports.http}', '--p=${ports.http}']"),
         "Job", f"{POD}.containers[0].args", ["8080", "--p=8080"]),
        (JOB % ("", "", "", CONTAINER % "env: [{name: A, value: '${variables.good}'}]"),
         "Job", f"{POD}.containers[0].env[0].value", "true"),
        (JOB % ("", "", "", CONTAINER % "ports: [{containerPort: '${ports.http}'}]"),
         "Job", f"{POD}.containers[0].ports[0].containerPort", 8080),
        (JOB % ("", "", "terminationGracePeriodSeconds: '${variables.five}',", CONTAINER % ""),
         "Job", f"{POD}.terminationGracePeriodSeconds", 5),
        (JOB % ("", "", "", CONTAINER % "resources: {limits: {cpu: '${variables.five}'}}"),
         "Job", f"{POD}.containers[0].resources.limits.cpu", 5),
        ("objects: {o: {apiVersion: v1, kind: ConfigMap, data: {a: '${variables.n}'}}}",
         "ConfigMap", "data.a", "9000"),
        ("objects: {o: {apiVersion: v1, kind: Service, spec: {ports: [{port: '${ports.http}'}]}}}",
         "Service", "spec.ports[0].port", 8080),
        ("objects: {o: {apiVersion: v1, kind: Service, spec: {ports: "
         "[{port: '${oc.select:ports.http}'}]}}}\nports: {http: {servicePort: 80}}",
         "Service", "spec.ports[0].port", 8080),
        ("objects: {o: {apiVersion: acme.io/v1, kind: Thing, metadata: {labels: "
         "{a: '${variables.n}'}}, spec: {port: '${ports.http}', flag: '${variables.good}'}}}",
         "Thing", "spec", {"port": 8080, "flag": True}),
        ("objects: {o: {apiVersion: acme.io/v1, kind: Thing, metadata: {labels: "
         "{a: '${variables.n}'}}, spec: {}}}", "Thing", "metadata.labels.a", "9000"),
        (WEIGHTED, "Deployment", f"{ANTI_AFFINITY}.weight", 5),
        (WEIGHTED, "Deployment",
         f"{ANTI_AFFINITY}.podAffinityTerm.labelSelector.matchLabels.n", "9000"),
        ("patch: {Deployment: {spec: {template: {spec: {nodeSelector: {n: '${variables.n}'}}}}}}",
         "Deployment", f"{POD}.nodeSelector.n", "9000"),
        ("patch: {Deployment: {spec: {template: {spec: {terminationGracePeriodSeconds: "
         "'${variables.n}'}}}}}", "Deployment", f"{POD}.terminationGracePeriodSeconds", 9000),
        ("args: ['${variables.n}', '${variables.good}']", "Deployment",
         f"{POD}.containers[0].args", ["9000", "true"]),
        ("env: {A: '${variables.good}'}", "Deployment",
         f"{POD}.containers[0].env[0].value", "true"),
        ("podAnnotations: {a: '${ports.http}'}", "Deployment",
         "spec.template.metadata.annotations.a", "8080"),
        ("labels: {a: '${variables.n}'}", "Deployment", "metadata.labels.a", "9000"),
        ("rollout: {minReadySeconds: '${variables.five}'}", "Deployment",
         "spec.minReadySeconds", 5),
    ],
)  # fmt: skip
def test_a_value_has_the_type_that_kubernetes_takes(
    tmp_path: Path, own: str, kind: str, field: str, value: Any
) -> None:
    loaded = check(write_files(tmp_path, {A: f"+{VARIABLES}{own}\n"}))
    assert [error.message for error in loaded.errors] == []
    key = "o" if own.startswith("objects") else ""
    manifests = first_model(loaded).manifests
    built = next(m.object for m in manifests if (m.kind, m.object_key) == (kind, key))
    keys = [int(key) if key.isdigit() else key for key in re.split(r"\W+", field) if key]
    assert get_at(built, keys) == value


def test_a_candidate_gets_text_in_its_own_patch(tmp_path: Path) -> None:
    patch = "{Deployment: {spec: {template: {spec: {nodeSelector: {n: '${variables.n}'}}}}}}"
    own = f"canary: {{candidate: {{patch: {patch}}}}}\n"
    loaded = check(write_files(tmp_path, {A: f"+{VARIABLES}{own}"}))
    assert [error.message for error in loaded.errors] == []
    pods = [
        m.object["spec"]["template"]["spec"]
        for m in first_model(loaded).manifests
        if m.kind == "Deployment"
    ]
    assert [pod.get("nodeSelector") for pod in pods] == [None, {"n": "9000"}]


@pytest.mark.parametrize("amount", ["512m", "'${variables.half}'"])
@pytest.mark.parametrize(
    ("own", "setting"),
    [
        ("resources: {requests: {memory: null}, limits: {memory: §%s}}", "resources.limits.memory"),
        ("resources: {limits: {memory: §%s}}", "resources.limits.memory"),
        ("sidecars: {s: {image: 'a:1', resources: {limits: {memory: §%s}}}}",
         "sidecars.s.resources.limits.memory"),
        ("volumes: {v: {mountPath: /v, emptyDir: {sizeLimit: §%s}}}",
         "volumes.v.emptyDir.sizeLimit"),
        (JOB % ("", "", "", CONTAINER % "resources: {requests: {memory: §%s}}"),
         f"objects.o.{POD}.containers[0].resources.requests.memory"),
        (JOB % ("", "", "volumes: [{name: v, emptyDir: {sizeLimit: §%s}}],", CONTAINER % ""),
         f"objects.o.{POD}.volumes[0].emptyDir.sizeLimit"),
        ("objects: {o: {apiVersion: v1, kind: PersistentVolumeClaim, spec: {accessModes: "
         "[ReadWriteOnce], resources: {requests: {storage: §%s}}}}}",
         "objects.o.spec.resources.requests.storage"),
        ("sidecars: {s: {image: 'a:1'}}\npatch: {Deployment: {spec: {template: {spec: "
         "{initContainers: [{name: s, resources: {limits: {memory: §%s}}}]}}}}}",
         f"patch.Deployment.{POD}.initContainers[0].resources.limits.memory"),
    ],
)  # fmt: skip
def test_half_a_byte_is_refused_at_its_line_wherever_it_comes_from(
    tmp_path: Path, own: str, setting: str, amount: str
) -> None:
    text = f"{VARIABLES}{own % amount}\n"
    files = write_files(tmp_path, {A: "+" + text.replace("§", "")})
    (error,) = check(files).errors
    line = text[: text.index("§")].splitlines()
    assert error.position == f"{A}:{len(line) + 3}:{len(line[-1]) + 1}"
    assert error.message.startswith(f"{setting} is 512m, which is less than one byte")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("replicas: ${variables.text}",
         'replicas is "9000" from ${variables.text}; expected a whole number: '
         "remove the quotes of variables.text"),
        (JOB.replace("spec: {template", "spec: {backoffLimit: '${variables.text}', template")
         % ("", "", "", CONTAINER % ""),
         'objects.o.spec.backoffLimit is "9000" from ${variables.text}; expected a whole number: '
         "remove the quotes"),
        ("probes: {readiness: {httpGet: {port: '${variables.large}'}}}\nvariables: {large: 70000}",
         "probes.readiness.httpGet.port is 70000 from ${variables.large}; expected 65535 or less"),
    ],
)  # fmt: skip
def test_a_message_names_the_interpolation_that_gave_the_value(
    tmp_path: Path, own: str, message: str
) -> None:
    variables = "" if "variables:" in own else VARIABLES
    (error,) = check(write_files(tmp_path, {A: f"+{variables}{own}\n"})).errors
    assert error.message == message
