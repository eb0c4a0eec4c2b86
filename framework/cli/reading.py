"""The verb that reads the cluster alone: status."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from framework.cli.json_output import describe_track
from framework.cli.screens.status import render_status
from framework.cli.selection import select_models
from framework.engines.base import NamedCluster
from framework.plan import load_plan


def run_status(root: Path, options: argparse.Namespace) -> int:
    """What runs now, straight from the cluster."""
    from framework.cluster import START_ADVICE
    from framework.engines.embedded.recorded_cluster import check_recorded_cluster
    from framework.kube.client import KubeClient

    plan = load_plan(root, options.environment)
    models = select_models(plan, options.model)
    path = root / Path(plan.cluster.kubeconfig).expanduser()
    advice = START_ADVICE if plan.cluster.local else ""
    named = NamedCluster(plan.cluster.kubeconfig, plan.cluster.context)
    with KubeClient.connect(path, plan.cluster.context, advice=advice) as kube:
        check_recorded_cluster(root, plan.stack, named, kube.cluster_uid(), kube.server)
        live = {
            item["metadata"]["name"]: item
            for item in kube.list_objects("apps/v1", "Deployment", plan.namespace.name)
        }
    tracks = [
        describe_track(model.name, track, live.get(track.deployment))
        for model in models
        for track in model.tracks
    ]
    if options.json:
        print(json.dumps({"stack": plan.stack, "tracks": tracks}, indent=2))
    else:
        print(render_status(tracks, plan))
    return 0
