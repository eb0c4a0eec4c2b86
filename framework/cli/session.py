"""What every verb that meets a cluster sets up first: plan, local cluster, engine, header.

Kept apart so that `up`, `preview` and `destroy` start in the same way and say the same things.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TextIO

from framework.cli.selection import select_components
from framework.cli.usable_plan import load_usable_plan
from framework.core.stack import Stack
from framework.engines import choose_engine, open_engine
from framework.engines.base import Engine, NamedCluster, Recorded, Request
from framework.output.cluster import ClusterScreen
from framework.output.text import render_count, render_wrapped
from framework.plan import StackPlan, load_plan

_MARGIN = " " * 9


@dataclass(frozen=True)
class Session:
    """One verb's run on one stack."""

    plan: StackPlan
    engine: Engine
    why_engine: str
    request: Request
    deploys: bool

    @cached_property
    def recorded(self) -> Recorded | None:
        """What is recorded, for verbs that do not deploy and so concern nothing else."""
        return None if self.deploys else self.engine.recorded(self.request)

    def render_header(self) -> str:
        """Which environment, which cluster, which engine and why."""
        plan = self.plan
        models = render_count(len(plan.models), "model")
        objects = render_count(len(plan.manifests), "object")
        if self.recorded:
            models = render_count(len(self.recorded.components), "recorded model")
            objects = render_count(self.recorded.objects, "object")
        simulated = " (simulated nodes: no container runs)" if plan.cluster.local else ""
        lines = [
            f"{plan.stack.name:<9}{models}, {objects}   cluster {plan.cluster.context}{simulated}",
            render_wrapped(f"engine   {self.engine.name} ({self.why_engine})", then=_MARGIN),
        ]
        if plan.disabled and not self.recorded:
            listed = ", ".join(plan.disabled)
            lines.append(render_wrapped(f"off      {listed} (enabled: false)", then=_MARGIN))
        if self.request.components is not None:
            listed = ", ".join(sorted(self.request.components))
            lines.append(render_wrapped(f"only     {listed}", then=_MARGIN))
        return "\n".join(lines)

    def render_nothing_to_do(self, why: str) -> str:
        """What a command says that found nothing to do."""
        narrowed = self.request.components is not None
        return f"Nothing to do{' for these models' if narrowed else ''}: {why}."


@contextmanager
def open_session(
    root: Path, options: argparse.Namespace, *, deploys: bool = False, to: TextIO = sys.stderr
) -> Iterator[Session]:
    """Chooses the engine, loads the plan and has the local cluster running where it is needed.

    A command that `deploys`, or shows what that would do, runs the program and starts the local
    cluster; the others leave it stopped: a check reports that, it does not start what it checks.
    """
    choice = choose_engine(options.engine, root)
    with open_engine(choice, root, runs_program=deploys) as engine:
        # What is only looked at, or taken away, needs no leave of today.
        today = date.today() if deploys else None
        names_cluster = True
        if deploys:
            plan = load_plan(root, options.environment, today=today)
        else:
            plan, names_cluster = _load_without_diagnostics(root, options.environment, engine)
        cluster = NamedCluster(plan.cluster.kubeconfig, plan.cluster.context)
        request = Request(root, plan.stack, cluster=cluster if names_cluster else None)
        pattern = getattr(options, "model", None)
        components = select_components(plan, pattern, lambda: engine.recorded(request).components)
        request = replace(request, components=components)
        if plan.cluster.local and deploys:
            start_local_cluster(root, to)
        yield Session(plan, engine, choice.why, request, deploys)


def _load_without_diagnostics(
    root: Path, environment: str, engine: Engine
) -> tuple[StackPlan, bool]:
    """Loads what can be used of an environment's files, and says on stderr what cannot."""
    request = Request(root, Stack.of(environment))
    usable = load_usable_plan(
        root,
        environment,
        lambda: engine.recorded(request),
        lambda: engine.outputs(request),
    )
    if usable.diagnostics:
        print(usable.describe_diagnostics(), file=sys.stderr)
    return usable.plan, usable.names_cluster


def start_local_cluster(root: Path, to: TextIO) -> None:
    """Builds (once) and starts the local cluster; says so on `to` when it takes a while."""
    from framework.cluster.local import LocalCluster

    with ClusterScreen(to) as screen:
        LocalCluster(root).up(screen.show)
