"""Renders the files that `new` and `bump` have written, and which environments change."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from difflib import unified_diff

from framework.core.commands import make_command
from framework.core.redaction import redact_within
from framework.edits.bump import ModelBump
from framework.edits.yaml_edit import Change
from framework.output.text import render_table, render_visible, render_wrapped

_NUL = "\0"


def render_bumps(bumps: Sequence[ModelBump], tag: str, pattern: str, order: Sequence[str]) -> str:
    """Renders what was written for each model, and the next commands.

    `pattern` is MODEL as the user gave it. `order` is that of the environments: their promotion.
    """
    blocks = ["\n".join(_render_bump(bump, tag)) for bump in bumps]
    changed = {
        environment.environment
        for bump in bumps
        for environment in bump.environments
        if environment.changed
    }
    environments = [name for name in order if name in changed]
    if not any(bump.changed for bump in bumps):
        end = "Nothing to change."
    elif not environments:
        end = "No environment changes."
    else:
        model = shlex.quote(pattern)
        commands = [make_command("preview", name, model) for name in environments]
        end = "next: " + "\n      ".join(commands)
    # The report of one model has blank lines around it. With several models, it would be too long.
    return "\n\n".join([*blocks, end]) if len(bumps) == 1 else "\n".join([*blocks, "", end])


def _render_bump(bump: ModelBump, tag: str) -> list[str]:
    lines = [f"{bump.file}  image.tag is {tag}"]
    if not bump.changed:
        lines = [f"{bump.file}  the tag of {bump.model} is {tag} already"]
    elif bump.inherited_from:
        text = f"added here; until now it came from {bump.inherited_from}"
        lines.append(render_wrapped(text, first="  ", then="  "))
    if not bump.environments:
        lines.append("  does not run in any environment (enabled: false)")
    rows = []
    for environment in bump.environments:
        if environment.changed:
            change = f"{environment.before} -> {environment.after}"
            rows.append([environment.environment, change, ""])
        elif environment.after != tag:
            reason = f"set at {environment.set_at}"
            rows.append([environment.environment, f"stays {environment.after}", reason])
    return [*lines, render_table(rows, indent="  ")] if rows else lines


def render_file_changes(changes: Iterable[Change]) -> str:
    """Renders the lines that edits changed, as a diff with their positions."""
    blocks = []
    for change in changes:
        name = change.path if change.old is not None else f"{change.path} (new)"
        old, new = map(_pair_lines, (change.old or b"", change.new))
        lines = list(unified_diff(old, new, n=2, lineterm=""))[2:]
        shown = "\n".join(f"  {line[:1]}{line[1:].rpartition(_NUL)[2]}" for line in lines)
        blocks.append(f"{name}\n{render_visible(shown)}")
    return "\n\n".join(blocks)


def _pair_lines(content: bytes) -> list[str]:
    """Returns each line of a file as it is and as it is shown, with a NUL between the two.

    A line beside an edit may hold a password, or be a part of a key of several lines.
    """
    text = content.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n")
    shown = redact_within(text, keep_lines=True)
    return [
        f"{line}{_NUL}{redacted}"
        for line, redacted in zip(text.split("\n"), shown.split("\n"), strict=True)
        if text
    ]


def render_new(path: str, environments: Sequence[str]) -> str:
    """Renders the path of a new model's file and the next step."""
    if not environments:
        return f"wrote {path}   no environment yet"
    model = path.rpartition("/")[2].removesuffix(".yaml")
    return (
        f"wrote {path}   valid in {', '.join(environments)}\n"
        f"next: describe the model in it, then {make_command('preview', environments[0], model)}"
    )
