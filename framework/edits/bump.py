"""Sets the image tag of models, in their own files or for one environment.

A model's tag may come from a profile, a digest may override it, and an overlay may override it in
one environment. So the result lists the tag before and after the edit for each environment.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import Position
from framework.core.errors import EditError, UsageError
from framework.edits.transaction import apply_valid_changes, load_catalogs
from framework.edits.yaml_edit import Change, Edit, build_change
from framework.files import list_environments

_TAG = ("image", "tag")
_DIGEST = ("image", "digest")
# The grammar of tags in the OCI distribution specification.
_TAG_SYNTAX = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class EnvironmentTag:
    """A model's tag in one environment, before and after; `set_at` is the position of `after`."""

    environment: str
    before: str | None
    after: str | None
    changed: bool
    set_at: str | None


@dataclass(frozen=True)
class ModelBump:
    """The result of `bump` for one model.

    `file` contains the tag now; `inherited_from` is the position that it came from if the file had
    none before.
    If `changed` is False, the model had the tag already. `environments` are those that the edit can
    reach and where the model runs.
    """

    model: str
    file: str
    changed: bool
    inherited_from: str | None
    environments: tuple[EnvironmentTag, ...]


def check_tag(tag: str) -> str:
    """Returns the tag if a registry accepts it. Errors: UsageError."""
    if not _TAG_SYNTAX.fullmatch(tag):
        raise UsageError(
            f'"{tag}" is not a valid image tag; expected letters, digits, "_", "." and "-", at '
            'most 128 characters, not beginning with "." or "-"'
        )
    return tag


def bump_tag(
    root: Path, names: Collection[str], tag: str, environment: str | None = None
) -> tuple[ModelBump, ...]:
    """Sets `tag` for all models in `names`, or for none. Models that have it already are skipped.

    Errors: UsageError for a tag that is not valid, or if no model runs in the environment;
    EditError if a digest, an interpolation or an anchor prevents it; ConfigError if the catalog
    has errors; InvalidEditError if it would have errors afterwards.
    """
    check_tag(tag)
    environments = (environment,) if environment else list_environments(root)
    before = _group_by_model(load_catalogs(root, names, environments))
    if environment:
        running = [name for name in names if name in before]
        if not running:
            raise UsageError(
                f'model "{min(names)}" does not run in {environment} (enabled: false); enable it '
                "there, or choose another environment"
            )
        names = running
    names = sorted(names)
    obstacles = [o for name in names for o in _find_obstacles(before.get(name, {}), environment)]
    if obstacles:
        raise EditError(*dict.fromkeys(obstacles))
    changes = {
        name: _build_change(root, name, tag, environment)
        for name in names
        if not _has_tag(before.get(name, {}), tag, environment)
    }
    with apply_valid_changes(root, list(changes.values()), names, environments) as catalogs:
        after = _group_by_model(catalogs)
    return tuple(
        _describe(name, changes.get(name), before.get(name, {}), after.get(name, {}), environment)
        for name in names
    )


def _group_by_model(catalogs: Mapping[str, Catalog]) -> dict[str, dict[str, CatalogModel]]:
    """Returns the models that run, by name, then by environment."""
    models: dict[str, dict[str, CatalogModel]] = {}
    for environment, catalog in catalogs.items():
        for model in catalog.models:
            models.setdefault(model.name, {})[environment] = model
    return models


def _find_obstacles(
    models: Mapping[str, CatalogModel], environment: str | None
) -> Iterator[tuple[Position | None, str]]:
    """Yields the reasons why setting the tag would not change what runs."""
    for where, model in models.items():
        if model.settings.image.digest:
            yield (
                model.merged.origin(_DIGEST),
                f"{model.name} runs this image.digest in {where}, so its tag has no effect; change "
                "or remove the digest first",
            )
        written = _find_written_tag(model, environment)
        if written and isinstance(written[0], str) and "${" in written[0]:
            yield (
                written[1],
                f"the tag of {model.name} is the interpolation {written[0]}; change what it "
                "refers to, or write the tag out here first",
            )


def _find_written_tag(model: CatalogModel, environment: str | None) -> tuple[Any, Position] | None:
    """Returns the tag as the last layer has it, with its position.

    Without an environment only the layers up to the model's own file count: `bump` edits that file,
    and an overlay above it may override the tag.
    """
    written: tuple[Any, Position] | None = None
    for layer in model.merged.layers:
        image = layer.data.get("image")
        if isinstance(image, str):
            # `image: ${environment.image}` brings the tag as well.
            written = image, layer.value_position(("image",))
        elif isinstance(image, dict) and "tag" in image:
            written = image["tag"], layer.value_position(_TAG)
        if environment is None and layer.document.path == model.home:
            break
    return written


def _has_tag(models: Mapping[str, CatalogModel], tag: str, environment: str | None) -> bool:
    written = [_find_written_tag(model, environment) for model in models.values()]
    return bool(written) and all(found is not None and found[0] == tag for found in written)


def _build_change(root: Path, name: str, tag: str, environment: str | None) -> Change:
    path, opening = f"catalog/{name}.yaml", ""
    if environment:
        opening = f"# Settings of {name} in {environment} only, laid over {path}.\n"
        path = f"environments/{environment}/models/{name}.yaml"
    return build_change(root, path, [Edit(_TAG, tag, after="profiles")], opening=opening)


def _describe(
    name: str,
    change: Change | None,
    before: Mapping[str, CatalogModel],
    after: Mapping[str, CatalogModel],
    environment: str | None,
) -> ModelBump:
    tags = []
    for where, model in after.items():
        old = before[where].settings.image.tag if where in before else None
        new, origin = model.settings.image.tag, model.merged.origin(_TAG)
        set_at = str(origin) if origin else None
        tags.append(EnvironmentTag(where, old, new, old != new, set_at))
    written = [_find_written_tag(model, environment) for model in before.values()]
    first = min((found[1] for found in written if found), default=None)
    source = first or Position(f"catalog/{name}.yaml", 1, 1)
    file = change.path if change else source.path
    return ModelBump(
        name,
        file,
        changed=bool(change and change.is_needed),
        inherited_from=str(source) if source.path != file else None,
        environments=tuple(tags),
    )
