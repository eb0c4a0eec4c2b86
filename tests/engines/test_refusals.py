"""Options that only the CLI supports are refused by name before anything is applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.errors import ClusterError, EngineError, StateError
from framework.engines.clusters import connect_kubernetes
from framework.engines.problems import RefusedError
from tests.engines.fakes import Stack


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("config_map('x', import_='ns/x')", "option import_"),
        ("config_map('x', replace_on_changes=['data'])", "option replace_on_changes"),
        ("config_map('x', deleted_with=provider)", "option deleted_with"),
        ("config_map('x', transforms=[lambda a: None])", "option transforms"),
        ("config_map('x', plugin_download_url='https://x')", "option plugin_download_url"),
        ("config_map('x', replacement_trigger='x')", "option replacement_trigger"),
        (
            "config_map('x', hooks=pulumi.ResourceHookBinding(before_create=[lambda a: None]))",
            "hook",
        ),
        ("k8s.core.v1.ConfigMap('x')", "has no explicit provider"),
        ("k8s.core.v1.ConfigMap.get('x', 'ns/x')", r"reading with get\(\)"),
        ("pulumi.CustomResource('aws:s3:Bucket', 'x', {})", "type aws:s3:Bucket"),
        (
            "pulumi.CustomResource('kubernetes:helm.sh/v3:Release', 'x', {'chart': 'x'})",
            "type kubernetes:helm.sh/v3:Release",
        ),
        (
            "register('core/v1', 'ConfigMapPatch', 'x', 'x', {'kind': 'ConfigMap'}, None, {})",
            "type kubernetes:core/v1:ConfigMapPatch",
        ),
        ("pulumi.StackReference('other')", "type pulumi:pulumi:StackReference|reading"),
        ("pulumi.runtime.invoke('aws:x:y', {})", "function aws:x:y"),
        ("config_map('x', {'a': pulumi.FileAsset('x')})", "asset"),
    ],
    ids=lambda value: value[:40] if "(" in value else "",
)
def test_option_that_needs_the_cli_is_refused_by_name(stack: Stack, body: str, reason: str) -> None:
    stack.program(f"config_map('fine')\n{body}")
    with pytest.raises(EngineError, match=reason) as error:
        stack.up()
    assert "pulumi CLI" in str(error.value) or "explicit provider" in str(error.value)
    assert stack.cluster.log == []


def test_all_refusals_are_reported_in_one_run(stack: Stack) -> None:
    stack.program("config_map('x', import_='x')\nconfig_map('y', deleted_with=provider)")
    with pytest.raises(EngineError) as error:
        stack.preview()
    assert {"import_", "deleted_with"} <= set(str(error.value).replace(":", " ").split())


def test_invalid_timeout_is_refused_with_its_resource(stack: Stack) -> None:
    stack.program("config_map('x', custom_timeouts=pulumi.CustomTimeouts(create='soon'))")
    with pytest.raises(EngineError, match=r'ConfigMap "x": option custom_timeouts: "soon"'):
        stack.up()


@pytest.mark.parametrize(
    ("kubeconfig", "advice"),
    [(".cluster/kubeconfig", "make cluster-up"), ("kubeconfig", "set cluster.kubeconfig")],
    ids=["local", "elsewhere"],
)
def test_missing_kubeconfig_is_refused_with_the_next_step(
    tmp_path: Path, kubeconfig: str, advice: str
) -> None:
    with pytest.raises(ClusterError, match=f"kubeconfig file does not exist; .*({advice})"):
        connect_kubernetes({"kubeconfig": kubeconfig, "context": "local"}, tmp_path)


@pytest.mark.parametrize("url", ["s3://bucket", "https://api.pulumi.com", ""])
def test_backend_without_folders_needs_the_cli(
    stack: Stack, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stack.root / "Pulumi.yaml").write_text(f"name: t\nruntime: python\nbackend: {{url: '{url}'}}")
    with pytest.raises(StateError, match="only the pulumi CLI reads"):
        stack.engine.outputs(stack.request())


def test_runtime_other_than_python_needs_the_cli(stack: Stack) -> None:
    (stack.root / "Pulumi.yaml").write_text("name: t\nruntime: nodejs\n")
    with pytest.raises(StateError, match="nodejs"):
        stack.engine.outputs(stack.request())


def test_kept_object_is_never_deleted_to_be_replaced(stack: Stack) -> None:
    body = (
        "register('apps/v1', 'Deployment', 'p', 'p', {'spec': {'selector': {'a': '%s'}}}, None, %s)"
    )
    kept = "{'retain_on_delete': True}"
    stack.program(body % ("1", kept))
    stack.up()
    stack.program(body % ("2", kept))
    (problem,) = stack.preview().problems
    assert "Deployment ns/p is kept (`keep: true`)" in problem.message
    assert "spec.selector.a" in problem.message
    with pytest.raises(RefusedError):
        stack.up()
    # The record has the option until an `up` has removed it.
    stack.program(body % ("2", "{}"))
    assert len(stack.preview().problems) == 1
    stack.program(body % ("1", "{}"))
    stack.up()
    stack.program(body % ("2", "{}"))
    assert stack.up().failures == ()
