"""Reads objects of one cluster and predicts what an update would do to them; writes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from framework.core.changes import FieldChange, Op
from framework.core.drift_rules import Injector
from framework.core.errors import EngineError
from framework.core.kind_rules import KindRules
from framework.kube.adopting import (
    CannotAdoptError,
    ManagedByToolError,
    describe_fields,
    describe_writers,
    find_tools,
)
from framework.kube.api_error import ApiError
from framework.kube.client import KindNotServedError, KubeClient
from framework.kube.managed_fields import entries, field_paths
from framework.kube.object_diff import compare_objects, pruned
from framework.kube.objects import (
    Object,
    ObjectState,
    build_state,
    encode_string_data,
    field_manager,
    is_terminating,
    with_live,
    without_internal,
)
from framework.kube.owned_paths import without
from framework.kube.ownership import (
    describe_recreation,
    find_own_manager,
    has_recorded_labels,
    is_foreign,
    is_recreated,
    is_same_but_zeros,
    is_untouched,
)
from framework.kube.patching import Patch, build_patch, predict
from framework.kube.property_path import drop_at, expand_path, parse_path, with_ignored
from framework.kube.replacement import KindRulesTable, is_other_object, named_changes

DEFAULT_NAMESPACE = "default"
# A listed object is used for this long.
FRESH_S = 10.0
# A list of Secrets would fetch the values of others' Secrets as well.
NEVER_LISTED = frozenset({"Secret"})

REPLICAS_FIELD = "spec.replicas"
_AUTOSCALER = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
# apiVersion, kind and Namespace.
Scope = tuple[str, str, str]


@dataclass(frozen=True)
class ObjectDiff:
    """The effect of bringing one object to its inputs.

    `predicted` is the object of the server's dry run, or the inputs if no dry run was possible.
    With `delete_first` a replacement deletes the old object before it creates the new one.
    `takes_over` is True if somebody else recreated the object since it was recorded, or if an
    object that is not recorded changes. `already_own` is True for an object that is not recorded,
    and exists as one of this stack.
    """

    op: Op
    fields: tuple[FieldChange, ...]
    delete_first: bool
    note: str
    predicted: dict[str, Any]
    takes_over: bool = False
    already_own: bool = False


@dataclass
class _Listing:
    """The objects of one scope. `lock` makes threads wait for a list call that is running."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    taken: float = float("-inf")
    objects: dict[str, Object] | None = None


class _NamespaceState(Enum):
    """Whether the server accepts new objects in a Namespace; the value is the note if not."""

    USABLE = ""
    MISSING = "does not exist yet"
    TERMINATING = "is being deleted"


class ObjectReader:
    """Reads and compares the objects of one cluster. Thread-safe; made for one operation.

    A preview looks at hundreds of objects, so `find_listed` lists all objects of a kind and
    Namespace in one call, and uses the list for ten seconds. Before a write, `get_live` reads the
    one object as it is now.
    """

    def __init__(
        self, client: KubeClient, *, prefetch: bool = True, rules: Iterable[KindRules] = ()
    ) -> None:
        self._client, self._prefetch = client, prefetch
        # Those of the environment; set by the engine, which knows the plan.
        self.injectors: tuple[Injector, ...] = ()
        self._rules = KindRulesTable(rules)
        self._lock = threading.Lock()
        self._listings: dict[Scope, _Listing] = {}

    @property
    def client(self) -> KubeClient:
        """The client of the cluster, for calls that concern no object of a stack."""
        return self._client

    def find_listed(self, wanted: Mapping[str, Any]) -> Object | None:
        """Returns the live object of this name, at most ten seconds old; None when there is none.

        An object that is being deleted is returned as well.
        """
        if not self._prefetch or wanted["kind"] in NEVER_LISTED:
            return self.get_live(wanted)
        listed = self._find_listing(_scope(wanted))
        if listed is None:
            return self.get_live(wanted)
        return listed.get(wanted["metadata"]["name"])

    def _find_listing(self, scope: Scope) -> dict[str, Object] | None:
        with self._lock:
            listing = self._listings.setdefault(scope, _Listing())
        with listing.lock:
            if time.monotonic() - listing.taken > FRESH_S:
                # Only threads that need the same scope wait here; `_lock` is free in the meantime.
                listing.objects = self._list(scope)
                listing.taken = time.monotonic()
            return listing.objects

    def list_kind(
        self, api_version: str, kind: str, namespace: str, *, whole: bool
    ) -> list[Object]:
        """Returns every object of a kind in a Namespace; [] for a kind that is not served.

        Not `whole` means the metadata alone. Whole objects may be ten seconds old. Raises ApiError
        where the user may not list them.
        """
        if whole and kind not in NEVER_LISTED:
            listed = self._find_listing((api_version, kind, namespace))
            if listed is not None:
                return list(listed.values())
        try:
            return self._client.list_metadata(api_version, kind, namespace)
        except KindNotServedError:
            return []

    def _list(self, scope: Scope) -> dict[str, Object] | None:
        """Returns the objects of a scope by name; None where the user may get but not list."""
        try:
            items = self._client.list_objects(*scope)
        except KindNotServedError:
            return {}
        except ApiError as exc:
            if exc.status == 403:
                return None
            raise
        return {item["metadata"]["name"]: item for item in items}

    def get_live(self, wanted: Mapping[str, Any]) -> Object | None:
        """Returns the live object of this name as it is now; None when there is none."""
        metadata = wanted["metadata"]
        namespace = metadata.get("namespace", "")
        try:
            return self._client.get(
                wanted["apiVersion"], wanted["kind"], metadata["name"], namespace
            )
        except KindNotServedError:
            return None

    def forget(self, written: Mapping[str, Any]) -> None:
        """Drops the list that an object is in. Call it when the object was written."""
        with self._lock:
            self._listings.pop(_scope(written), None)

    def find_terminating_namespace(self, wanted: Mapping[str, Any]) -> str:
        """Returns the name of the object's Namespace if that is being deleted, else ""."""
        is_going = self._find_namespace_state(wanted) is _NamespaceState.TERMINATING
        return str(wanted["metadata"]["namespace"]) if is_going else ""

    def _find_namespace_state(self, wanted: Mapping[str, Any]) -> _NamespaceState:
        name = wanted["metadata"].get("namespace", "")
        if not name:
            return _NamespaceState.USABLE
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            live = self.find_listed(namespace)
        except ApiError as exc:
            # A user who may not read Namespaces gets the server's own refusal of the write.
            if exc.status == 403:
                return _NamespaceState.USABLE
            raise
        if live is None:
            return _NamespaceState.MISSING
        return _NamespaceState.TERMINATING if is_terminating(live) else _NamespaceState.USABLE

    def is_terminating_with_namespace(self, live: Object) -> bool:
        """Returns True for an object that is being deleted, by itself or with its Namespace."""
        return is_terminating(live) or bool(self.find_terminating_namespace(live))

    def read(self, state: ObjectState, *, listed: bool = False) -> ObjectState | None:
        """Returns the state with the object as it is now; None when it is gone.

        With `listed` the object may be ten seconds old, and it needs no call of its own. An object
        that somebody else recreated counts as ours if it has the recorded labels, else as gone.
        """
        wanted = self._build_sent(state.inputs, state.id)
        live = self.find_listed(wanted) if listed else self.get_live(wanted)
        if live is None:
            return None
        manager = field_manager("", state, wanted)
        # Without its labels it may be an object of another team that only has the same name.
        if is_foreign(live, state, manager) and not has_recorded_labels(live, state):
            return None
        return with_live(state, live)

    def find_replacement(self, state: ObjectState, *, listed: bool = False) -> Object | None:
        """Returns the object of others that has the name of a recorded one, for which `read` is
        None; None if there is none, or if it is being deleted."""
        wanted = self._build_sent(state.inputs, state.id)
        live = self.find_listed(wanted) if listed else self.get_live(wanted)
        return None if live is None or is_terminating(live) else live

    def find_own(self, urn: str, inputs: Object) -> ObjectState | None:
        """Returns the object that an interrupted `create` has created; None if there is none.

        An object that is being deleted counts as gone. Raises AlreadyExistsError for an object that
        this stack does not manage.
        """
        wanted = self._build_sent(inputs, urn)
        live = self.get_live(wanted)
        if live is None or is_terminating(live):
            return None
        manager = find_own_manager(live, wanted, field_manager(urn, None, wanted))
        return build_state(live, wanted, manager)

    def _build_sent(self, inputs: Mapping[str, Any], where: str) -> Object:
        """Builds the object that create, update and diff send, from a resource's inputs.

        The inputs are not changed. The state records this object, in the same form as the CLI.
        `where` names the resource in errors. Raises EngineError for inputs without apiVersion, kind
        or name.
        """
        obj: Object = without_internal(inputs)
        for key in ("apiVersion", "kind"):
            if not obj.get(key):
                raise EngineError(f"{where}: its inputs have no {key}; every object needs one")
        obj["metadata"] = metadata = dict(obj.get("metadata") or {})
        if not metadata.get("name"):
            raise EngineError(
                f"{where}: {obj['kind']} has no metadata.name; the embedded engine generates no "
                "names, so give it one"
            )
        if self._is_namespaced(obj):
            metadata["namespace"] = metadata.get("namespace") or DEFAULT_NAMESPACE
        else:
            metadata.pop("namespace", None)
        is_secret = obj["kind"] == "Secret" and obj["apiVersion"] == "v1"
        return encode_string_data(obj) if is_secret else obj

    def _is_namespaced(self, obj: Object) -> bool:
        try:
            return self._client.served_kind(obj["apiVersion"], obj["kind"]).namespaced
        except KindNotServedError:
            return bool(obj["metadata"].get("namespace"))

    def _build_wanted(
        self, urn: str, old: ObjectState, inputs: Object, ignore_changes: Sequence[str]
    ) -> Object:
        """Builds the object to send, with the old inputs' values at the ignored paths."""
        wanted = self._build_sent(inputs, urn)
        return with_ignored(wanted, old.inputs, ignore_changes) if ignore_changes else wanted

    def is_switched_off(self, live: Object, ignore_changes: Sequence[str]) -> bool:
        """Returns True for a Deployment with 0 replicas although an autoscaler scales it.

        An autoscaler leaves an object with 0 replicas alone, so nobody would ever put them back.
        Our autoscaler has the name of the Deployment. An autoscaler of others has another name, and
        may scale to 0 on purpose.
        """
        if REPLICAS_FIELD not in ignore_changes or live["spec"].get("replicas") != 0:
            return False
        names = {key: live["metadata"].get(key) for key in ("name", "namespace")}
        autoscaler = self.find_listed({**_AUTOSCALER, "metadata": names})
        target = (autoscaler or {}).get("spec", {}).get("scaleTargetRef", {})
        return (target.get("kind"), target.get("name")) == (live["kind"], names["name"])

    def diff(
        self, urn: str, old: ObjectState | None, inputs: Object, ignore_changes: Sequence[str]
    ) -> ObjectDiff:
        """Returns the effect that `create` or `update` would have.

        The first line that fits decides:

            nothing is recorded, and nothing is there  create
            not recorded, and it is as wanted          create, which only records it
            not recorded, and a field differs          update, which takes it over
            another kind, Namespace or name            replace: create the new one first
            it is not in the cluster                   create
            it, or its Namespace, is being deleted     create, once it is gone
            same inputs, and nobody wrote it since     same, without a dry run
            a field that cannot change in place        replace: delete the old one first
            a field differs in a dry run               update
            somebody else recreated it                 update, even if every field is the same
            it differs from what is recorded           update, which only records it
            otherwise                                  same

        Raises AlreadyExistsError for an object that this stack does not manage.
        """
        if old is None:
            wanted = self._build_sent(inputs, urn)
            return self._diff_new(wanted, field_manager(urn, None, wanted), ignore_changes)
        wanted = self._build_wanted(urn, old, inputs, ignore_changes)
        before = self._build_sent(old.inputs, urn)
        if is_other_object(before, wanted):
            created = self._diff_new(wanted, field_manager(urn, None, wanted), ())
            # The old object is not looked at: it is deleted at the end of `up`, whatever its fields
            # are. The CLI does not record fields that are 0 or false, so they are no difference.
            fields = compare_objects(before, wanted)
            shown = tuple(field for field in fields if field.old or field.new)
            return replace(created, op=Op.REPLACE, fields=shown)
        manager = field_manager(urn, old, wanted)
        live = self.find_listed(wanted)
        if live is None:
            return self._dry_create(wanted, manager, "was deleted from the cluster")
        if self.is_terminating_with_namespace(live):
            return self._create_again(wanted)
        if self.is_switched_off(live, ignore_changes):
            ignore_changes = without_replicas(ignore_changes)
            wanted = self._build_wanted(urn, old, inputs, ignore_changes)
        recreated = is_recreated(live, old, manager)
        recorded = without_internal(old.outputs)
        # The CLI records no `minReadySeconds: 0`.
        if is_same_but_zeros(before, wanted) and is_untouched(live, recorded, wanted, manager):
            return ObjectDiff(Op.SAME, (), False, "", live)
        diff = self._diff_live(live, before, wanted, manager, ignore_changes)
        if recreated:
            # An update even if every field is the same: `up` records the new object.
            op = Op.UPDATE if diff.op is Op.SAME else diff.op
            note = f"{describe_recreation(live)}: taken over"
            note = f"{note}; {diff.note}" if diff.note else note
            return replace(diff, op=op, note=note, takes_over=True)
        if diff.op is Op.SAME:
            changed = _find_unrecorded(recorded, live, (before, wanted), manager, ignore_changes)
            return _record(diff, changed) if changed else diff
        return diff

    def _diff_new(self, wanted: Object, manager: str, ignore_changes: Sequence[str]) -> ObjectDiff:
        live = self.find_listed(wanted)
        if live is None:
            return self._dry_create(wanted, manager, "")
        if self.is_terminating_with_namespace(live):
            return self._create_again(wanted)
        # It was kept when its model left the plan, a run was interrupted before it could record the
        # object, the state was lost, or another clone has the state.
        note = "already exists and is managed by this stack: taken over"
        manager = find_own_manager(live, wanted, manager)
        patch = self._build_own_adoption(live, wanted, manager, ignore_changes)
        try:
            predicted = predict(self._client, live, patch)
        except ApiError as exc:
            # What is not recorded is not replaced either.
            if exc.immutable_fields:
                raise
            refused = _diff_refused(live, patch, exc)
            note = f"{note}; {refused.note}"
            return replace(refused, note=note, takes_over=True, already_own=True)
        fields = compare_objects(live, predicted, written=live, manager=manager)
        op = Op.UPDATE if fields else Op.CREATE
        return ObjectDiff(
            op, fields, False, note, predicted, takes_over=bool(fields), already_own=True
        )

    def diff_adopted(
        self, urn: str, inputs: Object, ignore_changes: Sequence[str], *, forced: bool
    ) -> ObjectDiff:
        """Returns the effect that `adopt` would have on an object that others created.

        Raises CannotAdoptError if the object would have to be replaced, and ManagedByToolError if
        another tool manages it, unless `forced`.
        """
        plain = self._build_sent(inputs, urn)
        manager, live = field_manager(urn, None, plain), self.get_live(plain)
        if live is None:
            return self._dry_create(plain, manager, "")
        tools = find_tools(live, manager)
        if tools and not forced:
            raise ManagedByToolError(live, tools)
        wanted, patch = self._build_adoption(live, plain, manager, ignore_changes)
        try:
            predicted = predict(self._client, live, patch)
        except ApiError as exc:
            if not exc.immutable_fields:
                raise
            shown = compare_objects(pruned(live, wanted), wanted)
            named = [f for f in shown if f.path.startswith(exc.immutable_fields)]
            raise CannotAdoptError(live, describe_fields(named, exc.immutable_fields)) from exc
        fields = compare_objects(live, predicted, written=live, manager=manager)
        replaced = self._rules.find_replacing(wanted, named_changes(fields, live, wanted, wanted))
        if replaced:
            raise CannotAdoptError(live, describe_fields(replaced, ()))
        note = f"is managed by {describe_writers(live)}: taken over"
        if live["kind"] == "Namespace":
            note += "; `destroy` will delete it with everything in it"
        for tool in tools:
            note += f"; {tool.name} still manages it: {tool.effect}"
        return ObjectDiff(Op.UPDATE, fields, False, note, predicted, takes_over=True)

    def _build_adoption(
        self, live: Object, plain: Object, manager: str, ignore_changes: Sequence[str]
    ) -> tuple[Object, Patch]:
        """Returns the object to send, with its ignored fields as they are, and the patch."""
        if self.is_switched_off(live, ignore_changes):
            ignore_changes = without_replicas(ignore_changes)
        wanted = with_ignored(plain, live, ignore_changes) if ignore_changes else plain
        # All fields of the earlier writers are removed unless they are wanted, as if they had been
        # in our own inputs before.
        return wanted, build_patch(live, live, wanted, manager, ignore_changes, self.injectors)

    def _build_own_adoption(
        self, live: Object, plain: Object, manager: str, ignore_changes: Sequence[str]
    ) -> Patch:
        """Returns the patch for an object of this stack that is not recorded."""
        if live["kind"] != "PersistentVolumeClaim":
            return self._build_adoption(live, plain, manager, ignore_changes)[1]
        # The server chose the class of a claim, its creator owns the field, and it can never be
        # removed. So a claim that was kept gets what is wanted, and loses nothing.
        kept = frozenset(path for entry in entries(live) for path in field_paths(entry))
        return Patch(manager, plain, frozenset(), kept)

    def _create_again(self, wanted: Object) -> ObjectDiff:
        """Returns the diff of an object that is being deleted, and then created again.

        Without a dry run: while the old object exists, an apply would update it.
        """
        namespace = self.find_terminating_namespace(wanted)
        going = f"Namespace {namespace} is being deleted" if namespace else "is being deleted"
        return ObjectDiff(Op.CREATE, (), False, f"{going}: recreated once it is gone", wanted)

    def _dry_create(self, wanted: Object, manager: str, note: str) -> ObjectDiff:
        state = self._find_namespace_state(wanted)
        if state is _NamespaceState.USABLE:
            try:
                # Not forced: if somebody creates it in the meantime, nothing is taken over.
                predicted = self._client.apply(wanted, manager=manager, force=False, dry_run=True)
                return ObjectDiff(Op.CREATE, (), False, note, predicted)
            except KindNotServedError:
                # The CustomResourceDefinition may be among the objects that `up` creates first.
                kind = f"{wanted['apiVersion']} {wanted['kind']}"
                reason = f"it does not serve {kind} yet"
            except ApiError as exc:
                # The list of Namespaces may be ten seconds old, or be forbidden.
                if exc.missing_namespace:
                    state = _NamespaceState.MISSING
                elif exc.namespace_terminating:
                    state = _NamespaceState.TERMINATING
                else:
                    raise
        # Without a Namespace, the server refuses every dry run before it validates the object.
        if state is not _NamespaceState.USABLE:
            reason = f"Namespace {wanted['metadata']['namespace']} {state.value}"
        unchecked = f"not validated by the server: {reason}"
        note = f"{note}; {unchecked}" if note else unchecked
        return ObjectDiff(Op.CREATE, (), False, note, wanted)

    def _diff_live(
        self,
        live: Object,
        before: Object,
        wanted: Object,
        manager: str,
        ignore_changes: Sequence[str],
    ) -> ObjectDiff:
        # The same patch that `update` applies, so that a preview cannot promise anything else.
        patch = build_patch(live, before, wanted, manager, ignore_changes, self.injectors)
        try:
            predicted = predict(self._client, live, patch)
        except ApiError as exc:
            return _diff_refused(live, patch, exc)
        fields = compare_objects(live, predicted, written=live, manager=manager)
        if not fields:
            return ObjectDiff(Op.SAME, (), False, "", predicted)
        named = named_changes(fields, live, before, wanted)
        if self._rules.replaces(wanted, named):
            return ObjectDiff(Op.REPLACE, fields, True, "", predicted)
        return ObjectDiff(Op.UPDATE, fields, False, "", predicted)


def without_replicas(ignore_changes: Sequence[str]) -> tuple[str, ...]:
    """Returns the ignored paths without that of `replicas`."""
    return tuple(path for path in ignore_changes if path != REPLICAS_FIELD)


def _scope(obj: Mapping[str, Any]) -> Scope:
    return (obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""))


def _find_unrecorded(
    recorded: Object,
    live: Object,
    shapes: Iterable[Object],
    manager: str,
    ignore_changes: Sequence[str],
) -> tuple[FieldChange, ...]:
    """Finds changes since the object was recorded, in fields that the inputs set, now or before.

    For example, somebody ran `kubectl set image` with the image that is in the inputs now. `up` has
    nothing to change in the cluster, but `drift` would report the field until it is recorded.
    """
    for shape in shapes:
        # `drop_at` changes it in place, and the caller still needs both shapes.
        shape = deepcopy(shape)
        for text in ignore_changes:
            for steps in expand_path((live, shape), parse_path(text)):
                drop_at(shape, steps)
        # A list item that the inputs do not have is no work of `up`: an injector may keep it.
        before, now = (pruned(obj, shape, extra_items=False) for obj in (recorded, live))
        fields = compare_objects(before, now, written=live, manager=manager)
        if fields:
            return fields
    return ()


def _record(diff: ObjectDiff, fields: Iterable[FieldChange]) -> ObjectDiff:
    """Returns the diff that only records an object, since somebody else made the change already."""
    managers = sorted({field.manager for field in fields if field.manager})
    by = f", by {', '.join(managers)}" if managers else ""
    return replace(diff, op=Op.UPDATE, note=f"is already as wanted{by}: recorded")


def _diff_refused(live: Object, patch: Patch, refusal: ApiError) -> ObjectDiff:
    """Returns the diff when the server refuses the patch in a dry run.

    An immutable field means a replacement. If the patch removes fields that are not owned yet, the
    refusal may come from these fields alone; `update` takes them over first, so it is not an error
    here. Any other refusal is raised again.
    """
    immutable = refusal.immutable_fields
    if not immutable and not patch.unowned:
        raise refusal
    fields = compare_objects(pruned(live, patch.sent), patch.sent)
    if immutable:
        # Nothing that the inputs set differs if somebody only added to an immutable object.
        fields = fields or compare_objects(
            live, without(live, patch.unowned), written=live, manager=patch.manager
        )
        note = f"cannot change in place: {', '.join(immutable)}"
        return ObjectDiff(Op.REPLACE, fields, True, note, patch.sent)
    note = "not validated by the server: it still counts fields that kubectl wrote"
    return ObjectDiff(Op.UPDATE, fields, False, note, patch.sent)
