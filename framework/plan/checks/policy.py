"""The rules of an environment's policy, and the waivers with which a model may break one of them.

Rules read the rendered Pod where they can, so that no other setting and no patch can bypass them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.field_paths import FieldPath, ItemKey
from framework.core.redaction import find_secret_paths
from framework.core.suggestions import did_you_mean, list_names, suggest
from framework.plan.checks.facts import WaiverFacts
from framework.plan.checks.object_pods import ObjectPod
from framework.plan.checks.pod_security import Violation, find_insecure
from framework.plan.checks.tracks import PodContainer, RenderedPod, RenderedTrack
from framework.plan.rendered import mapping_in, mappings_in
from framework.plan.replicas import replica_range
from framework.settings.environment import Policy

# Where container runtimes look for an image that names no registry.
_DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True)
class Rule:
    """One rule: `setting` is its key in `policy`, `name` the key of its waivers.

    `find` checks a track, and `find_in_objects` a Pod of `objects`, for rules that apply to any
    Pod.
    """

    name: str
    setting: str
    find: Callable[[RenderedTrack, Policy], Iterable[Violation]]
    find_in_objects: Callable[[RenderedPod, Policy], Iterable[Violation]] | None = None
    stable_only: bool = False


def find_broken_rules(
    tracks: Sequence[RenderedTrack], objects: Sequence[ObjectPod], catalog: Catalog
) -> dict[str, tuple[Diagnostic, ...]]:
    """Returns the errors of each rule that a model breaks, whether it is waived or not."""
    policy = catalog.environment.policy
    broken = {}
    for rule in list_rules(policy):
        position = catalog.environment_position(("policy", rule.setting)).short
        found: list[tuple[RenderedPod, Violation]] = []
        for track in tracks:
            if track.stable or not rule.stable_only:
                found += [(track, violation) for violation in rule.find(track, policy)]
        if rule.find_in_objects:
            for pod in objects:
                found += [(pod, violation) for violation in rule.find_in_objects(pod, policy)]
        errors = {
            pod.diagnostic(Code.POLICY, path, f"{message} (rule {rule.name}, {position})")
            for pod, (path, message) in found
        }
        if errors:
            broken[rule.name] = tuple(sorted(errors))
    return broken


def list_rules(policy: Policy) -> list[Rule]:
    """Returns the rules that an environment has set."""
    fields = type(policy).model_fields.items()
    values = {field.alias: getattr(policy, name) for name, field in fields}
    return [rule for rule in RULES if values[rule.setting] not in (None, False, ())]


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


@dataclass(frozen=True)
class Image:
    """One image of a Pod; `repository` begins with its registry.

    `tag` and `digest` are "" where the reference has none. `setting` decides the version and
    `repository_setting` the repository; most references are one setting that decides both.
    """

    setting: KeyPath
    repository_setting: KeyPath
    reference: str
    repository: str
    tag: str
    digest: str

    def comes_from(self, source: str) -> bool:
        """Returns True where `source`, a registry or a folder in one, has the image."""
        return self.repository.startswith(source.rstrip("/") + "/")


def _list_images(pod: RenderedPod) -> Iterator[Image]:
    """Yields every image of a Pod: containers, init containers, sidecars and image volumes."""
    for setting, steps, fields in pod.list_containers():
        reference = str(fields.get("image", ""))
        if setting:
            patched = pod.find_patched(*steps, "image")
            yield parse_image(patched or (*setting, "image"), reference)
            continue
        # The model's own image is two settings: a forbidden registry is an error at
        # `image.repository`, the tag `latest` one at `image.tag`.
        tag = ("image", "tag")
        version = tag if tag in pod.merged.origins else ("image",)
        image = parse_image(version, reference)
        yield replace(image, repository_setting=("image", "repository"))
    for volume in mappings_in(pod.pod, "volumes"):
        if mounted := mapping_in(volume, "image").get("reference"):
            name = str(volume.get("name"))
            patched = pod.find_patched("volumes", ItemKey(name), "image", "reference")
            yield parse_image(patched or ("volumes", name, "image"), str(mounted))


def parse_image(setting: KeyPath, reference: str) -> Image:
    """Parses a reference as container runtimes do: `nginx` is `docker.io/library/nginx`.

    https://github.com/distribution/reference/blob/main/normalize.go
    """
    name, _, digest = reference.partition("@")
    folder, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    repository = f"{folder}{slash}{last}"
    first = repository.partition("/")[0]
    if not slash:
        repository = f"{_DEFAULT_REGISTRY}/library/{repository}"
    elif not (set(".:") & set(first) or first == "localhost"):
        # The first part is a registry only where it looks like a host name: `acme/server` is a
        # repository of the default registry, `acme.io/server` is not.
        repository = f"{_DEFAULT_REGISTRY}/{repository}"
    return Image(setting, setting, reference, repository, tag, digest)


def _find_registries(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    allowed = policy.allowed_registries or ()
    for image in _list_images(pod):
        if not any(image.comes_from(registry) for registry in allowed):
            yield (
                image.repository_setting,
                f'the image "{image.repository}" comes from none of the allowed registries: '
                f"{list_names(allowed)}",
            )


def _find_latest(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    for image in _list_images(pod):
        if image.tag in ("", "latest") and not image.digest:
            message = (
                f'the image "{image.reference}" is the one that was pushed last; set a version'
            )
            yield image.setting, message


def _find_digest(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    for image in _list_images(pod):
        if not image.digest:
            remedy = "append @sha256:..." if image.setting[0] != "image" else "give image.digest"
            yield image.setting, f'the image "{image.reference}" has no digest; {remedy}'


def _find_owner(track: RenderedTrack, policy: Policy) -> Iterator[Violation]:
    owner, allowed = track.settings.owner, sorted(policy.allowed_owners or ())
    if owner not in allowed:
        hint = did_you_mean(owner, allowed)
        message = f'owner "{owner}" is not one of the teams that may own a model; '
        yield ("owner",), f"{message}{hint}{' ' if hint else ''}allowed: {list_names(allowed)}"


def _find_labels(track: RenderedTrack, policy: Policy) -> Iterator[Violation]:
    for label in policy.require_labels:
        if label not in track.settings.labels:
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
    for container in pod.list_containers():
        resources = mapping_in(container.fields, "resources")
        for name in names:
            if not any(name in mapping_in(resources, other) for other in sufficient):
                path: KeyPath = (*container.setting, "resources", kind, name)
                yield _missing(pod, path, container, ("resources", kind, name))


def _find_probes(track: RenderedTrack, policy: Policy) -> Iterator[Violation]:
    required = policy.require_probes
    own = next(container for container in track.list_containers() if not container.setting)
    for name in ("readiness",) if required is True else required or ():
        if f"{name}Probe" not in own.fields:
            yield _missing(track, ("probes", name), own, (f"{name}Probe",))


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


def _find_too_few(track: RenderedTrack, policy: Policy) -> Iterator[Violation]:
    replicas, minimum = replica_range(track.settings), policy.min_replicas or 0
    if replicas.fewest < minimum:
        path = replicas.fewest_setting
        yield path, f"{FieldPath(path)} is {replicas.fewest}; expected {minimum} or more"


def _find_too_many(track: RenderedTrack, policy: Policy) -> Iterator[Violation]:
    replicas, maximum = replica_range(track.settings), policy.max_replicas or 0
    if replicas.most > maximum:
        path = replicas.most_setting
        yield path, f"{FieldPath(path)} is {replicas.most}; expected {maximum} or less"


def _find_insecure(pod: RenderedPod, policy: Policy) -> Iterator[Violation]:
    if policy.pod_security:
        yield from find_insecure(pod, policy.pod_security)


def _find_plain_secrets(track: RenderedTrack, policy: Policy) -> Iterator[Violation]:
    for path in find_secret_paths(track.merged.data):
        # The candidate's settings are checked with its own track.
        if path[:2] == ("canary", "candidate"):
            continue
        remedy = "put it into a Secret"
        if path[-2:-1] == ("env",):
            remedy += f" and refer to it: {path[-1]}: {{secret: <name>, key: <key>}}"
        yield path, f"{FieldPath(path)} holds a secret in plain text; {remedy}"


def _apply_to_pods(
    name: str, setting: str, find: Callable[[RenderedPod, Policy], Iterable[Violation]]
) -> Rule:
    return Rule(name, setting, find, find_in_objects=find)


RULES = (
    _apply_to_pods("registries", "allowedRegistries", _find_registries),
    _apply_to_pods("latest", "forbidLatest", _find_latest),
    _apply_to_pods("digest", "requireDigest", _find_digest),
    Rule("owners", "allowedOwners", _find_owner),
    Rule("labels", "requireLabels", _find_labels),
    _apply_to_pods("requests", "requireRequests", _find_requests),
    _apply_to_pods("limits", "requireLimits", _find_limits),
    Rule("probes", "requireProbes", _find_probes),
    Rule("minReplicas", "minReplicas", _find_too_few, stable_only=True),
    Rule("maxReplicas", "maxReplicas", _find_too_many, stable_only=True),
    Rule("plainSecrets", "forbidPlainSecrets", _find_plain_secrets),
    _apply_to_pods("podSecurity", "podSecurity", _find_insecure),
)
