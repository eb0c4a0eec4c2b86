"""The Pulumi program: registers one provider, one Namespace and one component per model.

`__main__.py` only calls two functions of this module: it loads the plan of the selected stack and
registers it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes._utilities import get_version

from framework.core.stack import Stack
from framework.plan import Manifest, ModelPlan, PlanStore, StackPlan
from framework.plan.manifest import MODEL_TYPE
from framework.plan.rendered import find_model_image

_given_plans: dict[Path, StackPlan] = {}


def give_plan(root: Path, plan: StackPlan) -> None:
    """Keeps a plan that is already loaded, for `load_stack_plan`.

    Both engines call this in the process that runs the program. So `up` loads the plan once, not
    again for each run. Plain `pulumi up` does not call it.
    """
    _given_plans[root.resolve()] = plan


def load_stack_plan(root: Path, stack: str) -> StackPlan:
    """Returns the plan that `give_plan` kept for the stack, or loads it.

    `stack` is Pulumi's name of the stack. Errors: UnknownNameError, ConfigError.
    """
    plan = _given_plans.get(root.resolve())
    if plan is not None and plan.stack.name == stack:
        return plan
    # In this process alone: worker processes would import `__main__`, which runs the program again.
    return PlanStore(root, processes=1).load_one(Stack.of(stack)).require()


def register_stack(plan: StackPlan) -> None:
    """Registers everything of the plan, and exports the stack's outputs."""
    # `protect` is set on the provider and the Namespace alone. On the objects of a model it would
    # also refuse a removal that was confirmed, and every replaced ConfigMap.
    provider = Provider(
        "cluster",
        kubeconfig=plan.cluster.kubeconfig,
        context=plan.cluster.context,
        cluster_identifier=plan.cluster.identifier or plan.cluster.context,
        enable_patch_force=True,
        # A ConfigMap of a fixed name (`config.name`) changes in place: replacing it would delete it
        # first, and Pods that start meanwhile would fail.
        enable_config_map_mutable=True,
        opts=pulumi.ResourceOptions(protect=plan.protect),
    )
    namespace = register_manifest(
        plan.namespace, pulumi.ResourceOptions(provider=provider, protect=plan.protect)
    )
    deployments: dict[str, Any] = {}
    images: dict[str, Any] = {}
    for model in plan.models:
        component = ModelComponent(model, namespace, provider)
        deployments |= component.deployments
        images |= component.images
    pulumi.export("environment", plan.stack.environment)
    pulumi.export("namespace", plan.namespace.name)
    pulumi.export("deployments", deployments)
    # From the Deployments, not from the plan: a model that failed, or that MODEL left out, runs
    # another image than the plan has.
    pulumi.export("images", images)


class ModelComponent(pulumi.ComponentResource):
    """One model: every object generated for it is its child."""

    def __init__(self, plan: ModelPlan, namespace: pulumi.Resource, provider: Provider) -> None:
        # The objects inherit the alias: their logical names begin with that of the model.
        aliases = [pulumi.Alias(name=plan.previous_name)] if plan.previous_name else None
        options = pulumi.ResourceOptions(provider=provider, aliases=aliases)
        super().__init__(MODEL_TYPE, plan.name, None, options)
        depends_on: list[pulumi.Resource] = [namespace]
        self.deployments: dict[str, Any] = {}
        self.images: dict[str, Any] = {}
        for manifest in plan.manifests:
            resource = register_manifest(
                manifest,
                pulumi.ResourceOptions(parent=self, provider=provider, depends_on=depends_on),
            )
            if manifest.kind == "Deployment":
                self.deployments[manifest.name] = resource.metadata["name"]
                self.images[manifest.name] = resource.spec.apply(find_model_image)
            # Pods cannot start without these objects, so later objects wait for them. No object
            # waits for a Service, because it sends no traffic to Pods that are not ready.
            if manifest.used_by_pods:
                depends_on = [*depends_on, resource]
        # Names of the plan, which are known at once. For outputs of the Deployments, the CLI would
        # write its whole state once more for each model at the end, when it is largest.
        self.register_outputs({"deployments": {name: name for name in self.deployments}})


def register_manifest(manifest: Manifest, options: pulumi.ResourceOptions) -> Any:
    """Registers one object of the plan. Returns its resource; `metadata` of it is an Output."""
    timeout = f"{manifest.timeout_seconds}s" if manifest.timeout_seconds else None
    timeouts = pulumi.CustomTimeouts(create=timeout, update=timeout) if timeout else None
    # The generic class, with the type token and the version of the typed one: the state is the
    # same, and a registration takes a third of the time (6 ms instead of 18, 200 Deployments).
    return pulumi.CustomResource(
        manifest.type_token,
        manifest.logical_name,
        manifest.build_inputs(),
        pulumi.ResourceOptions.merge(
            options,
            pulumi.ResourceOptions(
                version=get_version(),
                custom_timeouts=timeouts,
                ignore_changes=list(manifest.ignore_changes),
                retain_on_delete=manifest.retain,
                aliases=[manifest.former_urn] if manifest.former_urn else None,
            ),
        ),
    )
