"""Loads the plan for verbs that deploy nothing, such as drift and destroy, despite errors in files.

An error in one file must not keep anyone from looking at, or deleting, what runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.diagnostics import Diagnostic
from framework.core.stack import Stack
from framework.core.suggestions import list_names
from framework.plan import ClusterTarget, Manifest, PlanStore, StackPlan

if TYPE_CHECKING:
    from framework.engines.base import Engine


@dataclass(frozen=True)
class UsablePlan:
    """The plan of the models without errors; `diagnostics` are the errors of the others.

    `unplanned` names the models that the plan lacks because of errors; None means every model.
    `names_cluster` is False where environment.yaml has an error in its cluster. The plan then has
    the recorded cluster, and the context "" where nothing is recorded.
    """

    plan: StackPlan
    diagnostics: tuple[Diagnostic, ...] = ()
    names_cluster: bool = True
    unplanned: frozenset[str] | None = frozenset()

    def describe_diagnostics(self) -> str:
        """Returns one line about the files that are not used, "" where all of them are."""
        if not self.diagnostics:
            return ""
        files = sorted({diagnostic.path for diagnostic in self.diagnostics})
        verb = "has errors and is" if len(files) == 1 else "have errors and are"
        line = (
            f"{list_names(files)} {verb} not used; "
            f"`make validate ENV={self.plan.stack.environment}` shows them"
        )
        if not self.names_cluster:
            line += "; the cluster is the recorded one, not compared with environment.yaml"
        return line


def load_usable_plan(
    root: Path, environment: str, open_engine: Callable[[], AbstractContextManager[Engine]]
) -> UsablePlan:
    """Loads as much of the plan of an environment as its files allow.

        errors in              the plan has
        no file, or models     all other models
        _defaults.yaml         no models
        environment.yaml       no models; recorded values in place of those with errors

    The engine is opened only where environment.yaml has errors, because it takes longer to load
    than the plan. Raises UnknownNameError.
    """
    stack = Stack.of(environment)
    loaded = PlanStore(root).load_one(stack)
    if loaded.plan is not None:
        return UsablePlan(loaded.plan, loaded.errors, unplanned=loaded.unplanned)
    # Imported here: an environment without errors is read from the cache without pydantic.
    from framework.catalog import read_environment
    from framework.plan.build import build_stack

    settings, merged = read_environment(root, environment)
    if settings is not None:
        plan = build_stack(stack, settings, merged)
        file = f"environments/{environment}/environment.yaml"
        if any(diagnostic.path == file for diagnostic in loaded.errors):
            # A value that could not be read is left out. Without `until`, a rule would never
            # expire; without `path`, it would accept every field.
            plan = replace(plan, accept=(), injectors=())
        return UsablePlan(plan, loaded.errors, unplanned=None)
    named, namespace = _read_cluster(merged.data), merged.data.get("namespace")
    cluster = named
    if cluster is None or not isinstance(namespace, str):
        from framework.engines.base import Request

        request = Request(root, stack)
        with open_engine() as engine:
            cluster = cluster or _find_recorded_cluster(engine.summarize(request).providers)
            if not isinstance(namespace, str):
                namespace = str(engine.outputs(request).get("namespace", ""))
    metadata = {"name": namespace}
    plan = StackPlan(
        stack=stack,
        cluster=cluster,
        # A misspelt value such as `protect: ture` protects too: a deletion cannot be undone.
        protect=merged.data.get("protect") not in (None, False),
        namespace=Manifest(
            namespace, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        ),
        models=(),
    )
    return UsablePlan(plan, loaded.errors, names_cluster=named is not None, unplanned=None)


def _read_cluster(data: Mapping[str, Any]) -> ClusterTarget | None:
    """Returns the cluster of an environment with errors; None if an error is in the cluster."""
    named = data.get("cluster", {})
    if not data or not isinstance(named, Mapping):
        return None
    context, kubeconfig = named.get("context", "local"), named.get("kubeconfig", "~/.kube/config")
    if not isinstance(context, str) or not isinstance(kubeconfig, str) or not context:
        return None
    from framework.settings.environment import Cluster

    cluster = Cluster.model_construct(context=context, kubeconfig=kubeconfig)
    return ClusterTarget(cluster.kubeconfig_path, cluster.context, cluster.local)


def _find_recorded_cluster(providers: Mapping[str, Mapping[str, Any]]) -> ClusterTarget:
    """Returns the cluster of the first recorded provider; one without a name if there is none."""
    for _, inputs in sorted(providers.items()):
        context, kubeconfig = inputs.get("context"), inputs.get("kubeconfig")
        if isinstance(context, str) and isinstance(kubeconfig, str):
            return ClusterTarget(kubeconfig, context, context == "local")
    return ClusterTarget("", "", local=False)
