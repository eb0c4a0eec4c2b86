"""What every verb that meets a cluster sets up first: plan, local cluster, engine, header.

Kept apart so that `up`, `preview` and `destroy` start in the same way and say the same things.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from framework.cli.screens.cluster import ClusterScreen
from framework.cli.screens.text import render_count
from framework.cli.selection import select_models
from framework.engines.base import Engine, Request
from framework.plan import StackPlan, load_plan


@dataclass(frozen=True)
class Session:
    """One verb's run on one stack."""

    plan: StackPlan
    engine: Engine
    why_engine: str
    request: Request

    def render_header(self) -> str:
        """Which environment, which cluster, which engine and why."""
        plan = self.plan
        objects = render_count(len(plan.manifests), "object")
        models = render_count(len(plan.models), "model")
        simulated = " (simulated nodes: no container runs)" if plan.cluster.local else ""
        narrowed = self.request.components
        only = f"   only {', '.join(sorted(narrowed))}" if narrowed is not None else ""
        cluster = f"cluster {plan.cluster.context}{simulated}"
        return (
            f"{plan.stack:<9}{models}, {objects}   {cluster}{only}\n"
            f"engine   {self.engine.name} ({self.why_engine})"
        )


def open_session(
    root: Path, options: argparse.Namespace, *, start_cluster: bool, to: TextIO = sys.stderr
) -> Session:
    """Loads the plan, chooses the engine and has the local cluster running where it is needed.

    `start_cluster` False leaves a stopped local cluster stopped: a check reports that, it does not
    start what it checks.
    """
    from framework.engines import choose_engine

    plan = load_plan(root, options.environment)
    pattern = getattr(options, "model", None)
    models = select_models(plan, pattern)
    components = None if pattern is None else frozenset(model.name for model in models)
    engine, why = choose_engine(options.engine, root)
    if plan.cluster.local and start_cluster:
        start_local_cluster(root, to)
    return Session(plan, engine, why, Request(root, plan.stack, components))


def start_local_cluster(root: Path, to: TextIO) -> None:
    """Builds (once) and starts the local cluster; says so on `to` when it takes a while."""
    from framework.cluster import LocalCluster

    with ClusterScreen(to) as screen:
        LocalCluster(root).up(screen.show)
