"""The verbs that an engine carries out: up, preview, destroy, outputs."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from framework.cli.prompts import ask_yes_no, is_terminal
from framework.cli.session import Session, open_session, start_local_cluster
from framework.core.changes import Change, Op, Preview, Result
from framework.core.commands import make_command
from framework.core.errors import ConsentError, ProtectedError
from framework.core.exit_codes import ExitCode
from framework.engines.problems import RefusedError
from framework.kinds.naming import track_name
from framework.output.changes import (
    is_shown,
    render_changes,
    render_messages,
    render_outputs,
    render_refusal,
    render_result,
)
from framework.output.progress import RolloutProgress

_AS_PLANNED = "the cluster is as planned"
_INTERRUPTED = (
    "Interrupted: finishing the calls in progress and saving the state. Press Ctrl-C again to stop "
    "at once."
)


def run_up(root: Path, options: argparse.Namespace) -> ExitCode:
    """Previews, waits for confirmation, rolls out and watches."""
    if options.plan is not None:
        return _apply_plan(root, options)
    with open_session(root, options, deploys=True, to=sys.stdout) as session:
        print(session.render_header(), flush=True)
        return apply_changes(session, options, session.engine.up, _AS_PLANNED)


def _apply_plan(root: Path, options: argparse.Namespace) -> ExitCode:
    """Applies the plan of PLAN= without asking, or refuses it: it was reviewed."""
    # Imported here: reading JSON of a declared shape needs pydantic.
    from framework.cli.plan_file import PlanToApply

    plan = PlanToApply(root, options)
    with open_session(
        root, options, deploys=True, to=sys.stdout, components=plan.models
    ) as session:
        print(f"{session.render_header()}\n{plan.describe()}", flush=True)
        session = replace(session, request=plan.build_request(session))
        return apply_changes(session, options, session.engine.up, _AS_PLANNED)


def run_destroy(root: Path, options: argparse.Namespace) -> ExitCode:
    """Deletes everything that an environment has deployed."""
    with open_session(root, options) as session:
        if session.plan.protect:
            raise ProtectedError(session.plan.stack.environment)
        if session.plan.cluster.local:
            start_local_cluster(root, sys.stdout)
        print(session.render_header(), flush=True)
        return apply_changes(session, options, session.engine.destroy, "the state records nothing")


def apply_changes(
    session: Session,
    options: argparse.Namespace,
    run: Callable[..., Result | None],
    when_same: str,
    confirmation: Confirmation | None = None,
) -> ExitCode:
    """Runs an operation of the engine, shows its progress and its result.

    `when_same` is the reason that is printed if nothing changes.
    """
    confirmation = confirmation or Confirmation(session, options)
    started = time.monotonic()
    try:
        with RolloutProgress(sys.stdout) as progress, _announced_interrupt(confirmation, progress):
            result = run(session.request, confirmation, progress.show)
    except RefusedError as exc:
        confirmation.show(exc.preview)
        print(_render_refusal(session, options, exc.preview))
        return ExitCode.FAILED
    seconds = time.monotonic() - started
    if result is None:
        print("Nothing was changed.")
        return ExitCode.FAILED
    new_messages = [text for text in result.messages if text not in confirmation.messages]
    if new_messages:
        print(f"\n{render_messages(new_messages)}")
    # An engine calls the confirmation only if something changes.
    if not confirmation.was_called:
        print(f"\n{session.render_nothing_to_do(when_same)}")
    else:
        print(f"\n{render_result(result, session.plan, seconds, progress.counts)}")
    if options.verb == "up":
        print(f"\n{render_outputs(_narrow_outputs(result.outputs, session))}")
    if not result.failures:
        return ExitCode.DONE
    # A refused object or a lost connection is an error of the command, and exits with 1 rather than
    # 3.
    only_rollouts = all(failure.rollout for failure in result.failures)
    return ExitCode.ROLLOUT_FAILED if only_rollouts else ExitCode.FAILED


@contextmanager
def _announced_interrupt(confirmation: Confirmation, progress: RolloutProgress) -> Iterator[None]:
    """Says at the first Ctrl-C during the apply that the command ends by itself."""
    before = signal.getsignal(signal.SIGINT)
    announced = False

    def interrupt(number: int, frame: object) -> NoReturn:
        nonlocal announced
        if confirmation.confirmed and not announced:
            announced = True
            progress.announce(_INTERRUPTED)
        raise KeyboardInterrupt

    # A shell starts jobs in the background with SIGINT ignored.
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _narrow_outputs(outputs: Mapping[str, Any], session: Session) -> Mapping[str, Any]:
    """Returns the outputs; those by Deployment, such as `images`, only of the named models."""
    names = session.request.components
    if names is None:
        return outputs
    plan = session.plan.narrowed_to(names)
    deployments = {item.name for item in plan.manifests if item.kind == "Deployment"}
    return {
        name: {key: text for key, text in value.items() if key in deployments}
        if isinstance(value, Mapping)
        else value
        for name, value in outputs.items()
    }


def run_preview(root: Path, options: argparse.Namespace) -> ExitCode:
    """Shows what `up` would change."""
    with open_session(root, options, deploys=True) as session:
        writer = None
        if options.plan is not None:
            from framework.cli.plan_file import PlanWriter

            writer = PlanWriter(session, options)
        preview = session.engine.preview(writer.request if writer else session.request)
        # `up` would refuse a plan with errors, so none is written.
        next_step = writer.write(preview) if writer and not preview.refused else ""
        preview = _locate_problems(session, preview)
    code = ExitCode.FAILED if preview.refused else ExitCode.DONE
    if options.json:
        from framework.output.json import build_preview, render_json

        print(render_json(build_preview(preview, session.plan, session.engine.name)))
        return code
    models = frozenset(model.name for model in session.plan.models)
    changes = render_changes(
        preview,
        session.plan,
        components=session.request.components,
        needs_consent=partial(needs_consent, models=models),
    )
    print(f"{session.render_header()}\n\n{changes}")
    if preview.messages:
        print(render_messages(preview.messages))
    if preview.refused:
        print(f"\n{_render_refusal(session, options, preview)}")
        if options.plan is not None:
            print(f"{options.plan} was not written.")
    elif preview.clean:
        print(f"\n{session.render_nothing_to_do(_AS_PLANNED)}")
    if next_step:
        print(f"\n{next_step}")
    elif not preview.clean and not preview.refused:
        print(f"\nnext: {make_command('up', session.plan.stack.environment, options.model)}")
    return code


def _render_refusal(session: Session, options: argparse.Namespace, preview: Preview) -> str:
    environment = session.plan.stack.environment
    return render_refusal(preview, options.verb, environment, options.model)


def _locate_problems(session: Session, preview: Preview) -> Preview:
    """Returns the preview with the position of the setting behind each problem."""
    if not preview.problems:
        return preview
    # Imported here: it loads pydantic and OmegaConf.
    from framework.reports.positions import locate_problems

    request = session.request
    problems = locate_problems(request.root, request.stack, preview.problems)
    return replace(preview, problems=problems)


def run_outputs(root: Path, options: argparse.Namespace) -> ExitCode:
    """Shows the stack's outputs, as last deployed."""
    with open_session(root, options) as session:
        outputs = session.engine.outputs(session.request)
    if options.json:
        from framework.output.json import render_json

        print(render_json(_sort_keys(outputs)))
    elif outputs:
        print(render_outputs(outputs))
    else:
        print(f"Nothing is deployed yet.   next: make up ENV={session.plan.stack.environment}")
    return ExitCode.DONE


def _sort_keys(tree: Any) -> Any:
    """Returns the outputs with sorted keys: the SDK hands them over in no order."""
    if isinstance(tree, Mapping):
        return {key: _sort_keys(value) for key, value in sorted(tree.items())}
    return tree


def needs_consent(change: Change, models: Collection[str]) -> bool:
    """Returns True for a change that deletes, replaces or takes over an object.

    `models` are those of the plan. Two deletions in them need no consent, because the edit of the
    YAML files was the decision: a ConfigMap with a content hash in its name, which every change of
    the settings replaces by another one, and the canary track of a promoted or aborted candidate.
    """
    if change.takes_over:
        return True
    if change.op not in (Op.DELETE, Op.REPLACE):
        return False
    if change.component not in models:
        return True
    canary = track_name(change.component, "canary")
    name = change.object.rpartition("/")[2]
    if change.kind == "ConfigMap":
        hashed = (f"{change.component}-config-", f"{canary}-config-")
        return change.op is Op.DELETE and not name.startswith(hashed)
    return change.op is Op.REPLACE or name != canary


class Confirmation:
    """Prints the change list and, in a terminal, waits for a yes.

    An engine calls it with its preview, unless nothing changes. `was_called` is True afterwards,
    `confirmed` if the changes are applied; `messages` are those that were printed with the change
    list.
    """

    question = "Apply? [y/N] "

    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        # A plan was reviewed with its deletions.
        self._yes = options.yes or getattr(options, "plan", None) is not None
        self._session, self._verb = session, options.verb
        self._model = getattr(options, "model", None) or ""
        self._models = frozenset(model.name for model in session.plan.models)
        self.was_called = self.confirmed = False
        self.messages: tuple[str, ...] = ()

    def __call__(self, preview: Preview) -> bool:
        self.confirmed = self._confirm(preview)
        return self.confirmed

    def _confirm(self, preview: Preview) -> bool:
        self.was_called = True
        self.show(preview)
        if self._yes:
            return True
        if is_terminal():
            return ask_yes_no(self.question)
        # Without a terminal creates and updates proceed, and what needs consent is refused.
        unconfirmed = [change for change in preview.changes if self._needs_consent(change)]
        if unconfirmed:
            raise ConsentError(
                self._verb,
                self._session.plan.stack.environment,
                len(unconfirmed),
                self._model,
                forced=self._session.request.forced,
            )
        return True

    def show(self, preview: Preview) -> None:
        """Prints the change list, with the messages and problems of the preview."""
        self.messages = preview.messages
        print(f"\n{self.render(_locate_problems(self._session, preview))}\n", flush=True)

    def render(self, preview: Preview) -> str:
        """Returns the change list with the messages of the preview."""
        rolls_out = self._verb in ("up", "adopt")
        changes = render_changes(
            preview,
            # The plan adds the forecast of each rollout, which only `up` has.
            self._session.plan if rolls_out else None,
            components=self._session.request.components,
            needs_consent=self._needs_consent if rolls_out and not self._yes else None,
        )
        return "\n".join(part for part in (changes, render_messages(preview.messages)) if part)

    def _needs_consent(self, change: Change) -> bool:
        if not is_shown(change):
            return False
        if self._verb == "refresh":
            return change.op is not Op.SAME
        return needs_consent(change, self._models)
