"""The verbs that an engine carries out: up, preview, refresh, drift, destroy, outputs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from framework.cli.consent import Confirmation, needs_consent
from framework.cli.json_output import describe_drift, describe_preview
from framework.cli.session import Session, open_session, start_local_cluster
from framework.core.changes import Op, Result
from framework.core.errors import ProtectedError, StateError
from framework.core.exit_codes import ExitCode
from framework.output.changes import is_shown, render_changes, render_messages
from framework.output.drift import render_drift
from framework.output.progress import RolloutProgress
from framework.output.result import render_outputs, render_result

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
            raise ProtectedError(session.plan.stack.environment)
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
    asked = Confirmation(session, options)
    with RolloutProgress(sys.stdout) as progress:
        result = run(session.request, asked, progress.show)
    seconds = time.monotonic() - started
    if result is None:
        print("Nothing was changed.")
        return 1
    unsaid = [message for message in result.messages if message not in asked.messages]
    if unsaid:
        print(f"\n{render_messages(unsaid)}")
    if not asked.asked:
        print(f"\n{session.render_nothing_to_do(when_same)}")
    else:
        print(f"\n{render_result(result, session.plan, seconds, progress.counts)}")
    if options.verb == "up":
        print(f"\n{render_outputs(result.outputs)}")
    if not result.failures:
        return 0
    only_rollouts = all(failure.rollout for failure in result.failures)
    return ExitCode.ROLLOUT_FAILED if only_rollouts else ExitCode.FAILED


def run_preview(root: Path, options: argparse.Namespace) -> int:
    """What `up` would change."""
    with open_session(root, options, deploys=True) as session:
        preview = session.engine.preview(session.request)
    if options.json:
        print(json.dumps(describe_preview(preview, session), indent=2, default=str))
        return 0
    models = frozenset(model.name for model in session.plan.models)
    changes = render_changes(
        preview,
        session.plan,
        components=session.request.components,
        asks=partial(needs_consent, models=models),
    )
    print(f"{session.render_header()}\n\n{changes}")
    if preview.messages:
        print(render_messages(preview.messages))
    if preview.clean:
        print(f"\n{session.render_nothing_to_do(_AS_PLANNED)}")
    else:
        narrowed = f" MODEL={options.model}" if options.model else ""
        print(f"\nnext: make up ENV={session.plan.stack.environment}{narrowed}")
    return 0


def run_drift(root: Path, options: argparse.Namespace) -> int:
    """Compare the cluster with the recorded state; writes nothing."""
    started = time.monotonic()
    with open_session(root, options) as session:
        drift = session.engine.drift(session.request)
    if not drift.changes:
        raise StateError(
            f"stack {session.plan.stack}: nothing is recorded, so there is nothing to compare; "
            f"deploy it with `make up ENV={session.plan.stack.environment}`, or run where its "
            "state is"
        )
    found = [c for c in drift.changes if is_shown(c) and c.op is not Op.SAME]
    if options.json:
        print(json.dumps(describe_drift(drift, session.plan.stack), indent=2, default=str))
    else:
        print(render_drift(drift, session.plan, time.monotonic() - started))
        if drift.messages:
            print(f"\n{render_messages(drift.messages)}")
    return ExitCode.DIFFERENCES if found else 0


def run_outputs(root: Path, options: argparse.Namespace) -> int:
    """The stack's outputs, as last deployed."""
    with open_session(root, options) as session:
        outputs = session.engine.outputs(session.request)
    if options.json:
        print(json.dumps(dict(outputs), indent=2, sort_keys=True, default=str))
    elif outputs:
        print(render_outputs(outputs))
    else:
        print(f"Nothing is deployed yet.   next: make up ENV={session.plan.stack.environment}")
    return 0
