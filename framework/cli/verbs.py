"""The verbs and what each may be told: one table for the parser, the help and the tests.

Kept apart from what the verbs do, so that `--help` answers without importing any of it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One option of several verbs; `metavar` "" is a switch, `choices` are what it may be."""

    name: str
    metavar: str
    help: str
    choices: tuple[str, ...] = ()
    default: str | None = None


OPTIONS = (
    Option("json", "", "print JSON"),
    Option("yes", "", "agree to deletions as well"),
    Option("engine", "ENGINE", "which engine", ("auto", "cli", "embedded"), "auto"),
    Option("key", "KEY", "a setting (rollout.maxSurge) or a field (Deployment.spec.replicas)"),
    Option("to", "ENV", "the environment to compare with"),
    Option("since", "REF", "the Git commit, branch or tag to compare with"),
    Option("format", "FORMAT", "how the report is written", ("text", "markdown", "github"), "text"),
    Option("exit-code", "", "end with 16 where there are differences"),
    Option("why", "", "say what caused each"),
    Option("out", "FOLDER", "write one file per object there"),
    Option("profile", "PROFILE", "a profile by its name, as in catalog/_profiles/"),
    Option("owner", "OWNER", "the team that answers for a new model"),
    Option("tag", "TAG", "the image tag"),
    Option("set", "KEY=VALUE", "one more layer, over all others"),
    Option("today", "YYYY-MM-DD", "the day waivers are held against"),
)


@dataclass(frozen=True)
class Verb:
    """One verb. `environment` is "required", "optional" or "none"; `run` is `module:function`
    below `framework.cli`; `options` are names of OPTIONS. `reads`: it changes nothing and its exit
    code says nothing of what it found, so a reader that leaves early has missed nothing."""

    name: str
    help: str
    run: str
    environment: str = "required"
    model: bool = False
    options: tuple[str, ...] = ()
    reads: bool = False


VERBS = (
    Verb("up", "deploy an environment: preview, confirm, roll out, watch", "deploy:run_up",
         model=True, options=("yes", "engine")),
    Verb("preview", "what up would change, with the rollout forecast", "deploy:run_preview",
         model=True, options=("json", "engine"), reads=True),
    Verb("status", "what runs now: versions, ready Pods, canaries", "reading:run_status",
         model=True, options=("json",), reads=True),
    Verb("outputs", "the stack's outputs, as last deployed", "deploy:run_outputs",
         options=("json", "engine"), reads=True),
    Verb("drift", "compare the cluster with the recorded state; exit 16 on differences",
         "deploy:run_drift", options=("json", "engine")),
    Verb("refresh", "bring the recorded state to what the cluster has", "deploy:run_refresh",
         options=("yes", "engine")),
    Verb("destroy", "delete everything of an environment", "deploy:run_destroy",
         options=("yes", "engine")),
    Verb("validate", "every fault in every file, with file:line:column", "validating:run_validate",
         environment="optional", options=("json", "format", "today")),
    Verb("list", "the models: owner, profiles, image, replicas in each environment",
         "listing:run_list", environment="optional", model=True, options=("profile", "json"),
         reads=True),
    Verb("explain", "where a value comes from", "explaining:run_explain",
         model=True, options=("key", "set", "json"), reads=True),
    Verb("diff", "two environments side by side, or what changed since a commit",
         "comparing:run_diff", model=True,
         options=("to", "since", "format", "exit-code", "json"), reads=True),
    Verb("affected", "the models and environments that a change since a commit touches",
         "comparing:run_affected", environment="optional",
         options=("since", "why", "exit-code", "json"), reads=True),
    Verb("render", "the manifests of an environment, as kubectl takes them", "rendering:run_render",
         model=True, options=("out", "set", "json"), reads=True),
    Verb("new", "add a model: a valid, commented entry", "editing:run_new",
         environment="none", model=True, options=("profile", "owner", "tag")),
    Verb("bump", "set a model's image tag, in the catalog or in one environment",
         "editing:run_bump", environment="optional", model=True, options=("tag", "json")),
    Verb("schema", "write the JSON Schemas and the reference of every setting",
         "schemas:run_schema", environment="none"),
    Verb("cluster-up", "build (once) and start the local cluster", "local:run_cluster_up",
         environment="none"),
    Verb("cluster-down", "stop the local cluster; its data stays", "local:run_cluster_down",
         environment="none"),
    Verb("cluster-status", "the local cluster: processes, nodes, how to use kubectl",
         "local:run_cluster_status", environment="none", options=("json",), reads=True),
)  # fmt: skip
