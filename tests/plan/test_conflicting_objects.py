"""Objects of `objects` that fight the settings of the same model, and the ways out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.core.diagnostics import Code
from tests.plan.small_catalog import check, first_model, write_files

A = "catalog/a.yaml"
SCALED = (
    "objects: {o: {apiVersion: keda.sh/v1alpha1, kind: ScaledObject, spec: {scaleTargetRef: "
    "§{name: a}, minReplicaCount: 2, maxReplicaCount: 6, triggers: []}}}\n"
)
AUTOSCALER = (
    "objects: {o: {apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, spec: {"
    "scaleTargetRef: §{apiVersion: apps/v1, kind: Deployment, name: '${name}'}, maxReplicas: 6}}}\n"
)
BUDGET = (
    "objects: {o: {apiVersion: policy/v1, kind: PodDisruptionBudget, spec: {maxUnavailable: 1, "
    "selector: §{%s}}}}\n"
)
EXTERNAL = "autoscaling: {external: true, minReplicas: 2, maxReplicas: 6}\n"
OWN_BUDGET = "disruptionBudget: {maxUnavailable: 1}\n"


def _errors(root: Path, own: str) -> list[tuple[str, Code, str]]:
    errors = check(write_files(root, {A: f"+{own.replace('§', '')}"})).errors
    return [(error.position, error.code, error.message) for error in errors]


def _at_mark(own: str) -> str:
    before = own.split("§")[0]
    return f"{A}:{before.count(chr(10)) + 4}:{len(before) - before.rfind(chr(10))}"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (SCALED, "would set it back to replicas, 4; to leave the number of Pods to the "
         "ScaledObject, set autoscaling: {external: true, "),
        (AUTOSCALER, "to leave the number of Pods to the HorizontalPodAutoscaler, set autoscaling"),
        (f"autoscaling: {{minReplicas: 2, maxReplicas: 6, cpu: 50}}\n{SCALED}",
         "makes a HorizontalPodAutoscaler already; remove one of the two, or set "
         "autoscaling.external: true"),
        (f"{OWN_BUDGET}{BUDGET % 'matchLabels: {app.kubernetes.io/name: a}'}",
         "disruptionBudget makes a PodDisruptionBudget already, and no node could be drained"),
        (OWN_BUDGET + BUDGET % "matchExpressions: [{key: modelcatalog/owner, operator: Exists}]",
         "no node could be drained"),
        ("canary: {candidate: {image: {tag: v2}}}\n" + EXTERNAL
         + SCALED.replace("name: a}", "name: a-canary}"), "is the canary track, whose size"),
        (EXTERNAL + AUTOSCALER.replace("§", "").replace("maxReplicas: 6", "minReplicas: 2, "
         "maxReplicas: §7"), "is 7; expected at most autoscaling.maxReplicas, which is 6"),
        (EXTERNAL + SCALED.replace("§", "").replace("minReplicaCount: 2", "minReplicaCount: §1"),
         "is 1; expected at least autoscaling.minReplicas, which is 2"),
        (EXTERNAL + SCALED.replace("§{name: a}", "{name: §aa}"),
         "name is aa, but autoscaling.external leaves the number of Pods of this model to it; "
         "expected a"),
        (EXTERNAL + SCALED.replace("§", "").replace("{o: {", "{n: {apiVersion: keda.sh/v1alpha1, "
         "kind: ScaledObject, spec: {scaleTargetRef: {name: a}, minReplicaCount: 2, "
         "maxReplicaCount: 6}}, o: {").replace("Ref: {name: a}, minReplicaCount: 2, "
         "maxReplicaCount: 6, tr", "Ref: §{name: a}, minReplicaCount: 2, maxReplicaCount: 6, tr"),
         "is the same Deployment as that of objects.n"),
        ("autoscaling: {minReplicas: 2, maxReplicas: 6, cpu: §50, external: true}\n",
         "autoscaling.cpu has no effect, because external is true"),
    ],
)  # fmt: skip
def test_conflicting_object_is_refused_with_the_way_out(
    tmp_path: Path, own: str, message: str
) -> None:
    [(position, code, text)] = _errors(tmp_path, own)
    assert (position, code) == (_at_mark(own), Code.INCONSISTENT)
    assert message in text


@pytest.mark.parametrize(
    "own",
    [
        EXTERNAL,
        EXTERNAL + SCALED,
        EXTERNAL.replace("minReplicas: 2", "minReplicas: 0") + SCALED,
        SCALED.replace("name: a}", "name: another}"),
        SCALED.replace("name: a}", "name: a, kind: StatefulSet}"),
        BUDGET % "matchLabels: {app.kubernetes.io/name: a}",
        OWN_BUDGET + BUDGET % "matchLabels: {app.kubernetes.io/name: another}",
        OWN_BUDGET
        + BUDGET
        % "matchExpressions: [{key: modelcatalog/track, operator: NotIn, values: [stable]}]",
    ],
)
def test_objects_that_do_not_interfere_are_accepted(tmp_path: Path, own: str) -> None:
    assert _errors(tmp_path, own) == []


def test_a_default_limit_of_the_autoscaler_counts(tmp_path: Path) -> None:
    [(_, _, message)] = _errors(tmp_path, EXTERNAL + AUTOSCALER)
    assert message.startswith("objects.o.spec.minReplicas is 1 by default; expected at least")


def test_an_external_autoscaler_sizes_the_deployment(tmp_path: Path) -> None:
    root = write_files(tmp_path, {A: f"+{EXTERNAL}{SCALED.replace('§', '')}"})
    plan = first_model(check(root))
    kinds = [manifest.kind for manifest in plan.manifests]
    assert "HorizontalPodAutoscaler" not in kinds
    deployment = next(m for m in plan.manifests if m.kind == "Deployment")
    assert "replicas" not in deployment.object["spec"]
    assert (deployment.ignore_changes, deployment.initial_replicas) == (("spec.replicas",), 2)
    assert deployment.external_range is not None
    assert deployment.external_range[0] == 2
    (track,) = plan.tracks
    assert (track.budget.replicas, track.fewest_replicas, track.autoscaled) == (6, 2, True)


def test_a_patch_of_replicas_names_the_autoscaler(tmp_path: Path) -> None:
    [(_, _, message)] = _errors(
        tmp_path, f"{EXTERNAL}patch: {{Deployment: {{spec: {{replicas: 3}}}}}}\n"
    )
    assert "the autoscaler sets it" in message


def test_labels_of_an_object_win_over_those_of_the_model(tmp_path: Path) -> None:
    own = "labels: {team: all, tier: gold}\n" + SCALED.replace(
        "kind: ScaledObject", "kind: ScaledObject, metadata: {labels: {team: own, release: r}}"
    )
    root = write_files(tmp_path, {A: f"+{EXTERNAL}{own.replace('§', '')}"})
    manifests = first_model(check(root)).manifests
    labels: dict[str, Any] = next(m for m in manifests if m.object_key).object["metadata"]["labels"]
    assert {key: labels[key] for key in ("team", "tier", "release")} == {
        "team": "own",
        "tier": "gold",
        "release": "r",
    }
    assert labels["app.kubernetes.io/name"] == "a"
