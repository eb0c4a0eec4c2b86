"""The verb that reads the cluster alone: status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from framework.cli.json_output import describe_track, describe_unplanned
from framework.cli.selection import select_models
from framework.cli.usable_plan import UsablePlan, load_usable_plan
from framework.core.errors import ConfigError, UsageError
from framework.core.stack import Stack
from framework.engines import choose_engine, open_engine
from framework.engines.base import NamedCluster, Request
from framework.kinds.naming import NAME_LABEL, TRACK_LABEL
from framework.output.status import render_status


def run_status(root: Path, options: argparse.Namespace) -> int:
    """What runs now, straight from the cluster."""
    from framework.cluster import START_ADVICE
    from framework.engines.clusters import check_recorded_cluster
    from framework.kube.client import KubeClient

    usable = _load(root, options.environment)
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
    if options.json:
        print(json.dumps({"stack": plan.stack.name, "tracks": tracks}, indent=2))
    else:
        print(render_status(tracks, plan))
    return 0


def _load(root: Path, environment: str) -> UsablePlan:
    """Loads what can be used of an environment's files, and says on stderr what cannot."""
    request = Request(root, Stack.of(environment))

    def ask(question: str) -> Any:
        # Opened only where the files do not say: the engine takes longer to load than the plan.
        with open_engine(choose_engine("auto", root), root, runs_program=False) as engine:
            return getattr(engine, question)(request)

    usable = load_usable_plan(root, environment, lambda: ask("recorded"), lambda: ask("outputs"))
    if not usable.plan.cluster.context or not usable.plan.namespace.name:
        # Neither the files nor the state say where to look.
        raise ConfigError(usable.diagnostics)
    if usable.diagnostics:
        print(usable.describe_diagnostics(), file=sys.stderr)
    return usable


def _describe_tracks(
    usable: UsablePlan, pattern: str | None, live: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns every track of the plan; with faults, also what runs and is not in it."""
    plan = usable.plan
    unplanned = _find_unplanned(usable, pattern, live) if usable.diagnostics else []
    try:
        models = select_models(plan, pattern)
    except UsageError:
        if not unplanned:
            raise
        models = ()
    tracks = [
        describe_track(model.name, track, live.get(track.deployment))
        for model in models
        for track in model.tracks
    ]
    return [*tracks, *unplanned]


def _find_unplanned(
    usable: UsablePlan, pattern: str | None, live: Mapping[str, Any]
) -> list[dict[str, Any]]:
    planned = {track.deployment for model in usable.plan.models for track in model.tracks}
    found = []
    for name, item in live.items():
        labels = item["metadata"].get("labels") or {}
        model = labels.get(NAME_LABEL, "")
        if name in planned or TRACK_LABEL not in labels or not _matches(pattern, model, labels):
            continue
        found.append(describe_unplanned(name, model, labels[TRACK_LABEL], item))
    return found


def _matches(pattern: str | None, model: str, labels: Mapping[str, str]) -> bool:
    if pattern is None:
        return True
    if "=" in pattern:
        label, _, value = pattern.partition("=")
        return labels.get(label) == value
    return fnmatchcase(model, pattern)
