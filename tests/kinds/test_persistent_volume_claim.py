"""Claims that a model creates: which objects, what is refused, and what happens on removal."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.diagnostics import Code
from framework.kinds.kind import Manifest
from framework.plan import LoadedPlan
from tests.plan.small_catalog import check, first_model, write_files

A = "catalog/a.yaml"
CLAIM = "volumes: {weights: {mountPath: /w, claim: {size: 10Gi%s}}}\n"
CANARY = "canary: {candidate: {image: {tag: v2}%s}}\n"


def _check(tmp_path: Path, text: str) -> LoadedPlan:
    return check(write_files(tmp_path, {A: f"+{text}"}))


def _claims(loaded: LoadedPlan) -> dict[str, Manifest]:
    manifests = first_model(loaded).manifests
    return {m.name: m for m in manifests if m.kind == "PersistentVolumeClaim"}


def test_a_claim_is_created_before_its_deployment_and_kept(tmp_path: Path) -> None:
    loaded = _check(tmp_path, CLAIM % ", accessModes: [ReadWriteMany]")
    assert loaded.errors == ()
    (claim,) = _claims(loaded).values()
    assert (claim.name, claim.logical_name) == ("a-weights", "a-weights")
    assert (claim.used_by_pods, claim.retain) == (True, True)
    kinds = [manifest.kind for manifest in first_model(loaded).manifests]
    assert kinds.index("PersistentVolumeClaim") < kinds.index("Deployment")


def test_a_claim_that_is_not_kept_is_deleted_on_removal(tmp_path: Path) -> None:
    loaded = _check(tmp_path, CLAIM % ", accessModes: [ReadWriteMany], keep: false")
    assert not _claims(loaded)["a-weights"].retain


def test_an_existing_claim_is_mounted_and_not_created(tmp_path: Path) -> None:
    loaded = _check(tmp_path, "volumes: {weights: {mountPath: /w, claim: store}}\n")
    assert _claims(loaded) == {}
    deployment = first_model(loaded).manifests[-1].object
    (volume,) = deployment["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": "store"}


def test_both_tracks_mount_one_claim(tmp_path: Path) -> None:
    extra = ", volumes: {index: {mountPath: /i, claim: {size: 1Gi, accessModes: [ReadWriteMany]}}}"
    text = CLAIM % ", accessModes: [ReadWriteMany]" + CANARY % extra
    loaded = _check(tmp_path, text)
    assert loaded.errors == ()
    assert list(_claims(loaded)) == ["a-index", "a-weights"]
    mounted = {
        manifest.name: [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in manifest.object["spec"]["template"]["spec"]["volumes"]
        ]
        for manifest in first_model(loaded).manifests
        if manifest.kind == "Deployment"
    }
    assert mounted == {"a": ["a-weights"], "a-canary": ["a-weights", "a-index"]}


@pytest.mark.parametrize(
    ("text", "pods"),
    [
        pytest.param("replicas: 2\n" + CLAIM % "", 2, id="replicas"),
        pytest.param("replicas: 1\n" + CLAIM % "" + CANARY % "", 2, id="canary"),
        pytest.param(
            CLAIM % "" + "autoscaling: {minReplicas: 1, maxReplicas: 3, cpu: 50}\n",
            3,
            id="autoscaler",
        ),
    ],
)
def test_a_read_write_once_claim_of_several_pods_is_refused(
    text: str, pods: int, tmp_path: Path
) -> None:
    (diagnostic,) = _check(tmp_path, text).errors
    assert diagnostic.code is Code.INCONSISTENT
    assert diagnostic.message.startswith("volumes.weights.claim is ReadWriteOnce, which only one")
    assert f"has {pods} Pods" in diagnostic.message


ONE = "replicas: 1\nrollout: {%s}\n"
RECREATE = ONE % "strategy: Recreate"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(RECREATE + CLAIM % "", id="Recreate"),
        pytest.param(ONE % "maxSurge: 0, maxUnavailable: 1" + CLAIM % "", id="down by a budget"),
        pytest.param(ONE % "maxSurge: 1, maxUnavailable: 1" + CLAIM % "", id="freed in time"),
        pytest.param("replicas: 1\n" + CLAIM % ", accessModes: [ReadOnlyMany]", id="shared"),
        pytest.param("replicas: 0\n" + CLAIM % "", id="no Pod"),
        pytest.param(
            "replicas: 2\nscheduling: {nodeSelector: {kubernetes.io/hostname: n1}}\n" + CLAIM % "",
            id="one node",
        ),
    ],
)
def test_a_claim_that_every_pod_can_mount_is_accepted(text: str, tmp_path: Path) -> None:
    assert _check(tmp_path, text).errors == ()


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        pytest.param(CLAIM % "", "5:43", "ReadWriteOnce, which one node at a time", id="default"),
        pytest.param(
            CLAIM % ", accessModes: [ReadWriteOncePod]", "5:69",
            "claim.accessModes is ReadWriteOncePod, which one Pod at a time", id="one Pod",
        ),
        pytest.param(
            CLAIM % ", accessModes: [ReadWriteOncePod]"
            + "scheduling: {nodeSelector: {kubernetes.io/hostname: n1}}\n", "5:69",
            "which one Pod at a time", id="one Pod on one node",
        ),
    ],
)  # fmt: skip
def test_a_claim_of_one_node_is_refused_beside_a_surge(
    text: str, position: str, words: str, tmp_path: Path
) -> None:
    (diagnostic,) = _check(tmp_path, "replicas: 1\n" + text).errors
    assert (diagnostic.code, diagnostic.position) == (Code.BUDGET, f"{A}:{position}")
    assert words in diagnostic.message
    assert "expected rollout.strategy: Recreate, or maxSurge: 0 with maxUnavailable: 1" in (
        diagnostic.message
    )


def test_the_size_of_a_claim_cannot_be_patched(tmp_path: Path) -> None:
    patch = "patch: {PersistentVolumeClaim: {spec: {resources: {requests: {storage: 1Gi}}}}}\n"
    (diagnostic,) = _check(tmp_path, RECREATE + CLAIM % "" + patch).errors
    assert diagnostic.code is Code.BAD_PATCH
    assert "claim.size" in diagnostic.message
