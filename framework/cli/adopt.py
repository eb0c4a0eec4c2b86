"""The verb adopt: takes over objects that others created, and records them for both engines."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from framework.cli.deploy import Confirmation, apply_changes
from framework.cli.session import open_session
from framework.core.changes import Preview
from framework.core.commands import make_command
from framework.core.errors import EngineError
from framework.core.exit_codes import ExitCode
from framework.engines.project import load_project

_NOTHING = "no planned object exists in the cluster as an object of others"


def run_adopt(root: Path, options: argparse.Namespace) -> ExitCode:
    """Shows what taking over the existing objects would change, waits for a yes, and takes them
    over.

    EngineError for a state that only the CLI reads.

    The embedded engine does it, whichever engine deploys otherwise: both have the same state.
    """
    project = load_project(root)
    if not project.has_file_backend:
        raise EngineError(
            "adopt needs a state in a folder, because only the embedded engine takes objects over; "
            f"the state is in {project.describe_backend()}; see docs/backends.md"
        )
    options.engine = "embedded"
    with open_session(root, options, deploys=True) as session:
        request = replace(session.request, adopts=True, forced=options.force)
        session = replace(session, request=request, engine_reason="its state serves both engines")
        print(session.render_header(), flush=True)
        confirmation = _AdoptConfirmation(session, options)
        try:
            return apply_changes(session, options, session.engine.up, _NOTHING, confirmation)
        except _NothingToAdoptError:
            environment = session.plan.stack.environment
            command = make_command("preview", environment, options.model)
            print(f"\nNothing to adopt: {_NOTHING}. For other changes: `{command}`")
            return ExitCode.DONE


class _NothingToAdoptError(Exception):
    """The change list takes nothing over, so nothing is done."""


class _AdoptConfirmation(Confirmation):
    """Asks as `up` does. Raises _NothingToAdoptError if the change list takes nothing over."""

    def __call__(self, preview: Preview) -> bool:
        if not any(change.takes_over for change in preview.changes):
            raise _NothingToAdoptError
        return super().__call__(preview)
