"""Sets the image tag of models where it counts: in their own files, or in one environment's.

Kept apart from editing text: this knows which layer a tag belongs to, what a digest makes of it,
and which environments an edit reaches.
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
from framework.edits.documents import Change, Edit, build_change
from framework.edits.outcome import load_everywhere, written_soundly
from framework.files import list_environments

_TAG = ("image", "tag")
_DIGEST = ("image", "digest")
_TAG_SYNTAX = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class EnvironmentTag:
    """The tag of one model in one environment. `place` is what sets `after`; None is no value."""

    environment: str
    before: str | None
    after: str | None
    position: Position | None


@dataclass(frozen=True)
class ModelBump:
    """One model: the file that says the tag, and where it came from if that file had none.

    `changed` is False where the tag was there already. `environments` are those that the edit could
    reach and where the model runs.
    """

    model: str
    file: str
    changed: bool
    inherited: Position | None
    environments: tuple[EnvironmentTag, ...]


def check_tag(tag: str) -> str:
    """The tag, where a registry takes it. Errors: UsageError."""
    if not _TAG_SYNTAX.fullmatch(tag):
        raise UsageError(
            f'"{tag}" is no image tag; expected letters, digits, "_", "." and "-", at most 128 '
            'characters, not beginning with "." or "-"'
        )
    return tag


def bump_tag(
    root: Path, names: Collection[str], tag: str, environment: str | None = None
) -> tuple[ModelBump, ...]:
    """Set `tag` for every model of `names`, or for none; a model that has it already is no fault.

    Errors: UsageError for a tag or a model that cannot be; EditError where a digest, an
    interpolation or an anchor stands in the way; ConfigError where the catalog has faults before,
    UnsoundEditError where it would have them afterwards.
    """
    check_tag(tag)
    environments = (environment,) if environment else list_environments(root)
    before = load_everywhere(root, names, environments)
    running = _running(before)
    if environment:
        names = _enabled(names, running, environment)
    refusals = [
        refusal for name in sorted(names) for refusal in _refuse(running.get(name, {}), environment)
    ]
    if refusals:
        raise EditError(*dict.fromkeys(refusals))
    changes = {
        name: _prepare(root, name, tag, environment)
        for name in sorted(names)
        if not _is_settled(running.get(name, {}), tag, environment)
    }
    with written_soundly(root, list(changes.values()), names, environments) as after:
        now = _running(after)
    return tuple(
        _describe(name, changes.get(name), running.get(name, {}), now.get(name, {}), environment)
        for name in sorted(names)
    )


def _running(catalogs: Mapping[str, Catalog]) -> dict[str, dict[str, CatalogModel]]:
    """The models by name, then by environment; those that do not run are left out."""
    found: dict[str, dict[str, CatalogModel]] = {}
    for environment, catalog in catalogs.items():
        for model in catalog.models:
            found.setdefault(model.name, {})[environment] = model
    return found


def _enabled(names: Collection[str], running: Collection[str], environment: str) -> list[str]:
    enabled = [name for name in names if name in running]
    if enabled:
        return enabled
    raise UsageError(
        f'model "{min(names)}" does not run in {environment} (enabled: false); enable it there, '
        "or choose another environment"
    )


def _refuse(models: Mapping[str, CatalogModel], environment: str | None) -> Iterator[Any]:
    for where, model in models.items():
        if model.settings.image.digest:
            position = model.merged.origin(_DIGEST)
            yield (
                position,
                (
                    f"{model.name} runs this image.digest in {where}, whatever its tag says; "
                    "change or remove the digest first"
                ),
            )
        written = _written(model, environment)
        if written and isinstance(written[0], str) and "${" in written[0]:
            yield (
                written[1],
                (
                    f"the tag of {model.name} is the interpolation {written[0]}; change what it "
                    "refers to, or write the tag out here first"
                ),
            )


def _written(model: CatalogModel, environment: str | None) -> tuple[Any, Position] | None:
    """The tag as a file says it: the last one, and without ENV the last up to the model's own."""
    found: tuple[Any, Position] | None = None
    for layer in model.merged.layers:
        image = layer.data.get("image")
        if isinstance(image, str):
            found = image, layer.value_position(("image",))
        elif isinstance(image, dict) and "tag" in image:
            found = image["tag"], layer.value_position(_TAG)
        if environment is None and layer.document.path == model.home:
            break
    return found


def _is_settled(models: Mapping[str, CatalogModel], tag: str, environment: str | None) -> bool:
    said = [_written(model, environment) for model in models.values()]
    return bool(said) and all(one is not None and one[0] == tag for one in said)


def _prepare(root: Path, name: str, tag: str, environment: str | None) -> Change:
    path, opening = f"catalog/{name}.yaml", ""
    if environment:
        opening = f"# What {name} has of its own in {environment}, laid over {path}.\n"
        path = f"environments/{environment}/models/{name}.yaml"
    return build_change(root, path, [Edit(_TAG, tag, after="profiles")], opening=opening)


def _describe(
    name: str,
    change: Change | None,
    before: Mapping[str, CatalogModel],
    after: Mapping[str, CatalogModel],
    environment: str | None,
) -> ModelBump:
    tags = [
        EnvironmentTag(
            where,
            before[where].settings.image.tag if where in before else None,
            model.settings.image.tag,
            model.merged.origin(_TAG),
        )
        for where, model in after.items()
    ]
    said = [one for model in before.values() if (one := _written(model, environment))]
    last = min((position for _, position in said), default=Position(f"catalog/{name}.yaml", 1, 1))
    file = change.path if change else last.path
    inherited = last if last.path != file else None
    return ModelBump(name, file, bool(change and change.is_needed), inherited, tuple(tags))
