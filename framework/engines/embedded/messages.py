"""What the program logs during one run: its warnings and errors, each once.

Kept apart because both runs of a program collect them, on whichever threads it logs.
"""

from __future__ import annotations

import threading

from framework.core.changes import SHOWN_SEVERITIES
from framework.core.redaction import redact_text


class Messages:
    """Collects what the program logs. Safe for use from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: set[str] = set()

    def add(self, severity: str, text: str) -> None:
        """Take one message; `severity` is debug, info, warning or error."""
        if severity in SHOWN_SEVERITIES:
            with self._lock:
                self._said.add(f"{severity}: {text}")

    def __bool__(self) -> bool:
        return bool(self._said)

    def told(self, secrets: frozenset[str]) -> tuple[str, ...]:
        """The messages for people: `secrets` masked, sorted since threads log in any order."""
        with self._lock:
            return tuple(sorted({redact_text(text, secrets) for text in self._said}))
