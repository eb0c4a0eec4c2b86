"""Policy and capacity hold for the Pods of `objects`, wherever the template stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.diagnostics import Code
from tests.plan.small_catalog import PROD, check, write_files

A = "catalog/a.yaml"
# The Pod template of each kind stands at another place. The last two are custom resources.
PLACES = {
    "StatefulSet": ("apps/v1", "serviceName: s, selector: {matchLabels: {x: y}}, template: %s"),
    "DaemonSet": ("apps/v1", "selector: {matchLabels: {x: y}}, template: %s"),
    "Job": ("batch/v1", "template: %s"),
    "CronJob": ("batch/v1", "schedule: '0 3 * * *', jobTemplate: {spec: {template: %s}}"),
    "JobSet": ("jobset.x-k8s.io/v1alpha2", "replicatedJobs: [{name: w, template: {spec: "
               "{template: %s}}}]"),
    "LeaderWorkerSet": ("leaderworkerset.x-k8s.io/v1", "leaderWorkerTemplate: "
                        "{workerTemplate: %s}"),
}  # fmt: skip
CONTAINER = "{name: c, image: ghcr.io/acme/x:1, %s}"


def _object(kind: str, pod: str) -> str:
    version, place = PLACES[kind]
    restart = "OnFailure" if kind in ("Job", "CronJob") else "Always"
    template = f"{{metadata: {{labels: {{x: y}}}}, spec: {{restartPolicy: {restart}, {pod}}}}}"
    spec = place % template
    return f"objects: {{o: {{apiVersion: {version}, kind: {kind}, spec: {{{spec}}}}}}}\n"


def _check(root: Path, own: str, environment: str) -> list[str]:
    """Returns the errors; "§" in `own` marks the position that each of them must have."""
    files = {A: f"+{own.replace('§', '')}", "catalog/b.yaml": "+enabled: false\n"}
    errors = check(write_files(root, {**files, PROD: f"+{environment}\n"})).errors
    before = own.split("§")[0]
    line, column = before.count("\n") + 4, len(before) - (before.rfind("\n") + 1) + 1
    assert {error.position for error in errors if error.path == A} <= {f"{A}:{line}:{column}"}
    return [error.message for error in errors if error.path == A]


@pytest.mark.parametrize("kind", PLACES)
def test_every_place_of_a_pod_template_is_checked(tmp_path: Path, kind: str) -> None:
    container = CONTAINER % "securityContext: {privileged: §true}"
    own = _object(kind, f"containers: [{container}]")
    (message,) = _check(tmp_path, own, "policy: {podSecurity: baseline}")
    assert message.startswith('container "c": objects.o.spec.')
    assert ".securityContext.privileged is true; expected false (rule podSecurity" in message


@pytest.mark.parametrize(
    ("policy", "pod", "message"),
    [
        ("allowedRegistries: [ghcr.io]", "containers: [{name: c, image: §evil.io/x:1}]",
         'the image "evil.io/x" comes from none of the allowed registries'),
        ("allowedRegistries: [ghcr.io]",
         f"initContainers: [{{name: i, image: §x:1}}], containers: [{CONTAINER % ''}]",
         'the image "docker.io/library/x" comes from none'),
        ("allowedRegistries: [ghcr.io]", f"containers: [{CONTAINER % ''}], volumes: "
         "[{name: v, image: {reference: §evil.io/w:1}}]", 'the image "evil.io/w" comes from none'),
        ("forbidLatest: true", "containers: [{name: c, image: §ghcr.io/x}]", "no fixed version"),
        ("requireDigest: true", "containers: [{name: c, image: §'ghcr.io/x:1'}]", "no digest"),
        ("requireLimits: true", f"containers: [{CONTAINER % 'resources: {limits: §{cpu: 1}}'}]",
         "resources.limits.memory is missing"),
        ("requireRequests: [cpu]", f"containers: [{CONTAINER % 'resources: §{}'}]",
         "resources.requests.cpu is missing"),
        ("podSecurity: baseline", f"hostNetwork: §true, containers: [{CONTAINER % ''}]",
         "hostNetwork is true"),
        ("podSecurity: baseline", f"containers: [{CONTAINER % ''}], volumes: "
         "[{name: v, hostPath: §{path: /x}}]", 'volume "v" is a hostPath'),
        ("podSecurity: baseline",
         f"containers: [{CONTAINER % 'securityContext: {capabilities: {add: §[BPF]}}'}]",
         "capabilities.add adds BPF"),
        ("podSecurity: baseline", "securityContext: {seccompProfile: §{type: Unconfined}}, "
         f"containers: [{CONTAINER % ''}]", "securityContext.seccompProfile is Unconfined"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_reported_at_its_line(
    tmp_path: Path, policy: str, pod: str, message: str
) -> None:
    # The images of the models have digests, so that only the object's can lack one.
    digests = f"overrides: {{image: {{digest: 'sha256:{64 * 'a'}'}}}}"
    (found,) = _check(tmp_path, _object("Job", pod), f"policy: {{{policy}}}\n{digests}")
    assert message in found


def test_a_waiver_holds_for_objects_too(tmp_path: Path) -> None:
    own = _object("Job", "containers: [{name: c, image: evil.io/x:1}]")
    waiver = 'waivers: {registries: {reason: r, until: "2099-12-31"}}\n'
    assert _check(tmp_path, own + waiver, "policy: {allowedRegistries: [ghcr.io]}") == []


GPUS = CONTAINER % "resources: {limits: {x.com/gpu: §2}}"


@pytest.mark.parametrize(
    ("kind", "numbers", "needed"),
    [
        ("StatefulSet", "spec: {replicas: 3, ", 6),
        ("StatefulSet", "spec: {", 2),
        ("DaemonSet", "spec: {", 2),
        ("Job", "spec: {parallelism: 4, completions: 3, ", 6),
        ("CronJob", "jobTemplate: {spec: {parallelism: 2, ", 4),
        ("JobSet", "[{replicas: 2, ", 4),
        ("LeaderWorkerSet", "spec: {replicas: 2, ", 4),
    ],
)
def test_gpus_of_objects_count_in_the_capacity(
    tmp_path: Path, kind: str, numbers: str, needed: int
) -> None:
    plain = numbers[: max(numbers.rfind("{"), numbers.rfind("[{")) + 1]
    own = _object(kind, f"containers: [{GPUS}]").replace(plain, numbers, 1)
    assert _check(tmp_path / "enough", own, f"capacity: {{x.com/gpu: {needed}}}") == []
    messages = _check(tmp_path / "less", own, f"capacity: {{x.com/gpu: {needed - 1}}}")
    assert messages[0].startswith(f"even without a surge it needs {needed} x.com/gpu, and prod has")


def test_objects_count_beside_the_model_during_its_update(tmp_path: Path) -> None:
    # Four Pods of the model, one of its surge, and one of the Job.
    own = _object("Job", f"containers: [{CONTAINER % ''}]")
    files = {A: f"+{own}", "catalog/b.yaml": "+enabled: false\n", PROD: "+capacity: {pods: 6}\n"}
    assert check(write_files(tmp_path, files)).errors == ()
    (error,) = check(write_files(tmp_path, {**files, PROD: "+capacity: {pods: 5}\n"})).errors
    assert error.code is Code.SURGE_CAPACITY
    assert "at the peak of its update it needs 6" in error.message
