"""The exit codes of `python -m framework`."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The outcome of a command, for scripts. `make` exits with 2 for every code except 0."""

    DONE = 0
    """The command did its work, or found nothing to report."""
    FAILED = 1
    """The files have errors, something went wrong, or the command was interrupted."""
    USAGE = 2
    """The command line is wrong."""
    ROLLOUT_FAILED = 3
    """A rollout failed; the other models were finished."""
    DIFFERENCES = 16
    """Differences were found by `drift`, or by `diff` or `affected` with `--exit-code`."""
