"""The commands that messages advise."""

from __future__ import annotations


def make_command(verb: str, environment: str, model: str | None = "") -> str:
    """Returns the command of a verb, such as `make up ENV=dev MODEL=churn`.

    `model` is the value of the option MODEL; without one the command is for the whole stack.
    """
    return f"make {verb} ENV={environment}" + (f" MODEL={model}" if model else "")
