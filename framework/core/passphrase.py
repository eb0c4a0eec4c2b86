"""The passphrase of a stack's secrets, in the environment variables of the pulumi CLI."""

from __future__ import annotations

import os
from pathlib import Path

from framework.core.errors import StateError

PASSPHRASE, PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"
SET_PASSPHRASE = f"set {PASSPHRASE} or {PASSPHRASE_FILE}"


def has_passphrase() -> bool:
    """Returns whether a passphrase is given; as in the CLI, an empty one is valid."""
    return os.environ.get(PASSPHRASE) is not None or bool(os.environ.get(PASSPHRASE_FILE))


def read_passphrase(root: Path) -> str:
    """Returns the passphrase. StateError when none is given, or its file cannot be read."""
    if (value := os.environ.get(PASSPHRASE)) is not None:
        return value
    if file := os.environ.get(PASSPHRASE_FILE):
        try:
            return (root / Path(file).expanduser()).read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise StateError(
                f"{file}: the passphrase file cannot be read; {SET_PASSPHRASE} and run again"
            ) from exc
    raise StateError(
        f"this stack has secrets and no passphrase is given; {SET_PASSPHRASE} and run again"
    )
