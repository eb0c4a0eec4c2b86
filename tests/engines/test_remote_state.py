"""A stack whose state is in an S3 bucket: every verb works, by the pulumi CLI."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from framework.cluster.local import LocalCluster
from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.engines.s3_server import Bucket, start_s3
from tests.faults.catalogs import observe, parse_latest, write_catalog
from tests.faults.killing import run_cli
from tests.faults.proxy import FaultProxy, lead_through
from tests.scenarios.by_hand import scale_by_hand
from tests.scenarios.conftest import kube, make_quick_project

__all__ = ["kube", "make_quick_project"]

pytestmark = [pytest.mark.cluster, pytest.mark.pulumi_cli]
_STATE = ".pulumi/stacks/modelcatalog/dev.json"
_TAGS = ".pulumi/stacks/modelcatalog/dev.pulumi-tags"
_LOCK = ".pulumi/locks/organization/modelcatalog/dev/1.json"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket; the environment of this process keeps the state there."""
    with start_s3() as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        yield bucket


def test_state_and_lock_are_in_the_bucket(make_quick_project: MakeProject, bucket: Bucket) -> None:
    project = make_quick_project("churn")
    shown = project.succeed("up", "dev", "--yes")
    assert "engine   cli (" in shown
    assert "state: s3://states)" in " ".join(shown.split())
    assert not list((project.root / ".state").iterdir())
    assert "Deployment" in bucket.read(_STATE)
    assert "2/2" in project.succeed("status", "dev")
    assert "No differences" in project.succeed("drift", "dev")
    check_another_command_is_named(project, bucket)
    # A second command finds the lock before it writes anything.
    holder = {"pid": 7, "username": "ann", "hostname": "elsewhere"}
    bucket.write(_LOCK, json.dumps({**holder, "timestamp": "2026-11-22T17:40:00Z"}))
    refused = project.run("up", "dev", "--yes")
    assert refused.returncode == 1
    words = " ".join(refused.stderr.split())
    assert "locked by ann (pid 7 on elsewhere, since 2026-11-22T17:40:00Z)" in words
    assert "pulumi cancel" in words


def check_another_command_is_named(project: Project, bucket: Bucket) -> None:
    """An `up` of another machine waits for a rollout, which only the state shows."""
    kept = bucket.read(_STATE)
    state = json.loads(kept)
    resources = state["checkpoint"]["latest"]["resources"]
    deployment = next(raw for raw in resources if raw["type"].endswith(":Deployment"))
    operation = {"type": "updating", "resource": deployment}
    state["checkpoint"]["latest"]["pending_operations"] = [operation]
    bucket.write(_STATE, json.dumps(state))
    shown = " ".join(project.succeed("drift", "dev").split())
    assert "churn: a change has not ended, because another command works on this stack" in shown
    bucket.write(_STATE, kept)


@pytest.mark.grid
def test_every_verb(make_quick_project: MakeProject, bucket: Bucket, kube: KubeClient) -> None:
    project = make_quick_project("churn")
    passphrase = {"PULUMI_CONFIG_PASSPHRASE": "words"}
    project.succeed("up", "dev", "--yes", **passphrase)
    # Another checkout has no environments/Pulumi.dev.yaml: the salt is in the state.
    (project.root / "environments/Pulumi.dev.yaml").unlink()
    assert "Nothing to do" in project.succeed("preview", "dev", **passphrase)
    assert "churn" in project.succeed("outputs", "dev", **passphrase)
    refused = project.run("preview", "dev", PULUMI_CONFIG_PASSPHRASE="other")
    assert refused.returncode == 1
    assert "passphrase is wrong" in " ".join(refused.stderr.split())

    scale_by_hand(kube, project, 3)
    drift = project.run("drift", "dev", **passphrase)
    assert drift.returncode == 16, drift.stderr
    assert "2 -> 3" in drift.stdout
    project.succeed("up", "dev", "--yes", **passphrase)
    project.succeed("drift", "dev", **passphrase)
    scale_by_hand(kube, project, 3)
    assert "spec.replicas" in project.succeed("refresh", "dev", "--yes", **passphrase)
    assert "1 model done" in project.succeed("destroy", "dev", "--yes", **passphrase)
    assert "Nothing is deployed" in project.succeed("outputs", "dev", **passphrase)
    # The tags still name the cluster, but the stack has nothing on it.
    assert "cluster-uid" in bucket.read(_TAGS)


@pytest.mark.grid
def test_other_cluster_is_refused(make_quick_project: MakeProject, bucket: Bucket) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev", "--yes")
    file = json.loads(bucket.read(_TAGS))
    tags = file["tags"]
    uid, server = "modelcatalog:cluster-uid", "modelcatalog:cluster-server"
    assert {uid, server} <= tags.keys()
    # The local cluster may move to another port: only the UID decides.
    for changed, verbs in (
        ({uid: "other"}, ("drift", "status", "up")),
        ({uid: "other", server: "https://elsewhere"}, ("drift",)),
    ):
        bucket.write(_TAGS, json.dumps({**file, "tags": {**tags, **changed}}))
        for verb in verbs:
            refused = project.run(verb, "dev", *(["--yes"] if verb == "up" else []))
            assert refused.returncode == 1, verb
            assert "kube-system UID other" in " ".join(refused.stderr.split())
    # The local cluster was recreated: a refresh records the new one.
    project.succeed("refresh", "dev", "--yes")


@pytest.mark.grid
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_killed_up_is_finished_by_the_next_one(
    make_quick_project: MakeProject,
    bucket: Bucket,
    kube: KubeClient,
    local_cluster: LocalCluster,
    fraction: float,
) -> None:
    """`up` and pulumi are killed at a write. The lock stays until `pulumi cancel` removes it."""
    project, proxy = make_quick_project("churn"), FaultProxy(local_cluster.kubeconfig)
    lead_through(project, proxy)

    def see() -> object:
        latest = parse_latest(bucket.read(_STATE))
        return observe(kube, project, inputs=False, latest=latest)

    try:
        run = run_cli(project, proxy)
        seen = {}
        for name in ("old", "new", "old"):
            write_catalog(project, name)
            points, _ = run(0, "up")
            seen[name] = len(points), see()
        most, expected = seen["new"]
        write_catalog(project, "new")
        _, killed = run(1 + int(fraction * most), "up")
        if killed:
            refused = project.run("up", "dev", "--yes")
            assert "pulumi cancel" in " ".join(refused.stderr.split())
            bucket.delete_all(".pulumi/locks/")
        project.succeed("up", "dev", "--yes")
        assert see() == expected
        assert "Nothing to do" in project.succeed("up", "dev", "--yes")
    finally:
        proxy.stop()


@pytest.mark.grid
def test_refresh_first_records_what_an_interrupted_up_created(
    make_quick_project: MakeProject, bucket: Bucket, kube: KubeClient
) -> None:
    project = make_quick_project("churn")
    project.succeed("up", "dev", "--yes")
    document = json.loads(bucket.read(_STATE))
    latest = document["checkpoint"]["latest"]
    (service,) = [item for item in latest["resources"] if item["type"].endswith(":Service")]
    recorded = [item["urn"] for item in latest["resources"]]
    latest["resources"].remove(service)
    operation = {key: value for key, value in service.items() if key not in ("id", "outputs")}
    latest["pending_operations"] = [{"type": "creating", "resource": operation}]
    bucket.write(_STATE, json.dumps(document))
    # Drift finds the object without writing: it is ours, and not foreign.
    before = bucket.read(_STATE)
    drift = project.succeed("drift", "dev")
    assert "Service churn was created and not recorded" in " ".join(drift.split())
    assert bucket.read(_STATE) == before
    scale_by_hand(kube, project, 3)
    shown = " ".join(project.succeed("refresh", "dev", "--yes").split())
    assert "Service churn was created and not recorded" in shown
    after = parse_latest(bucket.read(_STATE))
    assert sorted(item["urn"] for item in after["resources"]) == sorted(recorded)
    assert "pending_operations" not in after
    project.succeed("up", "dev", "--yes")
    assert "Nothing to do" in project.succeed("up", "dev", "--yes")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("drift", "dev", "--engine", "embedded"), "which only the pulumi CLI reads"),
        (("adopt", "dev"), "adopt needs a state in a folder"),
    ],
    ids=["embedded", "adopt"],
)
def test_embedded_engine_needs_a_folder(
    make_project: MakeProject, command: tuple[str, ...], reason: str
) -> None:
    url = "postgres://ann:sesame@db.example.com/states"
    refused = make_project("churn").run(*command, PULUMI_BACKEND_URL=url)
    assert refused.returncode == 1
    words = " ".join(refused.stderr.split())
    assert reason in words
    assert "the state is in postgres://db.example.com/states" in words
    assert "sesame" not in words
