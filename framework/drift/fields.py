"""The three values of a field: desired by the files, recorded by the last `up`, live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from framework.core.changes import FieldChange
from framework.core.drift_rules import Injector
from framework.core.field_paths import MISSING, FieldPath, find_list_without_keys, get_at, resolve
from framework.core.quantities import is_same_quantity, may_be_custom
from framework.core.redaction import REDACTED, redact_value
from framework.drift.report import Finding, FindingKind
from framework.engines.base import RecordedObject
from framework.engines.live_objects import ComparedObject, list_live
from framework.engines.urns import parse_urn
from framework.engines.values import find_model_secrets, list_objects
from framework.kube.adopting import describe_writers
from framework.kube.lost_owners import FILLED_IN_LATER
from framework.kube.managed_fields import (
    entries,
    find_foreign_parts,
    find_last_writer,
    is_controller,
    is_own,
)
from framework.kube.object_diff import (
    LiveStatus,
    compare_objects,
    read_item,
    redact_fields,
    redact_object,
)
from framework.kube.objects import Object, encode_string_data, without_internal
from framework.kube.owned_paths import describe_path, find
from framework.kube.patching import is_injected
from framework.plan import ObjectKey, StackPlan

_KINDS: Mapping[LiveStatus, FindingKind] = {
    LiveStatus.CHANGED: FindingKind.CHANGED,
    LiveStatus.RECREATED: FindingKind.RECREATED,
    LiveStatus.TERMINATING: FindingKind.MISSING,
    LiveStatus.GONE: FindingKind.MISSING,
}


class DesiredObjects:
    """The manifests of the plan by the recorded objects that they belong to.

    `unplanned` are the models whose files have errors; of these, and without a plan, the recorded
    objects count as desired.
    """

    def __init__(self, plan: StackPlan | None, unplanned: frozenset[str]) -> None:
        self._unplanned = unplanned
        self._has_plan = plan is not None
        self._manifests = plan.index_manifests() if plan else {}

    def is_known(self, model: str) -> bool:
        """Returns whether the plan has the desired state of a model."""
        return self._has_plan and model not in self._unplanned

    @property
    def objects(self) -> Iterator[Object]:
        """The objects of all manifests, recorded or not."""
        return (manifest.object for manifest in self._manifests.values())

    def find(self, recorded: RecordedObject) -> Object | None:
        """Returns the desired inputs of a recorded object; None if the plan does not have it."""
        manifest = self._manifests.get(_key(recorded))
        if manifest is None:
            return None
        inputs = manifest.build_inputs()
        return encode_string_data(inputs) if manifest.kind == "Secret" else inputs

    def find_external_range(self, recorded: RecordedObject) -> tuple[int, int] | None:
        """Returns the numbers of Pods that the files allow something else to set, if they do."""
        manifest = self._manifests.get(_key(recorded))
        return manifest.external_range if manifest else None

    def find_new(self, recorded: Sequence[RecordedObject]) -> set[str]:
        """Returns the models with objects that are not recorded yet."""
        return {key[0] for key in self._manifests.keys() - set(map(_key, recorded))} - {""}


def _key(recorded: RecordedObject) -> ObjectKey:
    return recorded.component, recorded.type, parse_urn(recorded.urn).name


def find_pending_models(
    recorded: Sequence[RecordedObject], plan: StackPlan, unplanned: frozenset[str]
) -> tuple[str, ...]:
    """Returns the models that the next `up` changes because their files changed, sorted.

    It needs no cluster. `unplanned` are the models whose files have errors.
    """
    desired = DesiredObjects(plan, unplanned)
    pending = desired.find_new(recorded)
    for obj in recorded:
        wanted, changes = _compare_files(obj, desired)
        if wanted is None or changes:
            pending.add(obj.component)
    return tuple(sorted(pending - {""}))


def _compare_files(
    obj: RecordedObject, desired: DesiredObjects
) -> tuple[Object | None, dict[str, FieldChange]]:
    """Returns the desired inputs of a recorded object, None if the next `up` deletes it, and how
    they differ from the recorded ones, by path."""
    inputs = without_internal(obj.inputs)
    wanted = desired.find(obj) if desired.is_known(obj.component) else inputs
    return wanted, _find_pending(inputs, wanted, obj.ignore_changes)


@dataclass(frozen=True)
class ObjectFindings:
    """The findings about one recorded object; `pending` if its desired inputs differ from the
    recorded ones."""

    findings: tuple[Finding, ...]
    pending: bool
    is_deletion: bool = False
    """The files no longer have the object, and the next `up` deletes it."""


def find_secrets_of_models(
    compared: Sequence[ComparedObject],
    recorded: Sequence[RecordedObject],
    plan: StackPlan | None,
) -> Mapping[str, frozenset[str]]:
    """Returns the plain secrets of each model that differs, which no finding may show.

    `recorded` are all recorded objects, also those that could not be read: a copy of their secrets
    may be in an object that was read.
    """
    differing = {
        item.recorded.component
        for item in compared
        if item.comparison.status is not LiveStatus.SAME
    }
    objects = list_objects(plan, recorded, list_live(compared))
    return find_model_secrets((model, tree) for model, tree in objects if model in differing)


def build_findings(
    compared: ComparedObject,
    desired: DesiredObjects,
    injectors: Sequence[Injector],
    copied: frozenset[str] = frozenset(),
) -> ObjectFindings:
    """Builds the findings about one recorded object: one for each field, or one for all of it.

    `copied` are plain secrets of its model, which no finding shows.
    """
    obj, status = compared.recorded, compared.comparison.status
    wanted, changes = _compare_files(obj, desired)
    pending = wanted is None or bool(changes)
    # A kept object, such as the claim of a volume, only leaves the state.
    is_deletion = wanted is None and not obj.retain_on_delete
    if status is LiveStatus.SAME:
        return ObjectFindings((), pending, is_deletion)
    # Neither the files nor the cluster have it: the next `up` only drops the record.
    if wanted is None and _KINDS[status] is FindingKind.MISSING:
        return ObjectFindings((), pending)
    if compared.replacement is not None:
        return ObjectFindings((_build_replaced(obj, compared.replacement),), pending)
    base = Finding(
        kind=_KINDS[status],
        type=obj.type,
        object=obj.id,
        urn=obj.urn,
        model=obj.component,
        note=compared.comparison.note,
        applied=_find_last_apply(compared),
    )
    findings = []
    if base.kind is not FindingKind.CHANGED:
        manager, time = find_last_writer(compared.live.outputs) if compared.live else ("", "")
        findings.append(replace(base, manager=manager, time=time))
    kind = base.object_kind
    # compare_objects redacts the secrets that the object itself shows. A program may mark any other
    # value as a secret too.
    secrets = obj.secrets | copied
    fields = tuple(
        part
        for field in compared.comparison.fields
        for part in _drop_allowed_parts(field, kind, compared, injectors)
    )
    for field in redact_fields(fields, secrets):
        value = redact_value(_find_desired(field, changes, wanted), secrets)
        # Redacted values are equal as text, whatever they were.
        if value != field.old and REDACTED not in str(value) and _is_same(field, value, obj.type):
            # Somebody has already done by hand what the next `up` does.
            pending = True
        else:
            findings.append(build_field_finding(base, field, value))
    findings = _add_list_states(findings, compared.comparison.fields, changes)
    return ObjectFindings(tuple(findings), pending, is_deletion)


def _add_list_states(
    findings: Sequence[Finding], fields: Iterable[FieldChange], changes: Iterable[str]
) -> list[Finding]:
    """Returns the findings with the differences of their lists without keys, which `take` needs."""
    # One item in front of a list of a thousand moves all others, so each path is parsed only once.
    lists = {
        finding.path: find_list_without_keys(FieldPath.parse(finding.path)) for finding in findings
    }
    paths = {path for path in lists.values() if path is not None}
    if not paths:
        return list(findings)
    differences = Counter(
        path
        for field in map(FieldPath.parse, (field.path for field in fields))
        for path in paths
        if field.is_within(path)
    )
    pending = [FieldPath.parse(text) for text in changes]
    changed = {
        path for path in paths if any(p.is_within(path) or path.is_within(p) for p in pending)
    }
    return [
        finding
        if (path := lists[finding.path]) is None
        else replace(finding, list_differences=differences[path], list_is_pending=path in changed)
        for finding in findings
    ]


def _find_last_apply(compared: ComparedObject) -> str:
    """Returns the time when `up` wrote the object last, "" if it is unknown."""
    written = entries(compared.live.outputs) if compared.live else ()
    manager = compared.recorded.field_manager
    return max((str(e.get("time", "")) for e in written if is_own(e, manager)), default="")


def _build_replaced(obj: RecordedObject, live: Object) -> Finding:
    """Builds the finding about an object of others that has the name of a recorded one."""
    manager, time = find_last_writer(live)
    return Finding(
        kind=FindingKind.RECREATED,
        type=obj.type,
        object=obj.id,
        urn=obj.urn,
        model=obj.component,
        manager=manager,
        time=time or str(live["metadata"].get("creationTimestamp") or ""),
        note=(
            f"was recreated by {describe_writers(live)}, so `up` refuses it: delete it, or take it "
            "over with `make adopt`"
        ),
        belongs_to_others=True,
    )


def _drop_allowed_parts(
    field: FieldChange, kind: str, compared: ComparedObject, injectors: Sequence[Injector]
) -> Iterator[FieldChange]:
    """Yields an added field without the parts that injectors and Kubernetes may add.

    Kubernetes itself adds fields such as the volume of a claim.
    """

    has_owners = bool(compared.live and entries(compared.live.outputs))
    if field.old is None and kind in FILLED_IN_LATER and not has_owners:
        # Somebody emptied managedFields, so the binding of the volume looks like an addition. `up`
        # leaves it as well.
        return

    def may_write(manager: str, path: str) -> bool:
        is_finalizer = FieldPath.parse(path).steps[:2] == ("metadata", "finalizers")
        if is_finalizer and not manager.startswith("kubectl"):
            # As in `up`, which leaves the finalizers of operators. Without managedFields it does
            # not know those of people.
            return bool(manager) or not has_owners
        return is_controller(manager) or is_injected(injectors, kind, manager, path)

    parts = None
    if field.old is None and compared.live is not None and kind != "Secret":
        live, path = compared.live.outputs, FieldPath.parse(field.path)
        parts = find_foreign_parts(
            live,
            path,
            compared.recorded.field_manager,
            lambda manager, owned: may_write(manager, describe_path(owned)),
        )
    if parts is None:
        if field.old is not None or not may_write(field.manager, field.path):
            yield field
        return
    for owned, entry in parts.items():
        manager, time = str(entry["manager"]), str(entry.get("time", ""))
        if manager == compared.recorded.field_manager:
            # An update that failed took it over from somebody who is no longer known.
            manager, time = "", ""
        # The manager owns the field as a whole; otherwise only a part of it, which is shown alone.
        if len(owned) == len(path.steps):
            yield replace(field, manager=manager, time=time)
        elif (value := find(live, owned)) is not MISSING:
            below = FieldPath.parse(describe_path(owned))
            shown = find(redact_object(live), owned)
            # A member of a set is found by its value, which may be redacted.
            value = REDACTED if shown is MISSING else read_item(below, shown)
            yield FieldChange(str(below), None, value, manager, time)


def _find_pending(
    inputs: Object, wanted: Object | None, ignore_changes: Sequence[str]
) -> dict[str, FieldChange]:
    if wanted is None or wanted == inputs:
        return {}
    changes = [c for c in compare_objects(inputs, wanted) if c.path not in ignore_changes]
    if any(_is_dropped(change) for change in changes):
        # Imported here: the types of all fields take long to load.
        from framework.plan.api_defaults import normalize

        normal = normalize(wanted)
        changes = [
            change
            for change in changes
            if not _is_dropped(change) or resolve(normal, FieldPath.parse(change.path)) is not None
        ]
    return {change.path: change for change in changes}


def _is_dropped(change: FieldChange) -> bool:
    """Returns whether the CLI may have left out the value of a field when it recorded the inputs.

    It leaves out zeros that mean the same as no value, such as `minReadySeconds: 0`.
    """
    return change.old is None and change.new in (0, "", [], {})


def _find_desired(
    field: FieldChange, changes: Mapping[str, FieldChange], wanted: Object | None
) -> Any:
    """Returns the value that the files give a field: the recorded one unless they changed it."""
    if wanted is None:
        return None
    if field.path in changes:
        return changes[field.path].new
    path = FieldPath.parse(field.path)
    # A pending change above or below the field changes it as well. For example, the files may
    # remove the whole container of a variable.
    others = [FieldPath.parse(text) for text in changes]
    if not any(path.is_within(other) or other.is_within(path) for other in others):
        return field.old
    steps = resolve(wanted, path)
    if steps is None:
        return None
    return read_item(path, get_at(redact_object(wanted), steps))


def _is_same(field: FieldChange, desired: Any, type_token: str) -> bool:
    steps = FieldPath.parse(field.path).steps
    is_custom_resource = may_be_custom(type_token.split(":")[1])
    return bool(desired == field.new) or is_same_quantity(
        steps, desired, field.new, is_custom_resource=is_custom_resource
    )


def build_field_finding(base: Finding, field: FieldChange, desired: Any) -> Finding:
    """Builds the finding about a field; `base` is one about the whole object."""
    is_added = field.old is None and desired is None
    return replace(
        base,
        kind=FindingKind.ADDED if is_added else FindingKind.CHANGED,
        path=field.path,
        desired=desired,
        recorded=field.old,
        live=field.new,
        manager=field.manager,
        time=field.time,
        note="",
    )
