"""Checks one model, and collects its facts for the checks over all models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from framework.catalog import Catalog, CatalogLoader, LoadedModel
from framework.core.diagnostics import Diagnostic
from framework.core.field_paths import FieldPath
from framework.plan.checks.annotations import find_annotation_errors
from framework.plan.checks.capacity import (
    find_cause,
    find_peak_diagnostics,
    resolve_needs,
)
from framework.plan.checks.conflicting_objects import find_conflicting_objects
from framework.plan.checks.facts import Capacity, EnvironmentFacts, ModelFacts
from framework.plan.checks.further_objects import find_further_object_errors
from framework.plan.checks.names import find_name_diagnostics, list_claims, list_names
from framework.plan.checks.objects import find_object_diagnostics
from framework.plan.checks.pods import list_object_pods, list_tracks
from framework.plan.checks.policy import apply_waivers, find_broken_rules
from framework.plan.checks.repeats import find_repeats
from framework.plan.checks.rollout import find_rollout_diagnostics
from framework.plan.checks.texts import find_text_warnings
from framework.plan.manifest import ModelPlan
from framework.plan.pod_needs import read_amount
from framework.settings.messages import redact_diagnostic


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
    pods = (*tracks, *list_object_pods(model))
    errors, waivers = apply_waivers(model, find_broken_rules(pods, catalog))
    errors += find_rollout_diagnostics(tracks, catalog)
    errors += find_peak_diagnostics(pods, catalog)
    names = list_names(model, plan)
    errors += find_name_diagnostics(model, names)
    errors += find_object_diagnostics(tracks, plan)
    field_errors = tuple(field_errors)
    # A patch with an error is not applied, and may be what gives the object a container or a type.
    if not (field_errors and any(track.settings.patch for track in tracks)):
        errors += find_annotation_errors(tracks, plan)
    errors += find_further_object_errors(model, plan, catalog.environment)
    errors += find_conflicting_objects(tracks, plan)
    for track in tracks:
        errors = [redact_diagnostic(error, track.merged) for error in errors]
    return ModelFacts(
        name=model.name,
        errors=(*loaded.diagnostics, *field_errors, *errors),
        reading_errors=bool(loaded.diagnostics),
        profiles=loaded.profiles,
        needs={
            resource: (amount, find_cause(pods, resource))
            for resource, amount in resolve_needs(pods, catalog.environment.capacity).items()
        },
        claims=list_claims(model, names),
        waivers=waivers,
        files=tuple(dict.fromkeys(layer.document.path for layer in model.merged.layers)),
        repeats=find_repeats(model),
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
        disabled_at=loaded.disabled_at,
    )
