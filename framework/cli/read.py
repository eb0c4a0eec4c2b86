"""The verbs that read the catalog or the cluster: validate, list, explain, render, status."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.cli.usable_plan import UsablePlan, load_usable_plan
from framework.core.diagnostics import Position, group_diagnostics
from framework.core.errors import ConfigError, FrameworkError, UnknownNameError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.field_paths import FieldPath, FieldPathError
from framework.core.git import find_prefix
from framework.core.stack import Stack
from framework.files import count_files, find_catalog, list_environments
from framework.files.document import Document
from framework.kinds.naming import NAME_LABEL, TRACK_LABEL
from framework.output.diagnostics import (
    read_lines,
    render_annotations,
    render_diagnostics,
    render_summary,
)
from framework.output.text import render_count
from framework.plan import Manifest, ModelPlan, PlanStore, StackPlan
from framework.plan.selection import (
    ModelPattern,
    does_not_run,
    match_names,
    select_models,
    unknown_label,
)

if TYPE_CHECKING:
    from framework.catalog import Catalog
    from framework.output.models import TrackStatus

# Most imports of these verbs are inside them: the cached plan of a catalog is read back in a
# fraction of the time that it takes to import pydantic, OmegaConf or the engines.

_DOT = re.compile(r"(?<!\\)\.")
_SET = "--set"


def run_validate(root: Path, options: argparse.Namespace) -> ExitCode:
    """Shows every error and warning of the files of one environment, or of all."""
    environments = _choose_environments(root, options.environment)
    store = PlanStore(root, today=resolve_today(options.today))
    groups = group_diagnostics(store.check([*map(Stack.of, environments)]))
    warnings = sum(group.diagnostic.code.is_warning for group in groups)
    errors = len(groups) - warnings
    if options.json:
        from framework.output.catalog_documents import Validation
        from framework.output.json import build_diagnostics, render_json

        print(render_json(Validation(environments, build_diagnostics(groups))))
        return ExitCode.FAILED if errors else ExitCode.DONE
    if groups and options.format == "github":
        print(render_annotations(groups, find_prefix(root)))
    elif groups:
        print(f"{render_diagnostics(groups, read_lines(root))}\n")
    models = render_count(len(find_catalog(root).models), "model")
    scope = f"{models}, {', '.join(environments)}"
    print(render_summary(errors, warnings, count_files(root, environments), scope))
    return ExitCode.FAILED if errors else ExitCode.DONE


def resolve_today(text: str | None) -> date:
    """Returns the date of TODAY=, or today's in UTC. Errors: UsageError."""
    if text is None:
        # As for the rules of drift: a waiver must expire on every machine at the same moment.
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f'TODAY={text} is not a valid date; write it as "2026-11-23"') from exc


def _choose_environments(root: Path, environment: str | None) -> tuple[str, ...]:
    """Returns the environment given, or all of them. Raises FrameworkError if there is none."""
    environments = (environment,) if environment else list_environments(root)
    if not environments:
        raise FrameworkError(
            "environments/: there is no environment; create environments/dev/environment.yaml with "
            "a namespace and a cluster, as docs/settings.md shows"
        )
    return environments


def run_list(root: Path, options: argparse.Namespace) -> ExitCode:
    """Lists the models of one environment, or of all; leaves out only models with errors."""
    from framework.output.models import render_listing
    from framework.reports.listing import build_listing

    environments = _choose_environments(root, options.environment)
    only, profile = match_names(root, options.model), options.profile
    if profile is not None and profile not in (known := find_catalog(root).profiles):
        raise UnknownNameError("profile", profile, known)
    loads = PlanStore(root).load([*map(Stack.of, environments)], models=only).plans.values()
    groups = group_diagnostics(error for loaded in loads for error in loaded.errors)
    plans = {loaded.stack.environment: loaded.plan for loaded in loads if loaded.plan}
    label = ModelPattern(options.model if only is None else None)

    def is_selected(model: ModelPlan) -> bool:
        return label.matches(model.name, model.labels) and profile in (None, *model.profiles)

    models = build_listing(plans, is_selected if label.text or profile else None)
    planned = [model for plan in plans.values() for model in plan.models]
    # With errors, a model that could not be planned may be the one that has the label.
    has_label = any(label.matches(model.name, model.labels) for model in planned)
    if label.text and not groups and not has_label:
        pairs = {pair for model in planned for pair in model.labels.items()}
        raise unknown_label(label.text, map("=".join, pairs))
    if options.json:
        from framework.output.catalog_documents import Listing
        from framework.output.json import build_diagnostics, render_json

        print(render_json(Listing(models, build_diagnostics(groups))))
        return ExitCode.FAILED if groups else ExitCode.DONE
    if models:
        print(render_listing(models))
    elif not groups:
        names = " or ".join(environments)
        print(f"no model that runs in {names} matches; `make list` shows all models")
    if groups:
        text = render_diagnostics(groups, read_lines(root))
        print(f"{text}\n\nModels with errors in their settings are not listed.", file=sys.stderr)
    return ExitCode.FAILED if groups else ExitCode.DONE


def run_explain(root: Path, options: argparse.Namespace) -> ExitCode:
    """Shows where the settings of one model, or the fields of its objects, come from."""
    from framework.output.explain import render_explained, render_fields
    from framework.reports.explain import Explainer, is_field

    catalog = _load_one_model(root, options)
    model, key = catalog.models[0], options.key
    if key is not None and is_field(key):
        from framework.reports.rendered_fields import FieldExplainer

        fields = FieldExplainer(catalog, model).explain(key)
        if options.json:
            from framework.output.json import build_fields_explanation, render_json

            text = render_json(build_fields_explanation(model.name, options.environment, fields))
        else:
            text = render_fields(fields)
    else:
        settings = Explainer(catalog, model).find(key)
        if options.json:
            from framework.output.catalog_documents import SettingsExplanation
            from framework.output.json import render_json

            text = render_json(SettingsExplanation(model.name, options.environment, settings))
        else:
            text = render_explained(settings, count_unset=key is None)
    print(text)
    return ExitCode.DONE


def _load_one_model(root: Path, options: argparse.Namespace) -> Catalog:
    from framework.catalog import list_models, load_catalog

    name, environment = options.model, options.environment
    environments = list_environments(root)
    # Checked first: `explain churn` names a model where the environment belongs.
    if environment not in environments:
        raise UnknownNameError("environment", environment, environments)
    known = list_models(root)
    if name is None:
        raise UsageError(
            f"explain needs one model: `make explain ENV={environment} MODEL=...`; "
            f"`make list ENV={environment}` names them"
        )
    if name not in known:
        raise UnknownNameError("model", name, known)
    overrides = build_overrides(options.set)
    catalog = load_catalog(root, Stack.of(environment), models={name}, overrides=overrides)
    if not catalog.models:
        raise does_not_run(name, environment, str(catalog.disabled.get(name) or ""))
    return catalog


def run_render(root: Path, options: argparse.Namespace) -> ExitCode:
    """Prints the manifests of an environment, or writes them into a folder."""
    only = match_names(root, options.model)
    overrides = build_overrides(options.set)
    loaded = PlanStore(root).load_one(
        Stack.of(options.environment), models=only, overrides=overrides
    )
    plan = loaded.require()
    models = select_models(plan, options.model)
    if options.out is not None:
        _write_folder(Path(options.out), plan, models, options)
        return ExitCode.DONE
    manifests = [manifest.object for model in models for manifest in model.manifests]
    if options.model is None:
        manifests.insert(0, plan.namespace.object)
    if options.json:
        # Not render_json(): importing pydantic takes longer than reading the cached plan, and
        # manifests are plain JSON as they are.
        print(json.dumps(manifests, indent=2), end="")
    else:
        from framework.output.manifests import render_manifests

        print(render_manifests(manifests, sys.stdout.encoding or "utf-8"), end="")
    return ExitCode.DONE


def _write_folder(
    folder: Path, plan: StackPlan, models: Sequence[ModelPlan], options: argparse.Namespace
) -> None:
    from framework.output.manifests import write_folder

    def file_name(manifest: Manifest) -> str:
        return f"{manifest.kind}-{manifest.name}.yaml".lower()

    files = {
        f"{model.name}/{file_name(manifest)}": manifest
        for model in models
        for manifest in model.manifests
    }
    only = None if options.model is None else frozenset(model.name for model in models)
    if only is None:
        files[file_name(plan.namespace)] = plan.namespace
    try:
        removed = write_folder(folder, plan.stack.environment, files, only)
    except OSError as exc:
        raise UsageError(f"OUT={folder} cannot be written: {exc.strerror or exc}") from exc
    if options.json:
        from framework.output.catalog_documents import RenderedFolder
        from framework.output.json import render_json

        print(render_json(RenderedFolder(str(folder), tuple(sorted(files)), tuple(removed))))
        return
    outdated = f"; removed {render_count(len(removed), 'outdated file')}" if removed else ""
    counts = f"{render_count(len(files), 'object')} of {render_count(len(models), 'model')}"
    print(f"{plan.stack.environment}  {counts} written to {folder}{outdated}")


def build_overrides(assignment: str | None) -> tuple[Document, ...]:
    """Builds the layer of `--set KEY=VALUE`, which comes after all others; () for None.

    VALUE is YAML. A dot inside a key is written `\\.`, as in `resources.limits.nvidia\\.com/gpu=1`,
    or the key as other verbs print it: `resources.limits["nvidia.com/gpu"]=1`.
    Errors: UsageError if there is no key or no `=`, ConfigError if VALUE is not valid YAML.
    """
    if assignment is None:
        return ()
    from framework.catalog.loading import CONTEXT_KEYS
    from framework.files.document import parse_document
    from framework.settings.locations import join_dotted_key
    from framework.settings.model import Model

    key, equals, value = assignment.partition("=")
    parts = _split_key(key)
    if not equals or not all(parts):
        raise UsageError(
            f'{_SET} takes KEY=VALUE, such as rollout.maxSurge=1, not "{key}"; write a dot that '
            r"is part of a key as \."
        )
    if parts[0] in ("profiles", *CONTEXT_KEYS):
        raise UsageError(f'{_SET}: "{parts[0]}" cannot be overridden for one command')
    if joined := join_dotted_key(Model, parts):
        escaped = ".".join(part.replace(".", "\\.") for part in joined)
        raise UsageError(
            f'{_SET}: "{joined[-1]}" is one key, and a dot that is part of a key is written \\.: '
            f"SET='{escaped}={value}'"
        )
    lines = [f"{' ' * depth}{json.dumps(part)}:" for depth, part in enumerate(parts)]
    document, diagnostics = parse_document(_SET, "\n".join(lines) + f" {value}\n")
    if diagnostics:
        raise ConfigError(replace(diagnostic, line=0, column=0) for diagnostic in diagnostics)
    # The command line has no lines, so messages give "--set" as the position and no more.
    position = Position(_SET, 0, 0)
    return (
        replace(
            document,
            key_positions=dict.fromkeys(document.key_positions, position),
            value_positions=dict.fromkeys(document.value_positions, position),
        ),
    )


def _split_key(key: str) -> list[str]:
    """Returns the parts of a key with `\\.` for a dot in a part, or in the notation of paths."""
    if "[" in key:
        try:
            return [str(step) for step in FieldPath.parse(key).steps]
        except FieldPathError as error:
            raise UsageError(f"{_SET} {key}: {error}") from error
    return [part.replace("\\.", ".") for part in _DOT.split(key)]


def run_status(root: Path, options: argparse.Namespace) -> ExitCode:
    """Shows what runs now, read from the cluster and not from the recorded state."""
    from framework.cluster import START_ADVICE
    from framework.engines.base import NamedCluster
    from framework.engines.clusters import check_recorded_cluster
    from framework.kube.client import KubeClient
    from framework.output.models import render_status

    usable = _load_usable(root, options.environment)
    plan = usable.plan
    path = root / Path(plan.cluster.kubeconfig).expanduser()
    advice = START_ADVICE if plan.cluster.local else ""
    named = NamedCluster(plan.cluster.kubeconfig, plan.cluster.context)
    with KubeClient.connect(path, plan.cluster.context, advice=advice) as kube:
        if usable.names_cluster:
            check_recorded_cluster(root, plan.stack, named, kube.cluster_uid(), kube.server)
        live = {
            item["metadata"]["name"]: item
            for item in kube.list_objects("apps/v1", "Deployment", plan.namespace.name)
        }
    tracks = _describe_tracks(usable, options.model, live)
    pending = _find_pending(root, usable, options.model)
    if options.json:
        from framework.output.json import render_json
        from framework.output.stack_documents import Status

        print(render_json(Status(plan.stack.name, tracks, pending)))
    else:
        print(render_status(tracks, plan, pending))
    return ExitCode.DONE


def _find_pending(root: Path, usable: UsablePlan, pattern: str | None) -> tuple[str, ...] | None:
    """Returns the models that changed since the last `up`.

    None if the state is not in a folder, is empty (a fresh clone) or cannot be read, or if
    environment.yaml has errors.
    """
    from framework.drift.fields import find_pending_models
    from framework.engines import choose_engine, open_engine
    from framework.engines.base import Request
    from framework.engines.project import load_project

    try:
        # Any other state is read by the CLI, which takes seconds and creates a missing stack.
        if not load_project(root).has_file_backend:
            return None
        with open_engine(choose_engine("embedded", root), root, runs_program=False) as engine:
            recorded = engine.recorded_objects(Request(root, usable.plan.stack)).own
    except FrameworkError as error:
        print(f"warning: cannot tell which models are pending: {error}", file=sys.stderr)
        return None
    if not recorded or usable.unplanned is None:
        return None
    pending = find_pending_models(recorded, usable.plan, usable.unplanned)
    labels = {model.name: model.labels for model in usable.plan.models}
    selected = ModelPattern(pattern)
    return tuple(name for name in pending if selected.matches(name, labels.get(name, {})))


def _load_usable(root: Path, environment: str) -> UsablePlan:
    """Loads the files that have no errors, and names on stderr those that are not used."""
    from framework.engines import choose_engine, open_engine

    usable = load_usable_plan(
        root,
        environment,
        lambda: open_engine(choose_engine("auto", root), root, runs_program=False),
    )
    if not usable.plan.cluster.context or not usable.plan.namespace.name:
        # Neither the files nor the recorded state name the cluster and the namespace.
        raise ConfigError(usable.diagnostics)
    if usable.diagnostics:
        print(usable.describe_diagnostics(), file=sys.stderr)
    return usable


def _describe_tracks(
    usable: UsablePlan, pattern: str | None, live: Mapping[str, Any]
) -> tuple[TrackStatus, ...]:
    """Describes every track of the plan; with errors in files, also what runs unplanned."""
    from framework.output.models import TrackStatus

    planned = {
        track.deployment: (model, track) for model in usable.plan.models for track in model.tracks
    }
    unplanned = []
    for name, deployment in live.items() if usable.diagnostics else ():
        labels = deployment["metadata"].get("labels") or {}
        model = labels.get(NAME_LABEL, "")
        if name in planned or TRACK_LABEL not in labels:
            continue
        if ModelPattern(pattern).matches(model, labels):
            unplanned.append(TrackStatus.of(model, labels[TRACK_LABEL], name, None, deployment))
    try:
        selected = select_models(usable.plan, pattern)
    except UsageError:
        if not unplanned:
            raise
        selected = ()
    return (
        *(
            TrackStatus.of(
                model.name, track.track, track.deployment, track.image, live.get(track.deployment)
            )
            for model in selected
            for track in model.tracks
        ),
        *unplanned,
    )
