"""What `new` and `bump` have written, and what that changes where."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from framework.edits.bump import EnvironmentTag, ModelBump
from framework.output.text import render_table, render_wrapped


def render_bumps(bumps: Sequence[ModelBump], tag: str, pattern: str) -> str:
    """The files written, the environments that change, those that stay, and the next commands."""
    blocks = ["\n".join(_render_bump(bump, tag)) for bump in bumps]
    changed = _changed_environments(bumps)
    if not any(bump.changed for bump in bumps):
        blocks.append("Nothing to change.")
    elif not changed:
        blocks.append("No environment changes.")
    else:
        blocks.append("\n".join(_render_next(changed, pattern)))
    return "\n\n".join(blocks) if len(bumps) == 1 else "\n".join([*blocks[:-1], "", blocks[-1]])


def describe_bumps(bumps: Sequence[ModelBump], tag: str) -> dict[str, Any]:
    """The same for machines."""
    return {
        "tag": tag,
        "models": [
            {
                "model": bump.model,
                "file": bump.file,
                "changed": bump.changed,
                "inheritedFrom": str(bump.inherited) if bump.inherited else None,
                "environments": [_describe_tag(one) for one in bump.environments],
            }
            for bump in bumps
        ],
    }


def render_new(path: str, environments: Sequence[str]) -> str:
    """The entry written, and what to do with it."""
    valid = f"valid in {', '.join(environments)}" if environments else "no environment yet"
    model = path.rpartition("/")[2].removesuffix(".yaml")
    lines = [f"wrote {path}   {valid}"]
    if environments:
        lines.append(
            f"next: say in it what the model does, then make preview ENV={environments[0]} "
            f"MODEL={model}"
        )
    return "\n".join(lines)


def _render_bump(bump: ModelBump, tag: str) -> Iterator[str]:
    if not bump.changed:
        yield f"{bump.file}  the tag of {bump.model} is {tag} already"
    else:
        yield f"{bump.file}  image.tag is {tag}"
        if bump.inherited:
            said = f"added here; until now it came from {bump.inherited}"
            yield render_wrapped(said, first="  ", then="  ")
    if not bump.environments:
        yield "  does not run in any environment (enabled: false)"
    yield from filter(None, [render_table(_rows(bump, tag), indent="  ")])


def _rows(bump: ModelBump, tag: str) -> list[list[str]]:
    rows = []
    for one in bump.environments:
        if one.after != one.before:
            rows.append([one.environment, f"{one.before} -> {one.after}", ""])
        elif one.after != tag:
            rows.append([one.environment, f"stays {one.after}", f"{one.position} says so"])
    return rows


def _changed_environments(bumps: Sequence[ModelBump]) -> list[str]:
    return sorted(
        {one.environment for bump in bumps for one in bump.environments if one.after != one.before}
    )


def _render_next(environments: Sequence[str], pattern: str) -> Iterator[str]:
    model = shlex.quote(pattern)
    for index, environment in enumerate(environments):
        yield f"{'next:' if index == 0 else '     '} make preview ENV={environment} MODEL={model}"


def _describe_tag(one: EnvironmentTag) -> dict[str, Any]:
    return {
        "environment": one.environment,
        "before": one.before,
        "after": one.after,
        "changed": one.before != one.after,
        "setAt": str(one.position) if one.position else None,
    }
