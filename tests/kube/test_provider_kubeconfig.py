"""Kubeconfigs that work for us and kubectl, and not for Pulumi's Kubernetes provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.core.errors import ClusterError
from framework.kube.provider_kubeconfig import check_provider_kubeconfig


def write_kubeconfig(folder: Path, cluster: Any, user: Any, current: str | None) -> Path:
    document = {
        "current-context": current,
        "clusters": [{"name": "c", "cluster": cluster}, {"name": "other", "cluster": None}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize("current", ["here", "", None])
def test_usable_kubeconfig_passes(tmp_path: Path, current: str | None) -> None:
    user = {"client-key": "/pki/key", "client-certificate": "old", "exec": {"command": "aws"}}
    user["client-certificate-data"] = "eA=="
    path = write_kubeconfig(tmp_path, {"certificate-authority": "/pki/ca"}, user, current)
    check_provider_kubeconfig(path, "here")


@pytest.mark.parametrize(
    ("cluster", "user", "current", "fault"),
    [
        ({}, {}, "gone", 'current-context is "gone"'),
        ({"certificate-authority": "pki/ca"}, {}, "here", "certificate-authority is the relative"),
        ({}, {"client-key": "pki/key"}, "here", "client-key is the relative path pki/key"),
        ({}, {"tokenFile": "token"}, "here", "tokenFile is the relative path token"),
        ({}, {"exec": {"command": "./login"}}, "here", "exec.command is the relative path ./login"),
    ],
    ids=["context", "authority", "key", "token", "plugin"],
)
def test_kubeconfig_that_the_provider_cannot_use_is_refused(
    tmp_path: Path, cluster: Any, user: Any, current: str, fault: str
) -> None:
    path = write_kubeconfig(tmp_path, cluster, user, current)
    with pytest.raises(ClusterError, match="provider of the pulumi CLI cannot use") as caught:
        check_provider_kubeconfig(path, "here")
    assert fault in str(caught.value)


def test_all_faults_are_in_one_error(tmp_path: Path) -> None:
    user = {"client-key": "key", "client-certificate": "crt"}
    path = write_kubeconfig(tmp_path, {"certificate-authority": "ca"}, user, "gone")
    with pytest.raises(ClusterError) as caught:
        check_provider_kubeconfig(path, "here")
    assert str(caught.value).count("relative path") == 3
    assert "current-context" in str(caught.value)
