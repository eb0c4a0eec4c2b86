"""Both engines do the same: change list, exit code, objects, state, outputs, and hand over.

`BothEngines.up` compares all of it after each step.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conformance.both_engines import CLI, EMBEDDED, OTHER, BothEngines
from tests.conformance.conftest import MakeBoth
from tests.conftest import MakeProject
from tests.faults.killing import kill_tree
from tests.scenarios.recording import Record

pytestmark = [pytest.mark.cluster, pytest.mark.pulumi_cli]
CHURN, INTENT = "catalog/churn.yaml", "catalog/intent.yaml"
grid = pytest.mark.grid


def changed(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("same")]


def rename_to_attrition(both: BothEngines) -> None:
    both.rename(CHURN, "catalog/attrition.yaml")
    both.append("catalog/attrition.yaml", "previousName: churn\n")


def test_create_and_image(make_both: MakeBoth) -> None:
    both = make_both("churn", "intent")
    assert {line.split()[0] for line in both.up()} == {"create"}
    both.compare_outputs()
    both.edit(CHURN, "1.6.1", "1.7.0")
    assert any("containers[model].image" in line for line in changed(both.up()))


@grid
@pytest.mark.parametrize(
    "settings",
    [
        ["env: {EXTRA: '1'}", "podAnnotations: {example.com/a: b}", "replicas: 3"],
        ["labels: {tier: gold}", "ports: {admin: 9999}", "resources: {requests: {cpu: 300m}}"],
    ],
    ids=["env-annotation-replicas", "label-port-resources"],
)
def test_setting_added_and_removed(make_both: MakeBoth, settings: list[str]) -> None:
    both = make_both("churn")
    both.deploy()
    # Each step also removes the setting of the step before; the last one adds nothing.
    for setting in (*settings, "{}"):
        both.write("environments/dev/models/churn.yaml", f"{setting}\n")
        assert changed(both.up()), setting


@grid
def test_replaced_config_map(make_both: MakeBoth) -> None:
    both = make_both("intent")
    both.deploy()
    both.edit(INTENT, "level = warn", "level = info")
    assert any("ConfigMap" in line for line in changed(both.up()))


@grid
def test_service_made_headless_is_replaced(make_both: MakeBoth) -> None:
    both = make_both("churn")
    both.deploy()
    both.append(CHURN, "service: {headless: true}\n")
    assert any(line.startswith("replace Service") for line in changed(both.up()))
    both.edit(CHURN, "service: {headless: true}\n", "")
    assert any(line.startswith("replace Service") for line in changed(both.up()))


@grid
def test_config_map_made_immutable_by_hand_is_replaced(make_both: MakeBoth) -> None:
    both = make_both("intent")
    both.deploy()
    (name,) = {line.split("/")[1] for line in both.preview() if line.startswith("same ConfigMap")}
    both.change_by_hand("v1", "ConfigMap", name, {"data": {"new": "x"}, "immutable": True})
    assert any(line.startswith("replace ConfigMap") for line in changed(both.up()))


@grid
def test_canary_on_and_off(make_both: MakeBoth) -> None:
    both = make_both("churn")
    both.deploy()
    overlay = "environments/dev/models/churn.yaml"
    both.write(overlay, 'canary: {size: 1, candidate: {image: {tag: "1.7.0"}}}\n')
    assert any("churn-canary" in line for line in changed(both.up()))
    both.remove(overlay)
    assert any(line.startswith("delete") for line in changed(both.up()))


@grid
def test_autoscaler_on_and_off_at_six_replicas(make_both: MakeBoth, record: Record) -> None:
    both = make_both("churn")
    overlay = "environments/dev/models/churn.yaml"
    both.write(overlay, "replicas: 6\n")
    both.deploy()
    # This recorder sees the Namespaces of both engines: the name of one begins with the other's.
    with record(both.embedded) as recorder:
        start = len(recorder.events)
        both.write(overlay, "autoscaling: {minReplicas: 6, maxReplicas: 8, cpu: 70}\n")
        both.up()
        both.write(overlay, "replicas: 6\n")
        both.up()
    assert min(recorder.serving("churn")[start - 1 :]) == 12


@grid
def test_removed_model(make_both: MakeBoth) -> None:
    both = make_both("churn", "intent")
    both.deploy()
    both.remove(INTENT)
    assert any(line.startswith("delete Deployment") for line in changed(both.up()))


@grid
def test_narrowed_to_one_model(make_both: MakeBoth) -> None:
    both = make_both("churn", "intent")
    both.deploy()
    both.edit(CHURN, "1.6.1", "1.7.0")
    both.append("environments/dev/models/intent.yaml", "replicas: 3\n")
    narrowed = changed(both.up("--model", "churn"))
    assert narrowed
    assert not any("intent" in line for line in narrowed)
    assert all("churn" not in line for line in changed(both.up()))


@grid
def test_failed_rollout_and_recovery(make_both: MakeBoth) -> None:
    both = make_both("churn")
    both.deploy()
    both.edit(CHURN, "1.6.1", "missing")
    both.run("up", "dev", "--yes", code=3)
    both.edit(CHURN, "missing", "1.6.1")
    assert changed(both.up())


@grid
def test_drift_is_put_back(make_both: MakeBoth) -> None:
    both = make_both("churn")
    both.deploy()
    variable = {"name": "model", "env": [{"name": "EXTRA", "value": "1"}]}
    spec = {"containers": [variable], "terminationGracePeriodSeconds": 61}
    both.change_by_hand("apps/v1", "Deployment", "churn", {"spec": {"template": {"spec": spec}}})
    both.change_by_hand("apps/v1", "Deployment", "churn", {"metadata": {"labels": {"a": "b"}}})
    both.change_by_hand("v1", "Service", "churn", {"spec": {"sessionAffinity": "ClientIP"}})
    both.run("drift", "dev", code=16)
    assert len(changed(both.up())) >= 5
    both.run("drift", "dev")


@grid
def test_drift_beside_a_change(make_both: MakeBoth) -> None:
    both = make_both("churn")
    both.deploy()
    both.change_by_hand("apps/v1", "Deployment", "churn", {"metadata": {"labels": {"a": "b"}}})
    both.edit(CHURN, "1.6.1", "1.7.0")
    assert any("labels.a" in line for line in changed(both.up()))
    both.run("drift", "dev")


@grid
def test_deleted_object_is_created_again(make_both: MakeBoth, kube: KubeClient) -> None:
    both = make_both("churn")
    both.deploy()
    for project in (both.embedded, both.cli):
        namespace = f"{project.namespace}-dev"
        kube.delete("v1", "Service", "churn", namespace, propagation="Background")
    assert any("was deleted from the cluster" in line for line in changed(both.up()))


@grid
def test_refresh(make_both: MakeBoth) -> None:
    both = make_both("churn")
    both.deploy()
    both.change_by_hand("apps/v1", "Deployment", "churn", {"spec": {"replicas": 3}})
    both.run("refresh", "dev", "--yes")
    both.compare()
    both.compare_outputs()
    both.run("drift", "dev", code=16)
    assert any("spec.replicas 3 -> 2" in line for line in changed(both.up()))


@grid
def test_destroy(make_both: MakeBoth) -> None:
    both = make_both("churn", "intent")
    both.environment = {"PULUMI_CONFIG_PASSPHRASE": "words"}
    both.deploy()
    both.run("destroy", "dev", "--yes")
    both.compare()
    both.compare_outputs()


def test_renamed_model_serves_all_the_time(make_both: MakeBoth, record: Record) -> None:
    both = make_both("churn")
    both.deploy()
    with record(both.embedded) as recorder:
        start = len(recorder.events)
        rename_to_attrition(both)
        changes = changed(both.up())
    assert any("replace Deployment" in line and "attrition" in line for line in changes)
    old, new = recorder.serving("churn"), recorder.serving("attrition")
    assert min(map(sum, zip(old[start - 1 :], new[start - 1 :], strict=True))) == 4
    assert (old[-1], new[-1]) == (0, 4)


@grid
def test_renamed_model_that_fails_goes_on_under_its_old_name(
    make_both: MakeBoth, record: Record
) -> None:
    both = make_both("churn")
    both.deploy()
    with record(both.embedded) as recorder:
        start = len(recorder.events)
        rename_to_attrition(both)
        both.edit("catalog/attrition.yaml", "1.6.1", "missing")
        both.run("up", "dev", "--yes", code=3)
        both.edit("catalog/attrition.yaml", "missing", "1.7.0")
        both.up()
    old, new = recorder.serving("churn"), recorder.serving("attrition")
    assert min(map(sum, zip(old[start - 1 :], new[start - 1 :], strict=True))) == 4
    assert (old[-1], new[-1]) == (0, 4)


@grid
def test_failed_rename_that_is_reverted_keeps_the_old_pods(
    make_both: MakeBoth, record: Record
) -> None:
    both = make_both("churn")
    both.deploy()
    with record(both.embedded) as recorder:
        start = len(recorder.events)
        rename_to_attrition(both)
        both.edit("catalog/attrition.yaml", "1.6.1", "missing")
        both.run("up", "dev", "--yes", code=3)
        both.edit("catalog/attrition.yaml", "missing", "1.6.1")
        both.edit("catalog/attrition.yaml", "previousName: churn\n", "")
        both.rename("catalog/attrition.yaml", CHURN)
        both.run("up", "dev", "--yes")
    both.compare()
    both.hand_over()
    old, new = recorder.serving("churn"), recorder.serving("attrition")
    assert min(old[start - 1 :]) == 4
    assert (old[-1], new[-1]) == (4, 0)


@grid
def test_second_failure_of_a_renamed_model_keeps_its_old_deployment(
    make_both: MakeBoth, kube: KubeClient
) -> None:
    both = make_both("churn")
    both.deploy()
    rename_to_attrition(both)
    both.edit("catalog/attrition.yaml", "1.6.1", "missing")
    both.run("up", "dev", "--yes", code=3)
    # Now the new Deployment is only updated, and the old one is left by a replacement.
    both.append("catalog/attrition.yaml", "env: {ADDED: '1'}\n")
    both.run("up", "dev", "--yes", code=3)
    for project in (both.embedded, both.cli):
        old = kube.get("apps/v1", "Deployment", "churn", f"{project.namespace}-dev")
        assert old is not None
        assert old["status"]["availableReplicas"] == 2
    both.edit("catalog/attrition.yaml", "missing", "1.7.0")
    both.up()


@grid
@pytest.mark.parametrize("failing", ["attrition", "intent"])
def test_renamed_model_and_another_model_fail_independently(
    make_both: MakeBoth, failing: str
) -> None:
    both = make_both("churn", "intent")
    both.deploy()
    rename_to_attrition(both)
    both.append(f"environments/dev/models/{failing}.yaml", "image: {tag: missing}\n")
    both.append("environments/dev/models/intent.yaml", "replicas: 3\n")
    for run in both.run("up", "dev", "--yes", code=3).values():
        assert "1 model done" in run.stdout
        assert ", 1 failed." in run.stdout
    both.edit(f"environments/dev/models/{failing}.yaml", "image: {tag: missing}\n", "")
    assert changed(both.up())


PROGRAM = """
from pathlib import Path

import pulumi
import pulumi_kubernetes

from framework.program import load_stack_plan, register_stack

plan = load_stack_plan(Path(__file__).parent, pulumi.get_stack())
register_stack(plan)
provider = pulumi_kubernetes.Provider(
    "own",
    kubeconfig=plan.cluster.kubeconfig,
    context=plan.cluster.context,
    cluster_identifier=plan.cluster.context,
    enable_patch_force=True,
)
token = pulumi.Output.secret("hunter2-TOKEN")
pulumi_kubernetes.core.v1.Secret(
    "hub",
    metadata={"name": "hub", "namespace": "default", "labels": {"test": plan.namespace.name}},
    string_data={"token": token},
    opts=pulumi.ResourceOptions(provider=provider),
)
pulumi.export("token", token)
"""


def find_sealed(tree: Any, path: str = "") -> set[str]:
    """Returns the paths of the encrypted values in a state."""
    if isinstance(tree, dict):
        if "ciphertext" in tree:
            return {path}
        items = [*tree.items()]
    elif isinstance(tree, list):
        items = [
            (item.get("urn", n) if isinstance(item, dict) else n, item)
            for n, item in enumerate(tree)
        ]
    else:
        return set()
    return {found for key, item in items for found in find_sealed(item, f"{path}.{key}")}


@grid
def test_secrets_are_encrypted_alike(make_both: MakeBoth) -> None:
    both = make_both("churn")
    both.environment = {"PULUMI_CONFIG_PASSPHRASE": "words"}
    for project in (both.embedded, both.cli):
        name = f"{project.namespace}-hub"
        project.write("__main__.py", PROGRAM.replace('"name": "hub"', f'"name": "{name}"'))
    both.up()
    sealed = {}
    for name, project in ((EMBEDDED, both.embedded), (CLI, both.cli)):
        text = (project.root / ".state/.pulumi/stacks/modelcatalog/dev.json").read_text()
        assert "hunter2" not in text
        assert "aHVudGVyMi1UT0tFTg==" not in text
        sealed[name] = {
            path.replace(project.namespace, "ns") for path in find_sealed(json.loads(text))
        }
    assert sealed[EMBEDDED] == sealed[CLI] != set()
    both.swap_engines()
    both.append("environments/dev/models/churn.yaml", "replicas: 3\n")
    both.up()
    both.environment = {"PULUMI_CONFIG_PASSPHRASE": "other"}
    for run in both.run("up", "dev", "--yes", code=1).values():
        # Messages are wrapped.
        message = " ".join(run.stderr.split())
        assert "the passphrase is wrong for this stack" in message
        assert "PULUMI_CONFIG_PASSPHRASE" in message


# No Pod mounts it, because the local cluster has no StorageClass that could bind it.
CLAIM = """
objects:
  weights:
    apiVersion: v1
    kind: PersistentVolumeClaim
    spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
"""


@grid
@pytest.mark.parametrize("second", ["same", "other"])
def test_kept_claim_comes_back(make_both: MakeBoth, kube: KubeClient, second: str) -> None:
    both = make_both("churn")
    overlay = "environments/dev/models/churn.yaml"
    both.append(overlay, f"labels: {{tier: gold}}{CLAIM}")
    both.up()
    both.remove(overlay)
    assert any("stays in the cluster" in line for line in changed(both.up()))
    if second == "other":
        both.swap_engines()
    both.append(overlay, f"labels: {{tier: silver}}{CLAIM}")
    assert any("taken over" in line for line in changed(both.up()))
    both.edit(overlay, "{tier: silver}", "{}")
    assert any("labels.tier" in line for line in changed(both.up()))
    for project in (both.embedded, both.cli):
        namespace = f"{project.namespace}-dev"
        claim = kube.get("v1", "PersistentVolumeClaim", "churn-weights", namespace)
        assert claim
        assert "tier" not in claim["metadata"]["labels"]


def write_lock(both: BothEngines, pid: int) -> None:
    holder = {"pid": pid, "username": "ann", "hostname": socket.gethostname()}
    lock = json.dumps({**holder, "timestamp": "2026-11-22T17:40:00Z"})
    both.write(".state/.pulumi/locks/organization/modelcatalog/dev/1.json", lock)


def test_second_command_names_the_holder_of_the_lock(make_both: MakeBoth) -> None:
    both = make_both("churn")
    write_lock(both, os.getpid())
    for run in both.run("up", "dev", "--yes", code=1).values():
        assert "locked by ann" in run.stderr
        assert "since 2026-11-22T17:40:00Z" in run.stderr


@grid
def test_lock_of_a_dead_command_is_removed(make_both: MakeBoth) -> None:
    both = make_both("churn")
    write_lock(both, 2**22)
    both.up()


@grid
@pytest.mark.parametrize("killed", [EMBEDDED, CLI])
def test_other_engine_finishes_what_was_killed(
    make_quick_project: MakeProject, kube: KubeClient, killed: str
) -> None:
    project = make_quick_project("churn", "intent")
    namespace = f"{project.namespace}-dev"
    command = [sys.executable, "-m", "framework", "up", "dev", "--yes", "--engine", killed]
    with subprocess.Popen(command, cwd=project.root, stdout=subprocess.DEVNULL) as run:
        end = time.monotonic() + 90
        while not kube.list_objects("apps/v1", "Deployment", namespace):
            assert time.monotonic() < end
            time.sleep(0.02)
        kill_tree(run.pid)
    project.succeed("up", "dev", "--yes", "--engine", OTHER[killed])
    for engine in (killed, OTHER[killed]):
        preview = project.succeed("preview", "dev", "--json", "--engine", engine)
        assert json.loads(preview)["clean"], engine


@grid
def test_narrowed_rename_deletes_the_old_objects(make_both: MakeBoth, kube: KubeClient) -> None:
    both = make_both("churn", "intent")
    both.write(
        "environments/dev/models/churn.yaml",
        'canary: {size: 1, candidate: {image: {tag: "1.7.0"}}}\n',
    )
    both.deploy()
    rename_to_attrition(both)
    both.remove("environments/dev/models/churn.yaml")
    changes = changed(both.up("--model", "attrition"))
    assert any("delete Deployment" in line and "churn-canary" in line for line in changes)
    for project in (both.embedded, both.cli):
        deployments = kube.list_objects("apps/v1", "Deployment", f"{project.namespace}-dev")
        names = {item["metadata"]["name"] for item in deployments}
        assert names == {"attrition", "intent"}
    assert not changed(both.up())


@grid
def test_renamed_autoscaled_model_keeps_its_pods(make_both: MakeBoth, kube: KubeClient) -> None:
    both = make_both("churn")
    both.append(CHURN, "autoscaling: {minReplicas: 2, maxReplicas: 9, cpu: 80}\n")
    both.deploy()
    scale = [{"op": "replace", "path": "/spec/replicas", "value": 5}]
    spaces = [f"{project.namespace}-dev" for project in (both.embedded, both.cli)]
    for space in spaces:
        kube.json_patch(
            "apps/v1", "Deployment", "churn", space, operations=scale, manager="autoscaler"
        )
    rename_to_attrition(both)
    both.up()
    for space in spaces:
        deployment = kube.get("apps/v1", "Deployment", "attrition", space)
        assert deployment is not None
        assert deployment["spec"]["replicas"] == 5
