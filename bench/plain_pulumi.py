"""The shortest Pulumi program for a list of manifests, with a tuned number of parallel operations.

`make bench` runs it beside the CLI engine. It knows nothing of live objects, models or budgets.
Usage: plain_pulumi.py VERB KUBECONFIG MANIFESTS STATE NAMESPACE, where MANIFESTS is a YAML file
with Deployments and Services, and STATE a folder.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import yaml
from pulumi import automation

_PARALLEL = 128


def main() -> None:
    """Runs `preview`, `up` or `refresh` (which only previews)."""
    verb, kubeconfig, manifests, state, namespace = sys.argv[1:]

    def program() -> None:
        register(kubeconfig, Path(manifests).read_text(), namespace)

    backend = automation.ProjectBackend(url=f"file://{state}")
    settings = automation.ProjectSettings("plain", "python", backend=backend)
    workspace = automation.LocalWorkspaceOptions(
        project_settings=settings, env_vars={"PULUMI_CONFIG_PASSPHRASE": ""}
    )
    stack = automation.create_or_select_stack("dev", "plain", program, opts=workspace)
    if verb == "refresh":
        stack.preview_refresh(parallel=_PARALLEL)
    elif verb == "up":
        stack.up(parallel=_PARALLEL)
    else:
        stack.preview(parallel=_PARALLEL)


def register(kubeconfig: str, manifests: str, namespace: str) -> None:
    """Registers a provider, the Namespace, and each Deployment and Service of the YAML text."""
    provider = kubernetes.Provider("provider", kubeconfig=kubeconfig, context="local")
    own = kubernetes.core.v1.Namespace(
        "namespace",
        metadata={"name": namespace},
        opts=pulumi.ResourceOptions(provider=provider),
    )
    options = pulumi.ResourceOptions(provider=provider, depends_on=[own])
    kinds: dict[str, Any] = {
        "Deployment": kubernetes.apps.v1.Deployment,
        "Service": kubernetes.core.v1.Service,
    }
    for manifest in yaml.load_all(manifests, yaml.CSafeLoader):
        if manifest["kind"] in kinds:
            name = f"{manifest['kind']}-{manifest['metadata']['name']}"
            fields = {key: manifest[key] for key in ("metadata", "spec")}
            kinds[manifest["kind"]](name, **fields, opts=options)


if __name__ == "__main__":
    main()
