"""The rules of an environment's policy, each by its name, and what in a track breaks it.

Kept apart from waivers, which decide whether a broken rule is told. Rules read the rendered Pod
where they can, so that no way of writing a setting, nor a patch, gets round one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from framework.catalog import Catalog
from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.field_paths import FieldPath
from framework.core.suggestions import did_you_mean, list_names
from framework.plan.checks.images import list_images
from framework.plan.checks.pod_security import find_insecure
from framework.plan.checks.tracks import (
    CheckedTrack,
    PodContainer,
    find_patched,
    list_containers,
    mapping_in,
)
from framework.settings.environment import Policy

# A setting, and what is wrong with it and what to do.
Breach = tuple[KeyPath, str]


@dataclass(frozen=True)
class Rule:
    """One rule: `setting` is the policy's, `name` what a waiver calls it."""

    name: str
    setting: str
    find: Callable[[CheckedTrack, Policy], Iterable[Breach]]
    stable_only: bool = False


@dataclass(frozen=True)
class BrokenRule:
    """One rule that one model breaks, and every fault that tells it."""

    rule: str
    diagnostics: tuple[Diagnostic, ...]


def find_broken_rules(tracks: Iterable[CheckedTrack], catalog: Catalog) -> list[BrokenRule]:
    """Every rule of the policy that a model breaks, waived or not."""
    listed, policy = list(tracks), catalog.environment.policy
    found = []
    for rule in list_rules(policy):
        position = catalog.environment_position(("policy", rule.setting)).short
        diagnostics = {
            track.diagnostic(Code.POLICY, path, f"{message} (rule {rule.name}, {position})")
            for track in listed
            if track.stable or not rule.stable_only
            for path, message in rule.find(track, policy)
        }
        if diagnostics:
            found.append(BrokenRule(rule.name, tuple(sorted(diagnostics))))
    return found


def list_rules(policy: Policy) -> list[Rule]:
    """The rules that are set."""
    fields = type(policy).model_fields.items()
    values = {field.alias: getattr(policy, name) for name, field in fields}
    return [rule for rule in RULES if values[rule.setting] not in (None, False, ())]


def _find_registries(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    allowed = policy.allowed_registries or ()
    for image in list_images(track):
        if not any(image.comes_from(registry) for registry in allowed):
            yield (
                image.named,
                f'the image "{image.repository}" comes from none of the allowed registries: '
                f"{list_names(allowed)}",
            )


def _find_latest(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    for image in list_images(track):
        if image.tag in ("", "latest") and not image.digest:
            message = f'the image "{image.reference}" is whatever was pushed last; give a version'
            yield image.setting, message


def _find_digest(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    for image in list_images(track):
        if not image.digest:
            remedy = "append @sha256:..." if image.setting[0] != "image" else "give image.digest"
            yield image.setting, f'the image "{image.reference}" names no digest; {remedy}'


def _find_owner(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    owner, allowed = track.settings.owner, sorted(policy.allowed_owners or ())
    if owner not in allowed:
        hint = did_you_mean(owner, allowed)
        hint += " " if hint else ""
        message = f'owner "{owner}" is none of the teams that may own a model; {hint}allowed: '
        yield ("owner",), message + list_names(allowed)


def _find_labels(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    for label in policy.require_labels:
        if label not in track.settings.labels:
            yield ("labels",), f"{FieldPath(('labels', label))} is missing; give it a value"


def _find_requests(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    wanted = policy.require_requests
    names = ("cpu", "memory") if wanted is True else tuple(wanted or ())
    yield from _find_resources(track, names, "requests", ("requests", "limits"))


def _find_limits(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    wanted = policy.require_limits
    names = ("memory",) if wanted is True else tuple(wanted or ())
    yield from _find_resources(track, names, "limits", ("limits",))


def _find_resources(
    track: CheckedTrack, names: Iterable[str], kind: str, counted: Iterable[str]
) -> Iterator[Breach]:
    for container in list_containers(track):
        resources = mapping_in(container.fields, "resources")
        for name in names:
            if not any(name in mapping_in(resources, one) for one in counted):
                path: KeyPath = (*container.setting, "resources", kind, name)
                yield _tell_missing(track, path, container, ("resources", kind, name))


def _find_probes(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    wanted = policy.require_probes
    own = next(container for container in list_containers(track) if not container.setting)
    for name in ("readiness",) if wanted is True else wanted or ():
        if f"{name}Probe" not in own.fields:
            yield _tell_missing(track, ("probes", name), own, (f"{name}Probe",))


def _tell_missing(
    track: CheckedTrack, path: KeyPath, container: PodContainer, field: Iterable[str]
) -> Breach:
    """At the setting; where that is given and a patch takes its field away, at the patch."""
    patched = find_patched(track, *container.steps, *field)
    if patched and path in track.merged.origins:
        return (
            patched,
            f"{FieldPath(patched)} takes {FieldPath(path)} away; remove it from the patch",
        )
    return path, f"{FieldPath(path)} is missing; give one"


def _find_too_few(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    settings, least = track.settings, policy.min_replicas or 0
    scaling = settings.autoscaling
    replicas = scaling.min_replicas if scaling else settings.replicas
    if replicas < least:
        path = ("autoscaling", "minReplicas") if scaling else ("replicas",)
        yield path, f"{FieldPath(path)} is {replicas}; expected {least} or more"


def _find_too_many(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    settings, most = track.settings, policy.max_replicas or 0
    scaling = settings.autoscaling
    replicas = scaling.max_replicas if scaling else settings.replicas
    if replicas > most:
        path = ("autoscaling", "maxReplicas") if scaling else ("replicas",)
        yield path, f"{FieldPath(path)} is {replicas}; expected {most} or less"


def _find_insecure(track: CheckedTrack, policy: Policy) -> Iterator[Breach]:
    if policy.pod_security:
        yield from find_insecure(track, policy.pod_security)


RULES = (
    Rule("registries", "allowedRegistries", _find_registries),
    Rule("latest", "forbidLatest", _find_latest),
    Rule("digest", "requireDigest", _find_digest),
    Rule("owners", "allowedOwners", _find_owner),
    Rule("labels", "requireLabels", _find_labels),
    Rule("requests", "requireRequests", _find_requests),
    Rule("limits", "requireLimits", _find_limits),
    Rule("probes", "requireProbes", _find_probes),
    Rule("minReplicas", "minReplicas", _find_too_few, stable_only=True),
    Rule("maxReplicas", "maxReplicas", _find_too_many, stable_only=True),
    Rule("podSecurity", "podSecurity", _find_insecure),
)
