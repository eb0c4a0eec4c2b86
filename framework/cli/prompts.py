"""Questions on the terminal, and options that are lists of words."""

from __future__ import annotations

import re
import sys


def is_terminal() -> bool:
    """Returns True if somebody can read a question and answer it."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask_yes_no(question: str) -> bool:
    """Returns True for "y" or "yes". Ask before the first write: leaving the question is a no."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


def split_words(text: str | None) -> tuple[str, ...]:
    """Splits an option at commas and spaces: `MODEL="a, b"` gives a and b."""
    return tuple(filter(None, re.split(r"[,\s]+", text or "")))
