"""Prepares the verbs that an engine carries out: plan, engine, local cluster, header."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TextIO

from framework.cli.usable_plan import load_usable_plan
from framework.core.stack import Stack
from framework.engines import choose_engine, open_engine
from framework.engines.base import Engine, NamedCluster, Request, StateSummary
from framework.output.setup import SetupScreen
from framework.output.text import render_count, render_wrapped
from framework.plan import PlanStore, StackPlan
from framework.plan.selection import check_renamed, select_components

_MARGIN = " " * 9


@dataclass(frozen=True)
class Session:
    """One run of a verb on one stack. `deploys` is True for `up`, `preview` and `adopt`.

    `unplanned` names the models that the plan lacks because of errors; None means every model.
    `unused_files` is a message that names the files left out because of errors, "" for none.
    """

    plan: StackPlan
    engine: Engine
    engine_reason: str
    request: Request
    deploys: bool
    unplanned: frozenset[str] | None = frozenset()
    unused_files: str = ""

    @cached_property
    def state_summary(self) -> StateSummary | None:
        """The recorded resources; None for verbs that deploy, whose header counts the plan."""
        return None if self.deploys else self.engine.summarize(self.request)

    def render_header(self) -> str:
        """Returns the environment, its cluster, the engine and the reason for its choice."""
        plan = self.plan
        models = render_count(len(plan.models), "model")
        objects = render_count(len(plan.manifests), "object")
        if self.state_summary:
            models = render_count(len(self.state_summary.components), "recorded model")
            objects = render_count(self.state_summary.objects, "object")
        simulated = " (simulated nodes: no container runs)" if plan.cluster.local else ""
        lines = [
            f"{plan.stack.name:<9}{models}, {objects}   cluster {plan.cluster.context}{simulated}",
            render_wrapped(f"engine   {self.engine.name} ({self.engine_reason})", then=_MARGIN),
        ]
        if plan.disabled and not self.state_summary:
            names = ", ".join(plan.disabled)
            lines.append(render_wrapped(f"off      {names} (enabled: false)", then=_MARGIN))
        if self.request.components is not None:
            names = ", ".join(sorted(self.request.components))
            lines.append(render_wrapped(f"only     {names}", then=_MARGIN))
        return "\n".join(lines)

    def render_nothing_to_do(self, reason: str) -> str:
        """Returns the line that a verb prints if nothing changes."""
        narrowed = self.request.components is not None
        return f"Nothing to do{' for these models' if narrowed else ''}: {reason}."


@contextmanager
def open_session(
    root: Path,
    options: argparse.Namespace,
    *,
    deploys: bool = False,
    to: TextIO = sys.stderr,
    components: frozenset[str] | None = None,
) -> Iterator[Session]:
    """Chooses the engine, loads the plan and starts the local cluster if it is needed.

    `deploys` is True for `up`, `preview` and `adopt`: they run the program, need files without
    errors, and start the local cluster. The other verbs work with the files that have no errors,
    and leave a stopped local cluster stopped, because a check must not start what it checks. `to`
    is the stream that shows the start. `components` are the models of a plan file, in place of
    MODEL.
    """
    choice = choose_engine(options.engine, root)
    with open_engine(choice, root, runs_program=deploys) as engine:
        usable = None
        if deploys:
            # An expired waiver stops a deployment, but not a look at what is deployed.
            store = PlanStore(root, today=datetime.now(UTC).date())
            plan = store.load_one(Stack.of(options.environment)).require()
        else:
            usable = load_usable_plan(root, options.environment, lambda: nullcontext(engine))
            if usable.diagnostics:
                print(usable.describe_diagnostics(), file=sys.stderr)
            plan = usable.plan
        cluster = NamedCluster(plan.cluster.kubeconfig, plan.cluster.context)
        # With an error in the cluster of environment.yaml, the state alone names the cluster: a
        # default must not lead a command to another one.
        request = Request(
            root,
            plan.stack,
            cluster=cluster if usable is None or usable.names_cluster else None,
            plan=plan if deploys else None,
        )
        pattern = getattr(options, "model", None)
        if components is None:
            components = select_components(
                plan, pattern, lambda: engine.summarize(request).components
            )
        if deploys and components is not None:
            check_renamed(plan, components)
        request = replace(request, components=components)
        if plan.cluster.local and deploys:
            start_local_cluster(root, to)
        unplanned = usable.unplanned if usable else frozenset()
        unused_files = usable.describe_diagnostics() if usable else ""
        yield Session(plan, engine, choice.reason, request, deploys, unplanned, unused_files)


def start_local_cluster(root: Path, to: TextIO) -> None:
    """Builds (once) and starts the local cluster; shows its progress on `to`."""
    from framework.cluster.local import LocalCluster

    with SetupScreen(to, "cluster") as screen:
        LocalCluster(root).up(screen.show)
