"""The verbs and what each may be told: one table for the parser, the help and the tests.

Kept apart from what the verbs do, so that `--help` answers without importing any of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """One verb. `environment` is "required", "optional" or "none"; `run` is `module:function`
    below `framework.cli`."""

    name: str
    help: str
    run: str
    environment: str = "required"
    model: bool = False
    json: bool = False
    yes: bool = False
    engine: bool = False


VERBS = (
    Verb("up", "deploy an environment: preview, confirm, roll out, watch", "deploy:run_up",
         model=True, yes=True, engine=True),
    Verb("preview", "what up would change, with the rollout forecast", "deploy:run_preview",
         model=True, json=True, engine=True),
    Verb("status", "what runs now: versions, ready Pods, canaries", "reading:run_status",
         model=True, json=True),
    Verb("outputs", "the stack's outputs, as last deployed", "deploy:run_outputs",
         json=True, engine=True),
    Verb("drift", "compare the cluster with the recorded state; exit 16 on differences",
         "deploy:run_drift", json=True, engine=True),
    Verb("refresh", "bring the recorded state to what the cluster has", "deploy:run_refresh",
         yes=True, engine=True),
    Verb("destroy", "delete everything of an environment", "deploy:run_destroy",
         yes=True, engine=True),
    Verb("validate", "every fault in every file, with file:line:column", "reading:run_validate",
         environment="optional", json=True),
    Verb("render", "the manifests of an environment, as kubectl takes them", "reading:run_render",
         model=True, json=True),
    Verb("cluster-up", "build (once) and start the local cluster", "local:run_cluster_up",
         environment="none"),
    Verb("cluster-down", "stop the local cluster; its data stays", "local:run_cluster_down",
         environment="none"),
    Verb("cluster-status", "the local cluster: processes, nodes, how to use kubectl",
         "local:run_cluster_status", environment="none", json=True),
)  # fmt: skip
