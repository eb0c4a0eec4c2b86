"""The verb drift: checks, prints the report, and writes the reports of OUT=."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from framework.cli.session import Session, open_session
from framework.core.changes import Op
from framework.core.errors import FrameworkError, StateError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.git import find_prefix
from framework.core.stack import Stack
from framework.drift import DriftReport, Finding, find_drift
from framework.drift.refresh import build_refresh_verdict
from framework.drift.returned import warn_about_returned
from framework.drift.run import EXIT_CODES, DriftRun, FailedStack
from framework.engines.base import RecordedObjects, RefreshedRecord, RefreshLocksError
from framework.output.drift import render_drift

if TYPE_CHECKING:
    from framework.drift.history import History


def run_drift(root: Path, options: argparse.Namespace) -> ExitCode:
    """Compares the cluster with the stack; writes nothing but the folder of OUT=."""
    if options.out is not None and not options.out.strip():
        raise UsageError("OUT is empty; name a folder: `make drift ENV=prod OUT=drift/prod`")
    folder = Path(options.out) if options.out else None
    if folder:
        # It may be another user's. After the check, its result would be lost.
        _read_history(folder)
    started, checked = time.monotonic(), datetime.now(UTC)
    try:
        report = check_stack(root, options)
        run = DriftRun(options.environment, checked, (report,), seconds=time.monotonic() - started)
        history = _read_history(folder).add(run) if folder else None
        # The history has this check already, so a new finding was first found now, after the last
        # `up`, and does not count as returned.
        since = history.find_first_checks(report.stack.name) if history else {}
        run = replace(run, reports=(warn_about_returned(report, since),))
        text = _render_run(run, history, options)
    except Exception as error:
        # After a crash as well: the page of last night would stay, and look like a clean check.
        if folder and not isinstance(error, UsageError):
            seconds = time.monotonic() - started
            _write_failed(root, folder, options.environment, checked, seconds, error)
        raise
    try:
        print(text, flush=True)
    finally:
        # Also if nobody reads the output any more, as after `| head`.
        if folder and history:
            _write(root, folder, run, history, show=not options.json)
    return EXIT_CODES[run.verdict]


def _render_run(run: DriftRun, history: History | None, options: argparse.Namespace) -> str:
    if options.json:
        from framework.output.drift_json import build_drift
        from framework.output.json import render_json

        return render_json(build_drift(run, history))
    return render_drift(run, history, why=options.why)


def _write_failed(
    root: Path,
    folder: Path,
    environment: str,
    checked: datetime,
    seconds: float,
    error: Exception,
) -> None:
    """Writes the reports of a check that failed."""
    # The message of a crash may quote a secret; the command line writes it to a private file.
    crash = f"unexpected {type(error).__name__}; the log of the job names the file with the details"
    reason = str(error) if isinstance(error, FrameworkError) else crash
    failed = FailedStack(Stack.of(environment), reason)
    try:
        _write(root, folder, DriftRun(environment, checked, (), (failed,), seconds))
    except FrameworkError as other:
        # In addition to the reason of the failed check, which the caller raises.
        if str(other) != str(error):
            print(other, file=sys.stderr)


def check_stack(root: Path, options: argparse.Namespace) -> DriftReport:
    """Compares the stack of an environment with its cluster.

    Errors: StateError if nothing is recorded, ClusterError, and those of the engine.
    """
    with open_session(root, options) as session:
        recorded = read_recorded(session)
        if not recorded.objects:
            raise StateError(
                f"stack {session.plan.stack}: nothing is recorded, so there is nothing to compare; "
                f"deploy it with `make up ENV={session.plan.stack.environment}`, or run where its "
                "state is"
            )
        refresh = _RefreshCheck(session)
        report = compare_session(session, recorded, check_refresh=refresh.run)
        report = refresh.add_to(report, recorded)
        # Last, so that it covers the whole check.
        return _warn_of_other_command(session, report, recorded)


def read_recorded(session: Session, *, accepts_recreated: bool = False) -> RecordedObjects:
    """Returns all recorded objects: those of other models would look foreign otherwise."""
    request = replace(session.request, components=None, plan=session.plan)
    return session.engine.recorded_objects(request, accepts_recreated=accepts_recreated)


def compare_session(
    session: Session,
    recorded: RecordedObjects,
    *,
    accepts_recreated: bool = False,
    check_refresh: Callable[[], Mapping[str, RefreshedRecord]] = dict,
) -> DriftReport:
    """Compares the recorded objects with their cluster."""
    # With MODEL= the findings are selected afterwards, for the reason in `read_recorded`.
    selected = session.request.components
    report = find_drift(
        replace(session.request, components=None, plan=session.plan),
        recorded,
        unplanned=session.unplanned,
        accepts_recreated=accepts_recreated,
        check_refresh=check_refresh,
    )
    warnings = report.warnings
    if session.unused_files:
        # On stderr as well, but a page or an issue has only the report.
        instead = "their models are compared with what the last `up` recorded"
        warnings = (f"warning: {session.unused_files}; {instead}", *warnings)
    return replace(
        report,
        warnings=warnings,
        findings=tuple(
            finding
            for finding in report.findings
            if selected is None or _concerns(finding, selected, recorded)
        ),
        uncompared=tuple(
            finding
            for finding in report.uncompared
            if selected is None or _concerns(finding, selected, recorded)
        ),
        uses_cli=session.engine.name == "cli",
    )


def _concerns(finding: Finding, selected: Collection[str], recorded: RecordedObjects) -> bool:
    """Returns whether a finding is about one of the selected models, or about all in a Namespace:
    its deletion, or a foreign object that touches several models."""
    if finding.model:
        return finding.model in selected
    is_gone = finding.object_kind == "Namespace" and not finding.path
    if not is_gone and not finding.touches_several:
        return False
    namespace = finding.object if is_gone else finding.object.rpartition("/")[0]
    return any(
        obj.component in selected and obj.id.rpartition("/")[0] == namespace
        for obj in recorded.objects
    )


class _RefreshCheck:
    """`pulumi refresh --preview-only`, if the engine runs it, and what came of it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._records: Mapping[str, RefreshedRecord] | None = None
        self._warnings: tuple[str, ...] = ()
        self._problems: tuple[str, ...] = ()

    def run(self) -> Mapping[str, RefreshedRecord]:
        """Returns what a refresh would do to each record; {} if it was not run, or failed."""
        try:
            self._records = self._session.engine.check_refresh(self._session.request)
        except RefreshLocksError as exc:
            self._warnings = (f"warning: pulumi refresh --preview-only: not run: {exc}",)
        except FrameworkError as exc:
            self._problems = (f"pulumi refresh --preview-only: {exc}",)
        return self._records or {}

    def add_to(self, report: DriftReport, recorded: RecordedObjects) -> DriftReport:
        """Returns the report with the verdict of the refresh, or the reason why there is none."""
        report = replace(
            report,
            warnings=(*report.warnings, *self._warnings),
            problems=(*report.problems, *self._problems),
        )
        if self._records is None:
            return report
        changed = frozenset(
            urn for urn, record in self._records.items() if record.op is not Op.SAME
        )
        return replace(report, refresh=build_refresh_verdict(report, changed, recorded.objects))


def _warn_of_other_command(
    session: Session, report: DriftReport, recorded: RecordedObjects
) -> DriftReport:
    """Adds a warning if another command has written the state during the check.

    Only for a state in a bucket or in Pulumi Cloud, whose locks `drift` cannot read.
    """
    if not recorded.revision:
        return report
    try:
        revision = session.engine.read_revision(session.request)
    except FrameworkError as exc:
        # Everything was compared, so the findings must not be lost with this last question.
        warning = (
            "warning: the state could not be read again, so another command may have written it "
            f"during the check, and some differences may be its work: {exc}"
        )
    else:
        if revision == recorded.revision:
            return report
        warning = (
            "warning: another command wrote the state of this stack during the check, so some "
            "differences may be its work; next: check again when it has ended"
        )
    return replace(report, warnings=(*report.warnings, warning))


def _read_history(folder: Path) -> History:
    """Returns the history of a folder. Errors: FrameworkError."""
    from framework.drift.history import HISTORY, load_history

    try:
        return load_history(folder)
    except OSError as exc:
        raise FrameworkError(
            f"{folder / HISTORY}: cannot be read: {exc.strerror or exc}; name another folder with "
            "OUT=, or make it readable"
        ) from exc


def _write(
    root: Path, folder: Path, run: DriftRun, history: History | None = None, show: bool = False
) -> None:
    from framework.output.drift_files import write_reports

    history = history or _read_history(folder).add(run)
    warnings: list[str] = []
    files = write_reports(folder, run, history, find_prefix(root), warnings.append)
    for problem in (*history.problems, *warnings):
        print(problem, file=sys.stderr)
    if show:
        print(f"wrote {folder}/: {', '.join(file.name for file in files)}")
