"""The models of the catalog: a line for each, two where one would be too wide."""

from __future__ import annotations

from collections.abc import Sequence

from framework.output.text import WIDTH, render_image, render_table, render_wrapped
from framework.reports.listing import ListedModel, ListedTracks


def render_listing(models: Sequence[ListedModel]) -> str:
    """Name, image, replicas in each environment, owner, profiles; "-" where it does not run."""
    environments = list(models[0].environments) if models else []
    heads = ["model", "image", *environments]
    rows = [[model.name, _render_images(model), *_render_all(model)] for model in models]
    whole = [[*heads, "owner", "profiles"]]
    whole += [[*row, *_render_behind(one)] for row, one in zip(rows, models, strict=True)]
    table = render_table(whole)
    if max(map(len, table.splitlines())) <= WIDTH:
        return table
    first, *lines = render_table([heads, *rows]).splitlines()
    margin = " " * (2 + max(len(model.name) for model in models))
    behind = [
        render_wrapped(": ".join(_render_behind(model)), first=margin, then=margin)
        for model in models
    ]
    return "\n".join([first, *(f"{a}\n{b}" for a, b in zip(lines, behind, strict=True))])


def _render_behind(model: ListedModel) -> list[str]:
    return [", ".join(model.owners) or "-", ", ".join(model.profiles) or "-"]


def _render_images(model: ListedModel) -> str:
    """The image; where environments differ each with the names of those that run it."""
    where: dict[str, list[str]] = {}
    for name, one in model.environments.items():
        if one:
            where.setdefault(render_image(one.image), []).append(name)
    if len(where) < 2:
        return "".join(where) or "-"
    return ", ".join(f"{image} ({' '.join(names)})" for image, names in where.items())


def _render_all(model: ListedModel) -> list[str]:
    return [_render_replicas(one) for one in model.environments.values()]


def _render_replicas(one: ListedTracks | None) -> str:
    if one is None:
        return "-"
    most = f"..{one.max_replicas}" if one.max_replicas is not None else ""
    return f"{one.replicas}{most}" + (f"+{one.canary}" if one.canary else "")
