"""Decides whether a run of the CLI must refresh the state first, and previews a refresh.

`--refresh` reads each object with a call of its own, which takes 24 s for 100 models. If every
object is as it is recorded, it changes nothing, and lists show that in a second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from framework.core.changes import Change, FieldChange, Op
from framework.core.errors import EngineError, FrameworkError
from framework.core.field_paths import get_at, name_path
from framework.core.redaction import REDACTED, find_copied_secrets
from framework.engines.base import RecordedObject, RefreshedRecord
from framework.engines.cli_arguments import fit_urns
from framework.engines.cli_events import event_to_json
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_stack import CliStack
from framework.engines.clusters import CALLS_AT_ONCE
from framework.engines.live_objects import ComparedObject
from framework.engines.recorded import build_same
from framework.engines.values import redact_sealed
from framework.kube.object_diff import read_item, redact_fields, redact_object
from framework.kube.objects import without_internal
from framework.kube.ownership import is_as_recorded
from framework.kube.property_path import parse_path
from framework.kube.provider import KubernetesProvider

# The CLI's error for `--expect-no-changes`.
_CHANGES_PROPOSED = "no changes were expected"
_REFRESH_OPS = {"same": Op.SAME, "refresh": Op.SAME, "delete": Op.DELETE}


def needs_refresh(
    opened: OpenedStack,
    targets: frozenset[str] | None,
    provider: KubernetesProvider,
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
    if len(recorded.providers) != 1 or recorded.pending_deletions:
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


def preview_refresh(stack: CliStack, **options: Any) -> dict[str, RefreshedRecord]:
    """Runs `pulumi refresh --preview-only --expect-no-changes`.

    Returns what a refresh would do to each record that it reads, by URN.
    """
    found: dict[str, RefreshedRecord] = {}

    def read(event: Any) -> None:
        step = event_to_json(event).get("resOutputsEvent") or {}
        metadata = step.get("metadata") or {}
        if metadata:
            op = _REFRESH_OPS.get(metadata["op"], Op.UPDATE)
            urn = str(metadata["urn"])
            # The old resource of a replacement has the same URN.
            if urn not in found or found[urn].op is Op.SAME:
                fields = _read_fields(metadata) if op is Op.UPDATE else ()
                found[urn] = RefreshedRecord(op, fields)

    try:
        stack.stream("preview_refresh", read, expect_no_changes=True, **options)
    except EngineError as exc:
        # With changes the CLI fails. That is the result of this preview, and no error.
        is_same = all(record.op is Op.SAME for record in found.values())
        if is_same or _CHANGES_PROPOSED not in str(exc):
            raise
    return found


def _read_fields(step: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """Returns the fields that a refresh would change, from the declared to the live values.

    None of them if the value of one is not known: a rule that accepts the others would hide it.
    """
    states = (step.get("old") or {}, step.get("new") or {})
    trees = [redact_sealed(s.get(part) or {}) for s in states for part in ("inputs", "outputs")]
    # As a whole: the path of a value does not tell all that makes it a secret.
    old_inputs, old_outputs, new_inputs, new_outputs = map(redact_object, trees)
    fields: list[FieldChange] = []
    for text in sorted(step.get("detailedDiff") or step.get("diffs") or ()):
        try:
            steps = parse_path(text)
        except EngineError:
            return ()
        # Of a value that is marked as a secret, a provider may return a copy in plain text.
        is_secret = any(REDACTED in str(_read_at(tree, steps)) for tree in trees)
        # Most providers return live values as inputs. Some return them as outputs only, such as
        # that of Kubernetes for a Helm Release, and some fields are no inputs.
        found = [
            _build_field(steps, old_inputs, new_inputs, is_secret),
            _build_field(steps, old_inputs, new_outputs, is_secret),
            _build_field(steps, old_outputs, new_outputs, is_secret),
        ]
        if None in (found[1].old, found[1].new):
            # An input need not be an output, and the other way round.
            del found[1]
        known = [field for field in found if field.old != field.new or field.old == REDACTED]
        # Else the difference may be in a secret that is a part of both values.
        known += [field for field in found if REDACTED in str(field.old)]
        if not known:
            return ()
        fields.append(known[0])
    return redact_fields(tuple(fields), find_copied_secrets(trees))


def _build_field(
    steps: tuple[str | int, ...],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    is_secret: bool,
) -> FieldChange:
    path = name_path(steps, before, after)
    values = (read_item(path, _read_at(side, steps)) for side in (before, after))
    old, new = (REDACTED if is_secret and value is not None else value for value in values)
    return FieldChange(str(path), old, new)


def _read_at(tree: Any, steps: tuple[str | int, ...]) -> Any:
    """Returns the value at a path, or REDACTED if it is within a secret; MISSING for none."""
    for depth in range(len(steps)):
        if get_at(tree, steps[:depth]) == REDACTED:
            return REDACTED
    return get_at(tree, steps)


def find_other_changes(opened: OpenedStack, compared: Iterable[ComparedObject]) -> list[Change]:
    """Returns what a refresh would do to the resources that were not compared.

    These are no objects of the API server, such as a Helm Release, so only the CLI can read them.
    """
    known, components = {item.recorded.urn for item in compared}, opened.build_components()
    others = [
        found
        for found in opened.resources
        if found.custom
        and not found.type.startswith("pulumi:")
        and not found.pending_delete
        and found.urn not in known
    ]
    if not others:
        return []
    recorded = {found.urn for found in opened.resources}
    target = fit_urns([found.urn for found in others], recorded)
    records = preview_refresh(opened.stack, target=target)
    secrets = opened.recorded.secrets
    changes = []
    for found in others:
        record = records.get(found.urn, RefreshedRecord(Op.SAME))
        same = build_same(found, components)
        fields = redact_fields(record.fields, secrets)
        changes.append(replace(same, op=record.op, fields=fields))
    return changes
