"""The exit codes of `python -m framework`."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The outcome of a command, for scripts. make turns every code except 0 into 2."""

    DONE = 0
    """The command did its work, or found nothing to report."""
    FAILED = 1
    """The files have errors, or something went wrong."""
    USAGE = 2
    """The command line is wrong."""
    ROLLOUT_FAILED = 3
    """A rollout failed; the models that do not depend on it were deployed."""
    DIFFERENCES = 16
    """Differences were found: `drift`, `diff --exit-code`."""
