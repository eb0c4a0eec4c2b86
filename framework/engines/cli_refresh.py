"""Decides whether a run of the CLI must refresh the state first, and previews a refresh.

`--refresh` reads each object with a call of its own, which takes 24 s for 100 models. If every
object is as it is recorded, it changes nothing, and lists show that in a second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from framework.core.changes import Change, Op
from framework.core.errors import EngineError, FrameworkError
from framework.engines.base import RecordedObject
from framework.engines.cli_arguments import fit_urns
from framework.engines.cli_events import event_to_json
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_stack import CliStack
from framework.engines.clusters import CALLS_AT_ONCE
from framework.engines.live_objects import ComparedObject
from framework.engines.recorded import Components, build_same
from framework.kube.objects import without_internal
from framework.kube.ownership import is_as_recorded
from framework.kube.provider import KubernetesProvider

# The CLI's error for `--expect-no-changes`.
_CHANGES_PROPOSED = "no changes were expected"
_REFRESH_OPS = {"same": Op.SAME, "refresh": Op.SAME, "delete": Op.DELETE}


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
    So does one whose rollout did not finish, because a refresh shows that it is ready by now. Only
    a refresh shows what others did to a resource that is not of Kubernetes.
    """
    recorded = opened.recorded
    if provider is None or len(recorded.providers) != 1 or recorded.pending_deletions:
        return True
    if recorded.others and (targets is None or not targets.isdisjoint(recorded.others)):
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


def preview_refresh(stack: CliStack, **options: Any) -> dict[str, Op]:
    """Runs `pulumi refresh --preview-only --expect-no-changes`.

    Returns what a refresh would do to each record that it reads, by URN: SAME, UPDATE or DELETE.
    """
    found: dict[str, Op] = {}

    def read(event: Any) -> None:
        step = event_to_json(event).get("resOutputsEvent") or {}
        metadata = step.get("metadata") or {}
        if metadata:
            op = _REFRESH_OPS.get(metadata["op"], Op.UPDATE)
            # The old resource of a replacement has the same URN.
            if found.get(metadata["urn"], Op.SAME) is Op.SAME:
                found[str(metadata["urn"])] = op

    try:
        stack.stream("preview_refresh", read, expect_no_changes=True, **options)
    except EngineError as exc:
        # With changes the CLI fails. That is the result of this preview, and no error.
        if {*found.values()} <= {Op.SAME} or _CHANGES_PROPOSED not in str(exc):
            raise
    return found


def find_other_changes(
    opened: OpenedStack, components: Components, compared: Iterable[ComparedObject]
) -> list[Change]:
    """Returns what a refresh would do to the targets that were not compared.

    These are no objects of the API server, such as a Helm Release, so only the CLI can read them.
    """
    known = {item.recorded.urn for item in compared}
    others = [
        found
        for found in opened.resources
        if found.custom
        and not found.type.startswith("pulumi:")
        and not found.pending_delete
        and found.urn not in known
        and components.is_target(found.urn)
    ]
    if not others:
        return []
    recorded = {found.urn for found in opened.resources}
    ops = preview_refresh(opened.stack, target=fit_urns([found.urn for found in others], recorded))
    return [
        replace(build_same(found, components), op=ops.get(found.urn, Op.SAME)) for found in others
    ]
