"""`--set KEY=VALUE`: one more layer over all others, for reading verbs only.

Kept apart because every verb that takes it must mean the same by it.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace

from framework.core.diagnostics import Position
from framework.core.errors import ConfigError, UsageError
from framework.files import Document
from framework.files.document import parse_document

_NAME = "--set"
# The command line has no lines: messages say "--set" and no more.
_PLACE = Position(_NAME, 0, 0)
_DOT = re.compile(r"(?<!\\)\.")


def build_layers(assignment: str | None) -> tuple[Document, ...]:
    """The layer that KEY=VALUE makes, none for None; VALUE is YAML, a dot inside a key is `\\.`.

    Errors: UsageError for what is no assignment, ConfigError for a value YAML cannot read.
    """
    if assignment is None:
        return ()
    # Not before: most renders are read back without the settings classes.
    from framework.catalog.reading import CONTEXT_KEYS

    key, equals, value = assignment.partition("=")
    parts = [part.replace("\\.", ".") for part in _DOT.split(key)]
    if not equals or not all(parts):
        raise UsageError(
            f'--set takes KEY=VALUE, such as rollout.maxSurge=1, and not "{key}"; a dot inside a '
            r"key is written \."
        )
    if parts[0] in ("profiles", *CONTEXT_KEYS):
        raise UsageError(f'--set: "{parts[0]}" is no setting that a layer may change')
    document, diagnostics = parse_document(_NAME, _nest(parts, value))
    if diagnostics:
        raise ConfigError(replace(diagnostic, line=0, column=0) for diagnostic in diagnostics)
    return (
        replace(
            document,
            key_positions=dict.fromkeys(document.key_positions, _PLACE),
            value_positions=dict.fromkeys(document.value_positions, _PLACE),
        ),
    )


def _nest(parts: list[str], value: str) -> str:
    lines = [f"{' ' * depth}{json.dumps(part)}:" for depth, part in enumerate(parts)]
    return "\n".join(lines) + f" {value}\n"
