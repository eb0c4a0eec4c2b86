"""The table of verbs and options, which the parser, the help, shell completion and the tests read.

It names the function that runs a verb by its module, so that `--help` imports none of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """An option that one or more verbs take.

    `metavar` is "" for a switch. `choices` are the accepted values, () for any text.
    """

    name: str
    metavar: str
    help: str
    choices: tuple[str, ...] = ()
    default: str | None = None


_OPTIONS = (
    Option("model", "MODEL",
           "the model or models: a name, a glob (sent*) or a label (owner=team-nlp)"),
    Option("engine", "ENGINE",
           "cli (the Pulumi CLI), embedded (needs no CLI), or auto (the CLI if it is installed)",
           ("auto", "cli", "embedded"), "auto"),
    Option("plan", "FILE",
           "the plan file: preview writes it; up applies exactly this plan, or refuses"),
    Option("yes", "", "do not wait for a yes, not even before deletions and replacements"),
    Option("key", "KEY",
           "a setting (rollout.maxSurge) or a field of an object (Deployment.spec.replicas)"),
    Option("set", "KEY=VALUE", "override one setting for this command only; no file changes"),
    Option("to", "ENV", "compare with this environment"),
    Option("since", "REF", "compare with this Git commit, branch or tag"),
    Option("why", "", "show more: each object, and the files and lines behind each change"),
    Option("format", "FORMAT", "how to write the report", ("text", "github", "markdown"), "text"),
    Option("exit-code", "", "exit with 16 if there are differences"),
    Option("out", "FOLDER", "the folder for the files: manifests of render, reports of drift"),
    Option("profile", "PROFILE", "a profile of catalog/_profiles/, such as cpu-small"),
    Option("owner", "OWNER", "the team that owns the new model"),
    Option("tag", "TAG", "the image tag"),
    Option("file", "FILE", "the manifests to import: files or folders, - for standard input"),
    Option("base", "FOLDER", "the rendered manifests that all environments share"),
    Option("today", "YYYY-MM-DD", "the date that decides whether a waiver has expired"),
    Option("force", "", "also take over what another tool manages, such as Helm"),
    Option("finding", "ID", "the id of a finding that drift prints, or its first 4 or more digits"),
    Option("reason", "TEXT", "the reason why the difference is accepted"),
    Option("until", "YYYY-MM-DD", "the last day on which it is accepted"),
    Option("json", "", "print JSON; its schema is in schemas/output/"),
)  # fmt: skip
OPTIONS = {option.name: option for option in _OPTIONS}


@dataclass(frozen=True)
class Verb:
    """One verb.

    `run` is `module:function` in `framework.cli`. `environment` is "required", "optional", "none",
    or "files" for any number of files and environments; `without_environment` says what a command
    without an optional one concerns. `options` are names of OPTIONS; `formats` are the choices of
    FORMAT, if not all of them.
    `example` is a make command that shows the options in use.
    `read_only` verbs change nothing, and 0 is their only code for success, so they stop when a
    reader closes the pipe early (`| head`). The others continue without output.
    """

    name: str
    help: str
    run: str
    environment: str = "required"
    without_environment: str = "all of them"
    options: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    example: str = ""
    read_only: bool = False


GROUPS = {
    "Everyday": (
        Verb("up", "deploy an environment: preview, confirm, roll out, watch", "deploy:run_up",
             options=("model", "engine", "plan", "yes"),
             example="make up ENV=staging MODEL=sentiment"),
        Verb("preview", "show what up would change, with the forecast of each rollout",
             "deploy:run_preview", options=("model", "engine", "plan", "json"),
             example="make preview ENV=prod PLAN=plan.json", read_only=True),
        Verb("status", "show what runs now: versions, ready Pods, canaries", "read:run_status",
             options=("model", "json"), example="make status ENV=prod MODEL='sent*'",
             read_only=True),
        Verb("outputs", "show the stack's outputs, as last deployed", "deploy:run_outputs",
             options=("engine", "json"), example="make outputs ENV=prod", read_only=True),
        Verb("drift", "compare the cluster with the files and the last up; exit 16 if they differ",
             "drift:run_drift", options=("engine", "out", "why", "json"),
             example="make drift ENV=prod OUT=drift/prod"),
        Verb("accept", "accept a finding of drift: write a rule, with a reason and a last day",
             "remedies:run_accept", options=("finding", "reason", "until", "engine"),
             example="make accept ENV=prod FINDING=1b1708d0f0f5 REASON='load test' "
             "UNTIL=2026-12-31"),
        Verb("take", "write live values that drift found into the catalog",
             "remedies:run_take", options=("model", "finding", "engine"),
             example="make take ENV=prod MODEL=sentiment"),
        Verb("refresh", "show drift and, after a yes, record what the cluster has",
             "refresh:run_refresh", options=("engine", "why", "yes"),
             example="make refresh ENV=staging WHY=1"),
        Verb("adopt", "take over existing objects of a model that others created",
             "adopt:run_adopt", options=("model", "yes", "force"),
             example="make adopt ENV=prod MODEL=sentiment"),
        Verb("destroy", "delete everything that an environment has deployed", "deploy:run_destroy",
             options=("engine", "yes"), example="make destroy ENV=dev"),
    ),
    "Catalog": (
        Verb("validate", "show every error in every file, with file:line:column",
             "read:run_validate", environment="optional", options=("format", "today", "json"),
             formats=("text", "github"), example="make validate ENV=prod"),
        Verb("list", "list the models: owner, profiles, image, replicas in each environment",
             "read:run_list", environment="optional", options=("model", "profile", "json"),
             example="make list PROFILE=gpu-l4", read_only=True),
        Verb("explain", "show where a value comes from", "read:run_explain",
             options=("model", "key", "set", "json"),
             example="make explain ENV=prod MODEL=sentiment KEY=rollout.maxSurge", read_only=True),
        Verb("diff", "compare two environments, or an environment with a commit",
             "compare:run_diff", options=("model", "to", "since", "format", "exit-code", "json"),
             formats=("text", "markdown"), example="make diff ENV=staging TO=prod", read_only=True),
        Verb("affected", "list the models and environments that a change touches",
             "compare:run_affected", environment="optional",
             options=("since", "why", "exit-code", "json"), example="make affected SINCE=main",
             read_only=True),
        Verb("render", "print the manifests of an environment, ready for kubectl",
             "read:run_render", options=("model", "set", "out", "json"),
             example="make render ENV=dev OUT=manifests", read_only=True),
        Verb("new", "add a model: a valid, commented file", "edit:run_new", environment="none",
             options=("model", "profile", "owner", "tag"),
             example="make new MODEL=ranker PROFILE=mlserver,cpu-small"),
        Verb("bump", "set the image tag of a model, in its own file or in an environment",
             "edit:run_bump", environment="optional",
             without_environment="the model's own file, for all of them",
             options=("model", "tag", "json"),
             example="make bump MODEL=sentiment TAG=1.7.0"),
        Verb("import", "turn existing manifests into models, and check what they render",
             "importing:run_import", environment="files",
             options=("file", "base", "model", "profile", "owner", "yes", "json"),
             example="make import FILE=manifests.yaml PROFILE=vllm OWNER=team-nlp"),
        Verb("schema", "write the JSON Schemas and the reference of every setting",
             "edit:run_schema", environment="none"),
    ),
    "Set-up": (
        Verb("setup-pulumi", "build the pulumi CLI and its kubernetes provider (once)",
             "setup:run_setup_pulumi", environment="none"),
    ),
    "Local cluster": (
        Verb("cluster-up", "build (once) and start the local cluster", "cluster:run_cluster_up",
             environment="none"),
        Verb("cluster-down", "stop the local cluster; its data stays", "cluster:run_cluster_down",
             environment="none"),
        Verb("cluster-status", "show the local cluster: processes, nodes, how to use kubectl",
             "cluster:run_cluster_status", environment="none", options=("json",), read_only=True),
    ),
}  # fmt: skip
VERBS = tuple(verb for group in GROUPS.values() for verb in group)
