"""State over several commands: locks, journals, secrets, refresh, drift, destroy."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from framework.core.errors import (
    ClusterError,
    ClusterRecreatedError,
    EngineError,
    OtherClusterError,
    StateError,
)
from framework.drift import FindingKind
from framework.engines.base import NamedCluster
from framework.engines.state import secrets
from framework.engines.state.stack_state import StackState
from tests.engines.fakes import RECORDED, Stack, ops

SECRET = "s3cr3t-value"
WITH_SECRET = f"""
    token = pulumi.Output.secret("{SECRET}")
    register("core/v1", "Secret", "hub", "hub", {{"data": {{"token": token}}}}, None, {{}})
    config_map("url", {{"url": token.apply(lambda t: f"https://u:{{t}}@host")}})
    pulumi.export("token", token)
"""


def test_secret_is_encrypted_in_every_state_file(stack: Stack) -> None:
    stack.program(WITH_SECRET)
    result = stack.up()
    assert stack.cluster.objects["Secret", "ns/hub"]["data"] == {"token": SECRET}
    files = [path for path in (stack.root / ".state").rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET in path.read_text()]
    assert result.outputs == {"token": "[secret]"}
    assert stack.preview().clean
    assert "encryptionsalt" in (stack.root / "environments/Pulumi.dev.yaml").read_text()


def test_killed_first_up_keeps_the_salt_of_its_secrets(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.program(WITH_SECRET)
    with monkeypatch.context() as killed:
        killed.setattr(StackState, "keep_salt", lambda self: None)
        killed.setattr(StackState, "close", lambda self: None)
        stack.up()
    assert not (stack.root / "environments/Pulumi.dev.yaml").exists()
    assert stack.preview().clean
    stack.up()
    assert stack.preview().clean


def test_changed_secret_is_redacted_in_the_change_list(stack: Stack) -> None:
    stack.program(WITH_SECRET)
    stack.up()
    stack.program(WITH_SECRET.replace(SECRET, "an0ther-value"))
    preview = stack.preview()
    assert ops(preview) == {"Secret hub": "update", "ConfigMap url": "update"}
    assert SECRET not in repr(preview)
    assert "an0ther-value" not in repr(preview)


def test_secrets_without_a_passphrase_are_refused(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    stack.program(WITH_SECRET)
    with pytest.raises(StateError, match="set PULUMI_CONFIG_PASSPHRASE"):
        stack.up()


def test_secrets_with_the_empty_passphrase_of_the_cli_are_read(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    stack.program(WITH_SECRET)
    stack.up()
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    assert stack.preview().clean
    stack.program(WITH_SECRET.replace(SECRET, "an0ther-value"))
    with pytest.raises(StateError, match=r"run again with PULUMI_CONFIG_PASSPHRASE= \(empty\)"):
        stack.up()


def test_wrong_passphrase_is_tried_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    # The derivation of a key takes a quarter of a second.
    stack.program(WITH_SECRET)
    stack.up()
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    derive = Mock(wraps=secrets._derive_key)
    monkeypatch.setattr(secrets, "_derive_key", derive)
    with pytest.raises(EngineError, match="no passphrase is given"):
        stack.preview()
    assert [call.args[0] for call in derive.call_args_list] == [""]


def test_configuration_reaches_the_program(stack: Stack) -> None:
    settings = (RECORDED / "3-secret/Pulumi.dev.yaml").read_text().replace("fixture:", "test:")
    (stack.root / "environments").mkdir()
    (stack.root / "environments/Pulumi.dev.yaml").write_text(settings)
    stack.program("""
        config = pulumi.Config()
        config_map("x", {"tag": config.require("tag"), "token": config.require_secret("token")})
    """)
    stack.up()
    data = stack.cluster.objects["ConfigMap", "ns/x"]["data"]
    assert data == {"tag": "v2", "token": "s3cr3t-fixture"}
    assert "s3cr3t-fixture" not in stack.state_file.read_text()


def _lock(stack: Stack, pid: int) -> Path:
    folder = stack.root / ".state/.pulumi/locks/organization/test/dev"
    folder.mkdir(parents=True)
    lock = json.loads((RECORDED / "9-interrupted/lock.json").read_text())
    (folder / "x.json").write_text(json.dumps({**lock, "pid": pid, "hostname": _HOST}))
    return folder


_HOST = socket.gethostname()


def test_lock_of_another_command_stops_up_but_not_preview(stack: Stack) -> None:
    stack.program("config_map('x')")
    folder = _lock(stack, os.getpid())
    with pytest.raises(StateError, match=rf"pid {os.getpid()} on .*wait for it"):
        stack.up()
    assert not stack.preview().clean
    assert [path.name for path in folder.iterdir()] == ["x.json"]


def test_lock_of_a_killed_command_is_removed(stack: Stack) -> None:
    stack.program("config_map('x')")
    folder = _lock(stack, pid=2**22 - 1)
    stack.up()
    assert list(folder.iterdir()) == []


def test_lock_is_removed_after_the_command(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    assert list((stack.root / ".state/.pulumi/locks").rglob("*.json")) == []


def test_interrupted_up_can_be_run_again(stack: Stack) -> None:
    stack.cluster.gate = threading.Event()
    stack.program("m = Model('m')\nconfig_map('x', parent=m)\ndeployment('d', parent=m)")

    def interrupt() -> None:
        stack.cluster.waiting.wait(30)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        stack.up()
    assert list((stack.root / ".state/.pulumi/locks").rglob("*.json")) == []
    assert not list(stack.state_file.parent.glob("*.journal"))
    stack.cluster.gate.set()
    assert ops(stack.up()) == {"Deployment d": "update"}
    assert stack.preview().clean


def test_journal_of_a_killed_command_is_folded(stack: Stack) -> None:
    stack.program("config_map('x')\nconfig_map('y')")
    stack.up()
    gone = next(e for e in stack.resources if e["urn"].endswith("::y"))
    journal = stack.state_file.with_name("dev.json.journal")
    journal.write_text(json.dumps({"drop": gone["urn"]}) + '\n{"set": {"to')
    assert ops(stack.preview()) == {"ConfigMap y": "create"}
    stack.up()
    assert not journal.exists()
    assert stack.preview().clean


def test_damaged_checkpoint_is_not_overwritten(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    stack.state_file.write_text("{")
    with pytest.raises(StateError, match="is not JSON"):
        stack.up()
    assert stack.state_file.read_text() == "{"


def test_drift_shows_old_and_new_and_writes_nothing(stack: Stack) -> None:
    stack.program("config_map('x', {'k': 'v'})\nconfig_map('y')")
    stack.up()
    before = stack.state_file.read_bytes()
    stack.cluster.objects["ConfigMap", "ns/x"]["data"] = {"k": "w"}
    del stack.cluster.objects["ConfigMap", "ns/y"]
    report = stack.drift()
    changed, missing = report.findings
    assert (changed.kind, changed.object) == (FindingKind.CHANGED, "ns/x")
    assert (missing.kind, missing.object) == (FindingKind.MISSING, "ns/y")
    assert (changed.path, changed.desired, changed.live) == ("data.k", "v", "w")
    assert stack.state_file.read_bytes() == before


def test_replicas_that_the_program_does_not_set_are_not_drift(stack: Stack) -> None:
    stack.program("deployment('d')")
    stack.up()
    stack.cluster.objects["Deployment", "ns/d"]["spec"]["replicas"] = 7
    assert stack.drift().clean


def test_refresh_records_what_the_cluster_has(stack: Stack) -> None:
    stack.program("config_map('x', {'k': 'v'})\nconfig_map('y')")
    stack.up()
    stack.cluster.objects["ConfigMap", "ns/x"]["data"] = {"k": "w"}
    del stack.cluster.objects["ConfigMap", "ns/y"]
    assert ops(stack.refresh()) == {"ConfigMap x": "update", "ConfigMap y": "delete"}
    assert stack.drift().clean
    assert ops(stack.preview()) == {"ConfigMap x": "update", "ConfigMap y": "create"}


def test_refused_refresh_writes_nothing(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    before = stack.state_file.read_bytes()
    stack.cluster.objects.clear()
    assert stack.engine.refresh(stack.request(), lambda _: False, stack.progress.append) is None
    assert stack.state_file.read_bytes() == before


def test_recreated_cluster_is_refused_until_a_refresh(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    stack.cluster.uid = "cluster-2"
    stack.cluster.objects.clear()
    with pytest.raises(ClusterError, match="make refresh ENV=dev YES=1"):
        stack.up()
    stack.refresh()
    assert ops(stack.up()) == {"ConfigMap x": "create"}


def test_destroy_deletes_all_and_keeps_an_empty_state(stack: Stack) -> None:
    stack.program("m = Model('m')\nx = config_map('x', parent=m)\ndeployment('d', parent=m, "
                  "depends_on=[x])")  # fmt: skip
    stack.up()
    stack.cluster.log.clear()
    (stack.root / "__main__.py").unlink()
    stack.destroy()
    assert stack.cluster.log == [("delete", "Deployment ns/d"), ("delete", "ConfigMap ns/x")]
    assert stack.resources == []


def test_destroy_with_a_protected_resource_deletes_nothing(stack: Stack) -> None:
    stack.program("config_map('x', protect=True)\nconfig_map('y')")
    stack.up()
    with pytest.raises(EngineError, match=r"protected: .*ConfigMap::x\nNothing was deleted"):
        stack.destroy()
    assert stack.cluster.ids() == ["ConfigMap ns/x", "ConfigMap ns/y"]


def test_destroy_keeps_what_a_failed_deletion_needs(stack: Stack) -> None:
    stack.program("x = config_map('x')\nconfig_map('y', depends_on=[x])\nconfig_map('z')")
    stack.up()
    stack.cluster.refused.add("ns/y")
    (failure,) = stack.destroy().failures
    assert failure.change.name == "y"
    assert stack.cluster.ids() == ["ConfigMap ns/x", "ConfigMap ns/y"]
    stack.cluster.refused.clear()
    assert not stack.destroy().failures
    assert stack.cluster.ids() == []


def test_options_that_destroy_needs_are_recorded(stack: Stack) -> None:
    stack.program("""
        timeouts = pulumi.CustomTimeouts(create="5m", delete="90s")
        config_map("x", custom_timeouts=timeouts, ignore_changes=["data"], retain_on_delete=True)
    """)
    stack.up()
    resource = stack.resources[-1]
    assert resource["customTimeouts"] == {"create": 300, "delete": 90}
    assert (resource["ignoreChanges"], resource["retainOnDelete"]) == (["data"], True)


def test_another_cluster_with_the_same_context_is_refused(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.cluster.server = "https://one"
    stack.up()
    stack.cluster.uid, stack.cluster.server = "cluster-2", "https://other"
    named = replace(stack.request(), cluster=NamedCluster("other.kubeconfig", "fake"))
    before = stack.state_file.read_bytes()
    engine = stack.engine
    for run in (
        lambda: engine.preview(named),
        lambda: stack.drift(named),
        lambda: engine.up(named, lambda _: True, stack.progress.append),
        lambda: engine.refresh(named, lambda _: True, stack.progress.append),
        lambda: engine.destroy(named, lambda _: True, stack.progress.append),
    ):
        with pytest.raises(OtherClusterError, match=r"UID cluster-1\n.*https://other.*cluster-2"):
            run()
    assert stack.cluster.ids() == ["ConfigMap ns/x"]
    assert stack.state_file.read_bytes() == before


def test_another_server_address_is_not_a_recreated_cluster(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.cluster.server = "https://one"
    stack.up()
    stack.cluster.uid, stack.cluster.server = "cluster-2", "https://two"
    with pytest.raises(OtherClusterError, match="https://one"):
        stack.refresh()


def test_cluster_is_recorded_before_the_first_write(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, records = stack.cluster.create, list[str]()

    def create_and_read(*args: Any) -> Any:
        records.extend(
            path.read_text() for path in (stack.root / ".state/.pulumi/clusters").rglob("*.json")
        )
        return create(*args)

    monkeypatch.setattr(stack.cluster, "create", create_and_read)
    stack.program("config_map('x')")
    stack.up()
    (record,) = records
    assert '"uid": "cluster-1"' in record


def test_record_of_an_older_version_is_compared(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    record = next((stack.root / ".state/.pulumi/clusters").rglob("dev.json"))
    record.write_text('{"uid": "cluster-0", "context": "fake"}')
    with pytest.raises(ClusterRecreatedError, match="cluster-0"):
        stack.preview()
    record.write_text('{"uid": "cluster-1", "context": "fake"}')
    assert stack.preview().clean


def test_other_names_without_a_record_are_compared_by_connecting_to_both(stack: Stack) -> None:
    stack.program("config_map('x')")
    stack.up()
    next((stack.root / ".state/.pulumi/clusters").rglob("dev.json")).unlink()
    named = replace(stack.request(), cluster=NamedCluster("moved.kubeconfig", "fake"))
    assert stack.drift(named).clean
    stack.cluster.uids["moved.kubeconfig"] = "cluster-2"
    with pytest.raises(OtherClusterError, match=r"UID cluster-1\n.*UID cluster-2"):
        stack.drift(named)
