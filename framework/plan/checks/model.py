"""Checks one model, and collects its facts for the checks over all models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from framework.catalog import Catalog, CatalogLoader, CatalogModel, LoadedModel
from framework.core.diagnostics import Diagnostic, KeyPath, Position
from framework.core.field_paths import MISSING, FieldPath, get_at
from framework.kinds.registry import KINDS
from framework.layers import Layer, Merged, Shape, find_value
from framework.plan.checks.capacity import find_peak_diagnostics, read_amount, resolve_needs
from framework.plan.checks.facts import Capacity, EnvironmentFacts, ModelFacts, Repeat
from framework.plan.checks.further_objects import find_further_object_errors
from framework.plan.checks.names import find_name_diagnostics, list_claims
from framework.plan.checks.objects import find_object_diagnostics
from framework.plan.checks.policy import apply_waivers, find_broken_rules
from framework.plan.checks.rollout import find_rollout_diagnostics
from framework.plan.checks.texts import find_text_warnings
from framework.plan.checks.tracks import list_tracks
from framework.plan.manifest import ModelPlan
from framework.settings.messages import redact_diagnostic, show

_CANDIDATE = ("canary", "candidate")


def build_environment_facts(loader: CatalogLoader) -> EnvironmentFacts:
    """Collects what the checks over all models and environments need of an environment."""
    settings, merged = loader.settings, loader.merged
    facts = EnvironmentFacts(
        environment=loader.stack.environment,
        errors=tuple(loader.diagnostics),
        profile_paths=loader.files.profiles,
        profile_errors={
            name: loader.find_profile_diagnostics(name) for name in loader.files.profiles
        },
        capacity={},
    )
    if settings is None:
        return facts
    catalog = loader.build_catalog(())
    capacity = {}
    for resource, quantity in settings.capacity.items():
        path = ("capacity", resource)
        position = catalog.environment_position(path)
        capacity[resource] = Capacity(read_amount(quantity), str(FieldPath(path)), position)
    cluster = settings.cluster
    return replace(
        facts,
        capacity=capacity,
        cluster=(cluster.kubeconfig_path, cluster.context, settings.namespace),
        namespace_position=merged.origin(("namespace",)),
        promotes_to=settings.promotes_to,
        promotes_to_position=merged.origin(("promotesTo",)),
    )


def check_model(
    loaded: LoadedModel, plan: ModelPlan, field_errors: Iterable[Diagnostic], catalog: Catalog
) -> ModelFacts:
    """Checks a model that runs here. Expired waivers are found later: the result has no date.

    `plan` is the plan of the model. `field_errors` are those of its patches, and of settings in the
    form of Kubernetes.
    """
    model = loaded.model
    assert model is not None
    tracks = list_tracks(model, plan)
    errors, waivers = apply_waivers(model, find_broken_rules(tracks, catalog))
    for track in tracks:
        errors += find_rollout_diagnostics(track, catalog)
    errors += find_peak_diagnostics(tracks, catalog)
    errors += find_name_diagnostics(model, plan)
    errors += find_object_diagnostics(tracks, plan)
    errors += find_further_object_errors(model, plan, catalog.environment)
    pods = sum(track.plan.budget.replicas for track in tracks)
    for track in tracks:
        for problem in (problem for kind in KINDS for problem in kind.check(track.settings, pods)):
            errors.append(track.report(problem))
    for track in tracks:
        errors = [redact_diagnostic(error, track.merged) for error in errors]
    return ModelFacts(
        name=model.name,
        errors=(*loaded.diagnostics, *field_errors, *errors),
        reading_errors=bool(loaded.diagnostics),
        profiles=loaded.profiles,
        needs=resolve_needs(tracks, catalog.environment.capacity),
        claims=list_claims(model, plan),
        waivers=waivers,
        files=tuple(dict.fromkeys(layer.document.path for layer in model.merged.layers)),
        repeats=dict(_list_repeats(model)),
        warnings=find_text_warnings(tracks),
    )


def describe_unplanned(loaded: LoadedModel) -> ModelFacts:
    """Returns the facts of a model that is disabled, or whose settings are not valid."""
    return ModelFacts(
        name=loaded.name,
        errors=loaded.diagnostics,
        reading_errors=bool(loaded.diagnostics),
        profiles=loaded.profiles,
        idle_overlay=loaded.idle_overlay,
    )


def _list_repeats(model: CatalogModel) -> Iterator[tuple[Repeat, tuple[Position, str]]]:
    if model.candidate_merged is None:
        yield from _find_repeats(model.merged)
        return
    # The candidate's layers are also part of the stable settings, as written, with nothing below
    # them. They are compared in the candidate's own merge, where the stable settings are below.
    yield from _find_repeats(model.merged, without=_CANDIDATE)
    own = model.candidate_merged.layers[len(model.merged.layers) :]
    yield from _find_repeats(model.candidate_merged, only=own, prefix=_CANDIDATE)


def _find_repeats(
    merged: Merged,
    *,
    without: KeyPath = (),
    only: tuple[Layer, ...] = (),
    prefix: KeyPath = (),
) -> Iterator[tuple[Repeat, tuple[Position, str]]]:
    """Yields each value that equals the one it overrides, with the position and text of the latter.

    Leaves out paths that begin with `without`. `only`, if given, limits it to values of these
    layers. `prefix` is put before the path that messages name.
    """
    for path, positions in merged.origins.items():
        if len(positions) < 2 or (without and path[: len(without)] == without):
            continue
        written = _read_written(path, merged.layers)
        for lower, upper in pairwise(positions):
            value, is_enforced = written.get(upper, (None, True))
            if is_enforced or isinstance(value, dict) or lower not in written:
                continue
            if only and not any(layer.value_position(path) == upper for layer in only):
                continue
            # Compared as JSON: 1 and true are equal in Python.
            if json.dumps(value, sort_keys=True) != json.dumps(written[lower][0], sort_keys=True):
                continue
            if not _belongs_to_another(path, lower, upper, merged):
                yield Repeat(upper, str(FieldPath((*prefix, *path)))), (lower, show(path, value))


def _belongs_to_another(path: KeyPath, lower: Position, upper: Position, merged: Merged) -> bool:
    """Returns True where a value is a part of a reference that has changed in between.

    `tag: v1` over `tag: v1` is no repetition if the two belong to different repositories: without
    the second one, a change of the first would give the other repository a tag it never had.
    """
    unit = _reference_around(path)
    if unit is None:
        return False
    positions = [layer.value_position(path) for layer in merged.layers]
    ranks = [positions.index(position) for position in (lower, upper)]
    before, after = (_merge_written(unit, merged.layers[: rank + 1]) for rank in ranks)
    return before != after


def _reference_around(path: KeyPath) -> KeyPath | None:
    """Returns the mapping around a setting whose keys name one thing together, None for others."""
    if path[0] in ("image", "ingress") and len(path) > 1:
        return path[:1]
    for index, key in enumerate(path[:-2]):
        if key in ("env", "envFrom", "volumes", "allowFrom", "allowTo"):
            return path[: index + 2]
    return None


def _merge_written(unit: KeyPath, layers: Iterable[Layer]) -> dict[KeyPath, Any]:
    merged: dict[KeyPath, Any] = {}
    for layer in layers:
        for entry in layer.entries:
            if entry.path[: len(unit)] == unit and entry.shape is not Shape.MAPPING:
                merged[entry.path] = find_value(layer.data, entry.path)
    return merged


def _read_written(path: KeyPath, layers: Iterable[Layer]) -> dict[Position, tuple[Any, bool]]:
    """Returns the value that each layer has at `path`, by position; True with it for `overrides`.

    The `overrides` of an environment are never superfluous: they also apply to what models will
    set in the future, so they may equal what every model sets today.
    """
    written = {}
    for layer in layers:
        value = get_at(layer.data, path)
        if value is not MISSING:
            written[layer.value_position(path)] = (value, layer.prefix == ("overrides",))
    return written
