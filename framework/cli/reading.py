"""The verbs that only read: status, render."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.cli.screens.status import describe_track, render_status
from framework.cli.selection import select_models
from framework.plan import load_plan


def run_status(root: Path, options: argparse.Namespace) -> int:
    """What runs now, straight from the cluster."""
    from framework.kube.client import KubeClient

    plan = load_plan(root, options.environment)
    models = select_models(plan, options.model)
    kube = KubeClient.connect((root / plan.cluster.kubeconfig).expanduser(), plan.cluster.context)
    try:
        live = {
            item["metadata"]["name"]: item
            for item in kube.list("apps/v1", "Deployment", plan.namespace.name)
        }
    finally:
        kube.close()
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


def run_render(root: Path, options: argparse.Namespace) -> int:
    """The manifests, as kubectl takes them."""
    plan = load_plan(root, options.environment)
    models = select_models(plan, options.model)
    manifests = [m.object for model in models for m in model.manifests]
    if options.model is None:
        manifests.insert(0, plan.namespace.object)
    print(json.dumps(manifests, indent=2) if options.json else render_manifests(manifests), end="")
    return 0


def render_manifests(manifests: Sequence[Mapping[str, Any]]) -> str:
    """One multi-document YAML, in the plan's order; the same input gives the same bytes."""
    import yaml

    class PlainDumper(yaml.SafeDumper):
        # Anchors are for machines; a reader wants repeated values written out.
        def ignore_aliases(self, data: Any) -> bool:
            return True

    text: str = yaml.dump_all(
        manifests, Dumper=PlainDumper, sort_keys=False, explicit_start=True, allow_unicode=True
    )
    return text
