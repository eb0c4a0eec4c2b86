"""Decides whether a run of the CLI must refresh the state first.

`--refresh` reads each object with a call of its own, which takes 24 s for 100 models. If every
object is as it is recorded, it changes nothing, and lists show that in a second.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from framework.core.errors import FrameworkError
from framework.engines.base import RecordedObject
from framework.engines.cli_stack import OpenedStack
from framework.engines.clusters import CALLS_AT_ONCE
from framework.kube.objects import without_internal
from framework.kube.ownership import is_as_recorded
from framework.kube.provider import KubernetesProvider


def needs_refresh(
    opened: OpenedStack,
    targets: frozenset[str] | None,
    provider: KubernetesProvider | None,
    updated: Collection[str] = (),
) -> bool:
    """Returns True unless all recorded objects of a run are known to be as they are recorded.

    `targets` are the URNs that the run works on, None for all, and `updated` those of the objects
    that it updates. An updated object with ignored fields needs a refresh in any case: an
    autoscaler may change `replicas` at any moment, and the CLI sends the number that is recorded.
    So does one whose rollout did not finish, because a refresh shows that it is ready by now.
    """
    recorded = opened.recorded
    if provider is None or len(recorded.providers) != 1 or recorded.pending_deletions:
        return True
    objects = [obj for obj in recorded.objects if targets is None or obj.urn in targets]
    if any(obj.init_errors or (obj.ignore_changes and obj.urn in updated) for obj in objects):
        return True
    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="as-recorded") as pool:
        return not all(pool.map(partial(_is_as_recorded, provider), objects))


def _is_as_recorded(provider: KubernetesProvider, obj: RecordedObject) -> bool:
    try:
        live = provider.read(obj.state, listed=True)
    except FrameworkError:
        # The refresh reports what is wrong, in the words of the CLI.
        return False
    return live is not None and is_as_recorded(
        without_internal(live.outputs), without_internal(obj.outputs)
    )
