"""The rules of an environment's policy, and the waivers with which a model may break one of them.

Rules read the rendered Pod where they can, so that no other setting and no patch can bypass them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.field_paths import FieldPath, ItemKey
from framework.core.images import parse_image
from framework.core.redaction import find_secret_paths
from framework.core.suggestions import did_you_mean, list_names, suggest
from framework.plan.checks.facts import WaiverFacts
from framework.plan.checks.pod_security import Violation, find_insecure
from framework.plan.checks.pods import PodContainer, RenderedPod, Source
from framework.plan.rendered import mapping_in, mappings_in
from framework.plan.replicas import replica_range
from framework.settings.environment import Policy

_TRACKS: tuple[Source, ...] = ("stable", "canary")
_EVERY_POD: tuple[Source, ...] = (*_TRACKS, "objects")


class Rule(NamedTuple):
    """One rule: `setting` is its key in `policy`, `name` the key of its waivers.

    `find` checks one Pod. The rule is about the Pods of these `sources`.
    """

    name: str
    setting: str
    find: Callable[[RenderedPod, Policy], Iterable[Violation]]
    sources: tuple[Source, ...] = _EVERY_POD


def find_broken_rules(
    pods: Sequence[RenderedPod], catalog: Catalog
) -> dict[str, tuple[Diagnostic, ...]]:
    """Returns the errors of each rule that a model breaks, whether it is waived or not."""
    policy = catalog.environment.policy
    values = policy.model_dump(by_alias=True)
    broken = {}
    for rule in RULES:
        if values[rule.setting] in (None, False, ()):
            continue
        position = catalog.environment_position(("policy", rule.setting)).short
        errors = {
            pod.diagnostic(Code.POLICY, path, f"{message} (rule {rule.name}, {position})")
            for pod in pods
            if pod.source in rule.sources
            for path, message in rule.find(pod, policy)
        }
        if errors:
            broken[rule.name] = tuple(sorted(errors))
    return broken


def apply_waivers(
    model: CatalogModel, broken: Mapping[str, tuple[Diagnostic, ...]]
) -> tuple[list[Diagnostic], tuple[WaiverFacts, ...]]:
    """Returns the errors that no waiver silences, with those of the waivers, and the valid waivers.

    Expired waivers are found later, so that the cached facts of a model do not depend on the date.
    """
    errors, waivers = [], []
    names = [rule.name for rule in RULES]
    for name, waiver in sorted(model.settings.waivers.items()):
        position = model.position(("waivers", name))
        if name not in names:
            message = f'no rule is called "{name}"{suggest(name, names)}'
            errors.append(position.diagnostic(Code.WAIVER, message, model.name))
            continue
        until_position = model.position(("waivers", name, "until"))
        until = date.fromisoformat(waiver.until)
        waivers.append(WaiverFacts(name, until, position, until_position, broken.get(name, ())))
    waived = {waiver.rule for waiver in waivers}
    errors += [error for name, found in broken.items() if name not in waived for error in found]
    return errors, tuple(waivers)


def _list_images(pod: RenderedPod) -> Iterator[tuple[str, KeyPath, KeyPath]]:
    """Yields every image of a Pod: containers, init containers, sidecars and image volumes.

    With it come the settings that decide its version and its repository.
    """
    for container in pod.containers:
        reference = str(container.fields.get("image", ""))
        if container.setting:
            patched = pod.find_patched(*container.steps, "image")
            setting: KeyPath = patched or (*container.setting, "image")
            yield reference, setting, setting
        else:
            # The model's own image is two settings: a forbidden registry is an error at
            # `image.repository`, the tag `latest` one at `image.tag`.
            tag = ("image", "tag")
            version = tag if tag in pod.merged.origins else ("image",)
            yield reference, version, ("image", "repository")
    for volume in mappings_in(pod.pod, "volumes"):
        if mounted := mapping_in(volume, "image").get("reference"):
            name = str(volume.get("name"))
            patched = pod.find_patched("volumes", ItemKey(name), "image", "reference")
            setting = patched or ("volumes", name, "image")
            yield str(mounted), setting, setting


def _find_registries(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    allowed = policy.allowed_registries or ()
    for reference, _, setting in _list_images(pod):
        repository = parse_image(reference).full_repository
        if not any(repository.startswith(source.rstrip("/") + "/") for source in allowed):
            yield (
                setting,
                f'the image "{repository}" comes from none of the allowed registries: '
                f"{list_names(allowed)}",
            )


def _find_latest(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    for reference, setting, _ in _list_images(pod):
        image = parse_image(reference)
        if image.tag in ("", "latest") and not image.digest:
            expected = 'expected a tag other than "latest", or a digest'
            yield setting, f'the image "{reference}" has no fixed version; {expected}'


def _find_digest(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    for reference, setting, _ in _list_images(pod):
        if not parse_image(reference).digest:
            remedy = "append @sha256:..." if setting[0] != "image" else "give image.digest"
            yield setting, f'the image "{reference}" has no digest; {remedy}'


def _find_owner(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    owner, allowed = pod.settings.owner, sorted(policy.allowed_owners or ())
    if owner not in allowed:
        hint = did_you_mean(owner, allowed)
        message = f'owner "{owner}" is not one of the teams that may own a model; '
        yield ("owner",), f"{message}{hint}{' ' if hint else ''}allowed: {list_names(allowed)}"


def _find_labels(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    for label in policy.require_labels:
        if label not in pod.settings.labels:
            yield ("labels",), f"{FieldPath(('labels', label))} is missing; give it a value"


def _find_requests(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    required = policy.require_requests
    names = ("cpu", "memory") if required is True else tuple(required or ())
    # The API server copies a limit to the request where there is none.
    yield from _find_resources(pod, names, "requests", ("requests", "limits"))


def _find_limits(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    required = policy.require_limits
    names = ("memory",) if required is True else tuple(required or ())
    yield from _find_resources(pod, names, "limits", ("limits",))


def _find_resources(
    pod: RenderedPod, names: Iterable[str], kind: str, sufficient: Iterable[str]
) -> Iterator[Violation]:
    for container in pod.containers:
        resources = mapping_in(container.fields, "resources")
        for name in names:
            if not any(name in mapping_in(resources, other) for other in sufficient):
                path: KeyPath = (*container.setting, "resources", kind, name)
                yield _missing(pod, path, container, ("resources", kind, name))


def _find_probes(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    required = policy.require_probes
    own = next(container for container in pod.containers if not container.setting)
    for name in ("readiness",) if required is True else required or ():
        if f"{name}Probe" not in own.fields:
            yield _missing(pod, ("probes", name), own, (f"{name}Probe",))


def _missing(
    pod: RenderedPod, path: KeyPath, container: PodContainer, field: Iterable[str]
) -> Violation:
    """Returns the violation at the setting, or at the patch that removes its effect."""
    patched = pod.find_patched(*container.steps, *field)
    if patched and path in pod.merged.origins:
        return (
            patched,
            f"{FieldPath(patched)} removes {FieldPath(path)}; remove it from the patch",
        )
    return path, f"{FieldPath(path)} is missing; give one"


def _find_too_few(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    replicas, minimum = replica_range(pod.settings), policy.min_replicas or 0
    if replicas.fewest < minimum:
        path = replicas.fewest_setting
        yield path, f"{FieldPath(path)} is {replicas.fewest}; expected {minimum} or more"


def _find_too_many(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    replicas, maximum = replica_range(pod.settings), policy.max_replicas or 0
    if replicas.most > maximum:
        path = replicas.most_setting
        yield path, f"{FieldPath(path)} is {replicas.most}; expected {maximum} or less"


def _find_insecure(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    if policy.pod_security:
        yield from find_insecure(pod, policy.pod_security)


def _find_plain_secrets(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    for path in find_secret_paths(pod.merged.data):
        # The candidate's settings are checked with its own track.
        if path[:2] == ("canary", "candidate"):
            continue
        remedy = "put it into a Secret"
        if path[-2:-1] == ("env",):
            remedy += f" and refer to it: {path[-1]}: {{secret: <name>, key: <key>}}"
        yield path, f"{FieldPath(path)} holds a secret in plain text; {remedy}"


RULES = (
    Rule("registries", "allowedRegistries", _find_registries),
    Rule("latest", "forbidLatest", _find_latest),
    Rule("digest", "requireDigest", _find_digest),
    Rule("owners", "allowedOwners", _find_owner, _TRACKS),
    Rule("labels", "requireLabels", _find_labels, _TRACKS),
    Rule("requests", "requireRequests", _find_requests),
    Rule("limits", "requireLimits", _find_limits),
    Rule("probes", "requireProbes", _find_probes, _TRACKS),
    Rule("minReplicas", "minReplicas", _find_too_few, ("stable",)),
    Rule("maxReplicas", "maxReplicas", _find_too_many, ("stable",)),
    Rule("plainSecrets", "forbidPlainSecrets", _find_plain_secrets, _TRACKS),
    Rule("podSecurity", "podSecurity", _find_insecure),
)
