"""The shortest Pulumi program for a list of manifests, with a tuned number of parallel operations.

`make bench` runs it beside the CLI engine. It knows nothing of live objects, models or budgets.
Usage: plain_pulumi.py VERB KUBECONFIG MANIFESTS STATE NAMESPACE [components], where MANIFESTS is a
YAML file with Deployments and Services, and STATE a folder. With `components` each model is a
component, as Pulumi advises. The CLI writes the whole state at each step, also at that of a
component.
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
    verb, kubeconfig, manifests, state, namespace, *rest = sys.argv[1:]

    def program() -> None:
        text = Path(manifests).read_text()
        register(kubeconfig, text, namespace, has_components=rest == ["components"])

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


def register(kubeconfig: str, manifests: str, namespace: str, *, has_components: bool) -> None:
    """Registers a provider, the Namespace, and each Deployment and Service of the YAML text."""
    provider = kubernetes.Provider("provider", kubeconfig=kubeconfig, context="local")
    own = kubernetes.core.v1.Namespace(
        "namespace",
        metadata={"name": namespace},
        opts=pulumi.ResourceOptions(provider=provider),
    )
    kinds: dict[str, Any] = {
        "Deployment": kubernetes.apps.v1.Deployment,
        "Service": kubernetes.core.v1.Service,
    }
    components: dict[str, pulumi.ComponentResource] = {}
    for manifest in yaml.load_all(manifests, yaml.CSafeLoader):
        if manifest["kind"] in kinds:
            model = manifest["metadata"]["name"]
            if has_components and model not in components:
                components[model] = pulumi.ComponentResource("plain:index:Model", model)
            parent = components.get(model)
            options = pulumi.ResourceOptions(parent=parent, provider=provider, depends_on=[own])
            fields = {key: manifest[key] for key in ("metadata", "spec")}
            kinds[manifest["kind"]](f"{manifest['kind']}-{model}", **fields, opts=options)
    for model, component in components.items():
        component.register_outputs({"deployment": model})


if __name__ == "__main__":
    main()
