"""The verb refresh: shows the drift check, waits for a yes, and updates the recorded state.

What is recorded afterwards hides drift from `pulumi refresh`, so the report comes before the
question.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from framework.cli.deploy import Confirmation, apply_changes
from framework.cli.drift import compare_session, read_recorded
from framework.cli.session import Session, open_session
from framework.core.changes import Op, Preview
from framework.core.exit_codes import ExitCode
from framework.drift import DriftReport
from framework.drift.refresh import build_refresh_verdict
from framework.drift.run import DriftRun
from framework.engines.base import RecordedObjects
from framework.output.changes import render_messages
from framework.output.drift import render_before_refresh, render_recording

_SAME = "the recorded state is what the cluster has"


def run_refresh(root: Path, options: argparse.Namespace) -> ExitCode:
    """Updates the recorded state to what the cluster has, after a report and a yes."""
    with open_session(root, options) as session:
        print(session.render_header(), flush=True)
        started, checked = time.monotonic(), datetime.now(UTC)
        recorded = read_recorded(session, accepts_recreated=True)
        confirmation = None
        if recorded.objects:
            report = compare_session(session, recorded, accepts_recreated=True)
            if session.engine.name == "cli":
                # Its refresh compares these as well, and shows them before the question.
                report = replace(report, uncompared=())
            seconds = time.monotonic() - started
            run = DriftRun(options.environment, checked, (report,), seconds=seconds)
            print(f"\n{render_before_refresh(run, why=options.why)}", flush=True)
            confirmation = _RefreshConfirmation(session, options, report, recorded)
        return apply_changes(session, options, session.engine.refresh, _SAME, confirmation)


class _RefreshConfirmation(Confirmation):
    """Prints what the state takes over; every object of it is in the report already."""

    question = "Write this to the state? [y/N] "

    def __init__(
        self,
        session: Session,
        options: argparse.Namespace,
        report: DriftReport,
        recorded: RecordedObjects,
    ) -> None:
        super().__init__(session, options)
        self._report, self._recorded, self._why = report, recorded, options.why

    def render(self, preview: Preview) -> str:
        """Returns what the state takes over, with WHY=1 each field of it."""
        changed = frozenset(c.urn for c in preview.changes if c.op is not Op.SAME)
        verdict = build_refresh_verdict(self._report, changed, self._recorded.objects)
        parts = [super().render(preview) if self._why else render_messages(preview.messages)]
        return "\n\n".join(filter(None, [*parts, render_recording(preview, verdict)]))
