"""Predicts what an update would do to an object, by a dry run on the server; writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from framework.core.changes import FieldChange, Op
from framework.core.drift_rules import Injector
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
from framework.kube.lost_owners import with_owners
from framework.kube.object_diff import compare_objects, pruned
from framework.kube.objects import (
    Object,
    ObjectState,
    field_manager,
    without_internal,
)
from framework.kube.owned_paths import without
from framework.kube.ownership import (
    check_recreated,
    describe_recreation,
    find_own_manager,
    is_same_but_zeros,
    is_untouched,
)
from framework.kube.patching import Patch, build_patch, predict
from framework.kube.property_path import with_ignored, without_ignored
from framework.kube.reading import REPLICAS_FIELD, NamespaceState, ObjectReader
from framework.kube.replacement import KindRulesTable, is_other_object, named_changes


@dataclass(frozen=True)
class ObjectDiff:
    """The effect of bringing one object to its inputs.

    `predicted` is the object of the server's dry run, or the inputs if no dry run was possible.
    `live` is the object that was compared, {} for none.
    With `delete_first` a replacement deletes the old object before it creates the new one.
    `takes_over` is True if somebody else recreated the object since it was recorded, or if an
    object that is not recorded changes. `already_own` is True for an object that is not recorded,
    and exists as one of this stack.
    """

    op: Op
    predicted: dict[str, Any]
    fields: tuple[FieldChange, ...] = ()
    delete_first: bool = False
    note: str = ""
    takes_over: bool = False
    already_own: bool = False
    live: Object = field(default_factory=dict, repr=False)


class ObjectPredictor(ObjectReader):
    """Compares the objects of one cluster with their inputs. Thread-safe, for one operation."""

    def __init__(self, client: KubeClient, *, rules: Iterable[KindRules] = ()) -> None:
        """`rules` are those of the kinds that the caller's programs register."""
        super().__init__(client)
        # The injectors of the environment. The engine sets them, since only it has the plan.
        self.injectors: tuple[Injector, ...] = ()
        self._rules = KindRulesTable(rules)

    def _build_wanted(
        self, urn: str, old: ObjectState, inputs: Object, ignore_changes: Sequence[str]
    ) -> Object:
        """Builds the object to send, with the old inputs' values at the ignored paths."""
        wanted = self._build_sent(inputs, urn)
        return with_ignored(wanted, old.inputs, ignore_changes) if ignore_changes else wanted

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
        before = self._build_recorded(old)
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
        recreated = check_recreated(live, old, manager)
        recorded = without_internal(old.outputs)
        # The CLI does not record zeros such as `minReadySeconds: 0`.
        if is_same_but_zeros(before, wanted) and is_untouched(live, recorded, wanted, manager):
            return ObjectDiff(Op.SAME, live, live=live)
        # The same patch that `update` applies, so that a preview cannot promise anything else.
        owned, patch = self._build_update(old, live, wanted, manager, ignore_changes)
        diff = replace(self._diff_live(live, owned, before, patch, wanted), live=live)
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
        patch = self._build_adoption(live, wanted, manager, ignore_changes)[1]
        try:
            predicted = predict(self._client, live, patch)
        except ApiError as exc:
            # An object that is not recorded is never replaced.
            if exc.immutable_fields:
                raise
            refused = _diff_refused(live, patch, exc)
            note = f"{note}; {refused.note}"
            return replace(refused, note=note, takes_over=True, already_own=True, live=live)
        fields = compare_objects(live, predicted, written=live, manager=manager)
        op = Op.UPDATE if fields else Op.CREATE
        return ObjectDiff(
            op,
            predicted,
            fields,
            note=note,
            takes_over=bool(fields),
            already_own=True,
            live=live,
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
            # What the manifest does not set would be removed, and that may be what is refused.
            shown += compare_objects(live, without(live, patch.unowned))
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
        return ObjectDiff(Op.UPDATE, predicted, fields, note=note, takes_over=True, live=live)

    def _build_update(
        self,
        old: ObjectState,
        live: Object,
        wanted: Object,
        manager: str,
        ignore_changes: Sequence[str],
    ) -> tuple[Object, Patch]:
        """Returns the live object, with an owner for its fields, and the patch of an update."""
        before = self._build_recorded(old)
        owned = with_owners(live, before, without_internal(old.outputs))
        patch = build_patch(owned, before, wanted, manager, ignore_changes, self.injectors)
        return owned, patch

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

    def _create_again(self, wanted: Object) -> ObjectDiff:
        """Returns the diff of an object that is being deleted, and then created again.

        Without a dry run: while the old object exists, an apply would update it.
        """
        namespace = self.find_terminating_namespace(wanted)
        going = f"Namespace {namespace} is being deleted" if namespace else "is being deleted"
        return ObjectDiff(Op.CREATE, wanted, note=f"{going}: recreated once it is gone")

    def _dry_create(self, wanted: Object, manager: str, note: str) -> ObjectDiff:
        state = self.find_namespace_state(wanted)
        if state is NamespaceState.USABLE:
            try:
                # Not forced: if somebody creates it in the meantime, nothing is taken over.
                predicted = self._client.apply(wanted, manager=manager, force=False, dry_run=True)
                return ObjectDiff(Op.CREATE, predicted, note=note)
            except KindNotServedError:
                # The CustomResourceDefinition may be among the objects that `up` creates first.
                kind = f"{wanted['apiVersion']} {wanted['kind']}"
                reason = f"it does not serve {kind} yet"
            except ApiError as exc:
                # The list of Namespaces may be ten seconds old, or be forbidden.
                if exc.missing_namespace:
                    state = NamespaceState.MISSING
                elif exc.namespace_terminating:
                    state = NamespaceState.TERMINATING
                else:
                    raise
        # Without a Namespace, the server refuses every dry run before it validates the object.
        if state is not NamespaceState.USABLE:
            reason = f"Namespace {wanted['metadata']['namespace']} {state.value}"
        unchecked = f"not validated by the server: {reason}"
        note = f"{note}; {unchecked}" if note else unchecked
        return ObjectDiff(Op.CREATE, wanted, note=note)

    def _diff_live(
        self, live: Object, owned: Object, before: Object, patch: Patch, wanted: Object
    ) -> ObjectDiff:
        try:
            predicted = predict(self._client, owned, patch)
        except ApiError as exc:
            return _diff_refused(live, patch, exc)
        fields = (
            *compare_objects(live, predicted, written=live, manager=patch.manager),
            *self._rules.find_kept(before, wanted, predicted),
        )
        if not fields:
            return ObjectDiff(Op.SAME, predicted)
        named = named_changes(fields, live, before, wanted)
        if self._rules.find_replacing(wanted, named):
            return ObjectDiff(Op.REPLACE, predicted, fields, delete_first=True)
        return ObjectDiff(Op.UPDATE, predicted, fields)


def without_replicas(ignore_changes: Sequence[str]) -> tuple[str, ...]:
    """Returns the ignored paths without that of `replicas`."""
    return tuple(path for path in ignore_changes if path != REPLICAS_FIELD)


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
        shape = without_ignored(shape, live, ignore_changes)
        # `up` does not remove a list item that the inputs do not have: an injector may keep it.
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
        return ObjectDiff(Op.REPLACE, patch.sent, fields, delete_first=True, note=note)
    note = "not validated by the server: `up` first takes over fields that another manager wrote"
    return ObjectDiff(Op.UPDATE, patch.sent, fields, note=note)
