"""A Helm Release of an own program: only the pulumi CLI compares it, and no check fails for it."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode, b64encode
from typing import Any

import pytest

from framework.kube.client import KubeClient
from tests.conftest import MakeProject

pytestmark = [pytest.mark.cluster, pytest.mark.pulumi_cli]
_PROGRAM = """
from pulumi_kubernetes import Provider
from pulumi_kubernetes.helm.v3 import Release

plan = load_stack_plan(Path(__file__).parent, pulumi.get_stack())
where = {"kubeconfig": plan.cluster.kubeconfig, "context": plan.cluster.context}
Release(
    "settings",
    name="settings",
    namespace=plan.namespace.object["metadata"]["name"],
    chart=str(Path(__file__).parent / "chart"),
    values={"size": 1, "image": {"tag": "a"}, "phrase": pulumi.Output.secret("plain-one")},
    opts=pulumi.ResourceOptions(provider=Provider("own", **where)),
)
"""
_TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  annotations: {NAMES}
data: {a: b}
"""
_HOOK = {"helm.sh/hook": "post-install"}


def _set_values(release: str, values: dict[str, Any]) -> str:
    """Returns the data of a Release with other values, as `helm upgrade --set` leaves them."""
    document = json.loads(gzip.decompress(b64decode(b64decode(release))))
    document["config"] = values
    return b64encode(b64encode(gzip.compress(json.dumps(document).encode()))).decode()


def test_release_is_compared_by_the_cli_and_named_by_the_embedded_engine(
    make_live_project: MakeProject, kube: KubeClient
) -> None:
    project = make_live_project("churn")
    namespace = f"{project.namespace}-dev"
    project.succeed("up", "dev", "--engine", "embedded", "--yes")
    project.append("__main__.py", _PROGRAM)
    project.write("chart/Chart.yaml", "apiVersion: v2\nname: settings\nversion: 1.0.0\n")
    project.write("chart/templates/a.yaml", _TEMPLATE.replace("NAMES", ""))
    hook = _TEMPLATE.replace("{NAMES}", str(_HOOK)).replace("name: settings", "name: hook")
    project.write("chart/templates/hook.yaml", hook)
    project.succeed("up", "dev", "--engine", "cli", "--yes")
    # Neither engine takes what Helm wrote, a hook included, for foreign.
    assert "No differences.\n" in project.succeed("drift", "dev", "--engine", "cli")
    embedded = project.succeed("drift", "dev", "--engine", "embedded")
    assert "only the pulumi CLI can read it" in embedded
    assert "No differences in what was compared." in embedded
    # The Release belongs to no model.
    partial = project.succeed("take", "dev", "--engine", "cli", "--model", "churn")
    assert partial == "No differences of churn.\n"
    # Helm keeps a Release in a Secret.
    secret = kube.get("v1", "Secret", "sh.helm.release.v1.settings.v1", namespace)
    assert secret is not None
    secret["data"]["release"] = _set_values(
        secret["data"]["release"], {"size": 2, "image": {"tag": "b"}, "phrase": "plain-two"}
    )
    kube.replace(secret, manager="helm")
    changed = project.run("drift", "dev", "--engine", "cli")
    assert changed.returncode == 16, changed.stdout + changed.stderr
    shown = " ".join(changed.stdout.split())
    for line in ("image.tag a -> b", "phrase [secret] -> [secret]", "size 1 -> 2"):
        assert f"values.{line} " in shown
    assert "plain-" not in changed.stdout
    kube.delete("v1", "Secret", "sh.helm.release.v1.settings.v1", namespace)
    changed = project.run("drift", "dev", "--engine", "cli")
    assert changed.returncode == 16, changed.stdout + changed.stderr
    assert f"DRIFT  Release {namespace}/settings" in changed.stdout
    assert "missing" in changed.stdout
    project.succeed("up", "dev", "--engine", "cli", "--yes")
    assert "No differences.\n" in project.succeed("drift", "dev", "--engine", "cli")
