"""The kinds that the check lists in each Namespace, and what is unknown without one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from framework.core.errors import FrameworkError
from framework.drift.custom_kinds import CUSTOM_KINDS
from framework.drift.report import Unread
from framework.engines.clusters import CALLS_AT_ONCE
from framework.kube.api_error import ApiError
from framework.kube.objects import Object, group_of
from framework.kube.provider import KubernetesProvider
from framework.kube.reading import NAMESPACED_KINDS

# Of the other kinds, only the metadata is listed. Secrets are not listed: the right to list them is
# the right to read them.
_FULL_KINDS = frozenset(
    {
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "Ingress",
        "HorizontalPodAutoscaler",
        "Deployment",
        "StatefulSet",
        "DaemonSet",
    }
)
_CUSTOM = {(kind.group, kind.name) for kind in CUSTOM_KINDS}
CREATORS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("ReplicaSet",),
    "ReplicaSet": ("Pod",),
    "StatefulSet": ("Pod", "PersistentVolumeClaim"),
    "DaemonSet": ("Pod",),
    "Service": ("EndpointSlice",),
    "CronJob": ("Job",),
    "Job": ("Pod",),
}
"""The kinds that Kubernetes creates for others, by the kind of the owner."""


def list_objects(
    provider: KubernetesProvider,
    recorded_kinds: Mapping[tuple[str, str], str],
    namespace: str,
) -> tuple[list[Object], dict[tuple[str, str], FrameworkError]]:
    """Returns the objects of a Namespace, and the kinds that could not be listed.

    It lists the kinds of NAMESPACED_KINDS, the custom kinds, and those of the stack's own objects.
    """
    failed: dict[tuple[str, str], FrameworkError] = {}
    plain = {(group_of(version), kind): version for kind, version in NAMESPACED_KINDS.items()}
    kinds = {**dict.fromkeys(_CUSTOM, ""), **recorded_kinds, **plain}

    def list_kind(key: tuple[str, str]) -> list[Object]:
        group, kind = key
        # The comparison has listed the recorded kinds already, with all fields.
        is_full = kind in _FULL_KINDS or key in recorded_kinds or key in _CUSTOM
        try:
            api_version = kinds[key] or provider.find_served_version(group, kind)
            if not api_version:
                return []
            return provider.list_kind(api_version, kind, namespace, metadata_only=not is_full)
        except FrameworkError as exc:
            failed[key] = exc
            return []

    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="list") as pool:
        return [obj for objects in pool.map(list_kind, kinds) for obj in objects], failed


def list_unread(failed: Iterable[tuple[str, str]], namespace: str) -> Iterator[Unread]:
    """Yields what the kinds that could not be listed hide in a Namespace."""
    for key in failed:
        # Without the owners, and without the Pods, no foreign object of any kind is certain.
        hides_others = key[1] in CREATORS or key[1] in ("Pod", "ReplicationController")
        is_alone = key in _CUSTOM or (key[1] in NAMESPACED_KINDS and not hides_others)
        yield Unread(key[1] if is_alone else "", f"{namespace}/", is_foreign=True)


def describe_failures(
    failed: Mapping[tuple[str, str], FrameworkError], environment: str
) -> tuple[list[str], set[str]]:
    """Returns a problem for each kind, but only one for all that the user may not list, and the
    messages that this one stands for."""
    forbidden, others = list[tuple[str, str]](), list[tuple[str, str]]()
    for key, error in sorted(failed.items(), key=lambda item: item[0][1]):
        is_forbidden = isinstance(error, ApiError) and error.status == 403
        (forbidden if is_forbidden else others).append(key)
    problems = [str(failed[key]) for key in others]
    if forbidden:
        kinds = ", ".join(kind for _, kind in forbidden[1:])
        more = f"; forbidden as well: {kinds}" if kinds else ""
        # Always with --custom: rules without it would replace those with it, and take rights away.
        problems.append(
            f"{failed[forbidden[0]]}{more}; next: apply the rules of `python -m tools.drift_rbac "
            f"{environment} --custom`, with the --namespace that you used before; see "
            "docs/nightly.md"
        )
    return problems, {str(failed[key]) for key in forbidden}
