"""The verbs that an engine carries out: up, preview, refresh, drift, destroy, outputs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framework.changes import Change, Op, Preview, Result
from framework.cli.screens.changes import is_shown, needs_consent, render_changes
from framework.cli.screens.drift import render_drift
from framework.cli.screens.progress import RolloutProgress
from framework.cli.screens.result import render_outputs, render_result
from framework.cli.session import Session, open_session, start_local_cluster
from framework.errors import FrameworkError, StateError
from framework.plan import StackPlan

DIFFERENCES = 16
ROLLOUT_FAILED = 3
_AS_PLANNED = "the cluster is as planned"


def run_up(root: Path, options: argparse.Namespace) -> int:
    """Preview, confirm, roll out, watch."""
    with open_session(root, options, deploys=True, to=sys.stdout) as session:
        print(session.render_header(), flush=True)
        return _apply(session, options, session.engine.up, _AS_PLANNED)


def run_refresh(root: Path, options: argparse.Namespace) -> int:
    """Bring the recorded state to what the cluster has."""
    with open_session(root, options) as session:
        print(session.render_header(), flush=True)
        same = "the recorded state is what the cluster has"
        return _apply(session, options, session.engine.refresh, same)


def run_destroy(root: Path, options: argparse.Namespace) -> int:
    """Delete everything of an environment."""
    with open_session(root, options) as session:
        if session.plan.protect:
            name = session.plan.environment
            raise FrameworkError(
                f"environments/{name}/environment.yaml: {name} is protected, so destroy refuses; "
                "nothing was deleted. To delete it all the same, set protect: false there, run "
                f"`make up ENV={name}`, then destroy"
            )
        if session.plan.cluster.local:
            start_local_cluster(root, sys.stdout)
        print(session.render_header(), flush=True)
        return _apply(session, options, session.engine.destroy, "nothing is deployed")


def _apply(
    session: Session,
    options: argparse.Namespace,
    run: Callable[..., Result | None],
    when_same: str,
) -> int:
    started = time.monotonic()
    asked = _Confirmation(session, options)
    with RolloutProgress(sys.stdout) as progress:
        result = run(session.request, asked, progress.show)
    seconds = time.monotonic() - started
    if result is None:
        print("Nothing was changed.")
        return 1
    if not asked.asked:
        print(f"\n{session.render_nothing_to_do(when_same)}")
    else:
        print(f"\n{render_result(result, session.plan, seconds, progress.counts)}")
    if options.verb == "up":
        print(f"\n{render_outputs(result.outputs)}")
    if not result.failures:
        return 0
    return ROLLOUT_FAILED if all(failure.rollout for failure in result.failures) else 1


class _Confirmation:
    """Shows the change list and asks, where there is something to ask and somebody to answer."""

    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        self._session, self._yes, self._verb = session, options.yes, options.verb
        self.asked = False

    def __call__(self, preview: Preview) -> bool:
        self.asked = True
        # Only `up` rolls anything out; the others have no forecast.
        plan = self._session.plan if self._verb == "up" else None
        components = self._session.request.components
        changes = render_changes(preview, plan, components=components, asks=not self._yes)
        print(f"\n{changes}\n", flush=True)
        taken = [change for change in preview.changes if self._takes_away(change)]
        if self._yes:
            return True
        if sys.stdin.isatty() and sys.stdout.isatty():
            return _ask("Apply? [y/N] ")
        if taken:
            raise FrameworkError(
                f"{self._session.plan.stack}: {len(taken)} of these changes {self._takes()}; "
                "without a terminal that needs YES=1. Nothing was changed; "
                f"next: `make {self._verb} ENV={self._session.plan.stack} YES=1`"
            )
        return True

    def _takes(self) -> str:
        rewrites = self._verb == "refresh"
        return "rewrite the recorded state" if rewrites else "delete or replace objects"

    def _takes_away(self, change: Change) -> bool:
        if not is_shown(change):
            return False
        if self._verb == "refresh":
            return change.op is not Op.SAME
        models = [model.name for model in self._session.plan.models]
        return needs_consent(change, models)


def _ask(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def run_preview(root: Path, options: argparse.Namespace) -> int:
    """What `up` would change."""
    with open_session(root, options, deploys=True) as session:
        preview = session.engine.preview(session.request)
    if options.json:
        print(json.dumps(_describe_preview(preview, session), indent=2, default=str))
        return 0
    components = session.request.components
    changes = render_changes(preview, session.plan, components=components)
    print(f"{session.render_header()}\n\n{changes}")
    if preview.clean:
        print(f"\n{session.render_nothing_to_do(_AS_PLANNED)}")
    else:
        narrowed = f" MODEL={options.model}" if options.model else ""
        print(f"\nnext: make up ENV={session.plan.stack}{narrowed}")
    return 0


def _describe_preview(preview: Preview, session: Session) -> dict[str, Any]:
    return {
        "stack": session.plan.stack,
        "engine": session.engine.name,
        "clean": preview.clean,
        "changes": [_describe_change(change) for change in preview.changes if is_shown(change)],
        "forecasts": _describe_forecasts(session.plan),
        "outputs": dict(preview.outputs),
    }


def _describe_change(change: Change) -> dict[str, Any]:
    return {
        "op": change.op.value,
        "urn": change.urn,
        "kind": change.kind,
        "object": change.object,
        "model": change.component or None,
        "fields": [
            {key: value for key, value in vars(field).items() if value != ""}
            for field in change.fields
        ],
        "note": change.note,
    }


def _describe_forecasts(plan: StackPlan) -> dict[str, Any]:
    return {
        track.deployment: {
            "replicas": track.budget.replicas,
            "surge": track.budget.surge,
            "unavailable": track.budget.unavailable,
            "waves": track.budget.waves,
            "peak": track.budget.peak,
            "minimumAvailable": track.budget.minimum_available,
            "worstCaseSeconds": track.seconds,
        }
        for model in plan.models
        for track in model.tracks
    }


def run_drift(root: Path, options: argparse.Namespace) -> int:
    """Compare the cluster with the recorded state; writes nothing."""
    started = time.monotonic()
    with open_session(root, options) as session:
        drift = session.engine.drift(session.request)
    if not drift.changes:
        raise StateError(
            f"stack {session.plan.stack}: nothing is recorded, so there is nothing to compare; "
            f"deploy it with `make up ENV={session.plan.stack}`, or run where its state is"
        )
    found = [c for c in drift.changes if is_shown(c) and c.op is not Op.SAME]
    if options.json:
        print(
            json.dumps(
                {
                    "stack": session.plan.stack,
                    "clean": not found,
                    "changes": [_describe_change(change) for change in found],
                },
                indent=2,
                default=str,
            )
        )
    else:
        print(render_drift(drift, session.plan, time.monotonic() - started))
    return DIFFERENCES if found else 0


def run_outputs(root: Path, options: argparse.Namespace) -> int:
    """The stack's outputs, as last deployed."""
    with open_session(root, options) as session:
        outputs = session.engine.outputs(session.request)
    if options.json:
        print(json.dumps(dict(outputs), indent=2, sort_keys=True, default=str))
    elif outputs:
        print(render_outputs(outputs))
    else:
        print(f"Nothing is deployed yet.   next: make up ENV={session.plan.stack}")
    return 0
