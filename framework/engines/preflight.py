"""Checks before the first write what the objects of a change list need, all in one report.

References to other objects, the server's version, permissions and quotas. Nothing is read for
objects that do not change. An object that this user is not allowed to read is a note, never a
missing object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from framework.core.changes import Change, Op, Preview, Problem, Severity
from framework.core.rolling_update import resolve_budget
from framework.core.suggestions import did_you_mean, list_names
from framework.engines.clusters import CALLS_AT_ONCE
from framework.engines.recorded import STAYING_NOTES
from framework.kube.api_error import ApiError
from framework.kube.client import KindNotServedError, KubeClient
from framework.kube.objects import group_of, object_name
from framework.kube.permissions import Permission, cannot_be_asked, find_denied
from framework.kube.reading import ObjectReader
from framework.plan import Manifest, StackPlan, TrackPlan
from framework.plan.quotas import (
    Rollout,
    add_defaults,
    find_missing_amounts,
    find_quota_problems,
)
from framework.plan.references import (
    Reference,
    list_default_classes,
    list_provided,
    list_references,
)

_CHANGES = frozenset({Op.CREATE, Op.UPDATE, Op.REPLACE})
_VERBS = {
    Op.CREATE: ("create", "get", "patch"),
    Op.UPDATE: ("get", "patch"),
    Op.REPLACE: ("create", "delete", "get", "patch"),
    Op.DELETE: ("delete", "get"),
}
# Kinds that only a kubelet reads: a simulated node starts Pods without them.
_OF_KUBELET = frozenset({"Secret", "ConfigMap"})
# https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# The API server's own words for a call that RBAC does not allow.
_NOT_ALLOWED = "is forbidden: User "


@dataclass(frozen=True, eq=False)
class _Planned:
    """A manifest with its model and its change."""

    component: str
    manifest: Manifest
    change: Change

    @property
    def object(self) -> str:
        """The object as problems name it: `Deployment ml-dev/churn`."""
        return f"{self.manifest.kind} {self.manifest.id}"


def add_preflight(
    preview: Preview,
    plan: StackPlan,
    reader: ObjectReader,
    components: Collection[str] | None = None,
) -> Preview:
    """Returns the preview with the problems of what its changes need. ClusterError.

    `plan` has the manifests that the command works on, at least. `components` are the models that
    it works on, None for all.
    """
    if preview.clean:
        return preview
    preflight = _Preflight(preview, plan, reader, components)
    problems = [*preflight.find_problems()]
    refusals = preview.problems
    if preflight.lacks_permission:
        # The permission that is missing is named once, not for every object that needs it.
        refusals = tuple(p for p in refusals if _NOT_ALLOWED not in p.message)
    return replace(preview, problems=tuple(sorted({*refusals, *problems})))


class _Preflight:
    """The checks of one change list. `lacks_permission` is True if one call is not allowed."""

    def __init__(
        self,
        preview: Preview,
        plan: StackPlan,
        reader: ObjectReader,
        components: Collection[str] | None,
    ) -> None:
        self._plan, self._reader, self._preview = plan, reader, preview
        self._client = reader.client
        self.lacks_permission = False
        changes = {(c.component, c.type, c.name): c for c in preview.changes}
        self._planned = [
            _Planned(component, manifest, change)
            for component, manifest in plan.list_manifests()
            if (change := changes.get((component, manifest.type_token, manifest.logical_name)))
            # With MODEL= an unchanged object of another model was not compared. The cluster may
            # have it in another form, or not at all, so it provides nothing here.
            and (change.op is not Op.SAME or components is None or component in components)
        ]
        self._changed = [item for item in self._planned if item.change.op in _CHANGES]
        # Objects of a Namespace that `up` creates cannot exist yet.
        self._new_namespaces = {
            item.manifest.name
            for item in self._changed
            if item.manifest.kind == "Namespace"
            and item.change.op is Op.CREATE
            and self._reader.find_listed(item.manifest.object) is None
        }

    def find_problems(self) -> Iterator[Problem]:
        """Yields every problem."""
        yield from self._check_version()
        yield from self._check_references()
        yield from self._check_default_class()
        yield from self._check_permissions()
        yield from self._check_quotas()

    def _check_version(self) -> Iterator[Problem]:
        oldest = self._plan.cluster.oldest_version
        found = self._client.server_version()
        if oldest and found < tuple(map(int, oldest.split("."))):
            version = ".".join(map(str, found))
            yield Problem(
                "",
                "",
                f"the server runs Kubernetes {version}, and cluster.kubernetesVersion is {oldest}: "
                "features that the server does not have pass the checks",
                setting="cluster.kubernetesVersion",
                next_step=f'set it to "{version}", or upgrade the server',
            )

    # References

    def _check_references(self) -> Iterator[Problem]:
        provided = {key for item in self._planned for key in list_provided(item.manifest)}
        needed: dict[Reference, list[tuple[_Planned, str]]] = {}
        for item in self._changed:
            for reference in list_references(item.manifest):
                if (reference.kind, reference.namespace, reference.name) not in provided:
                    # The field differs from object to object, and is kept with the reference.
                    same = replace(reference, field="")
                    needed.setdefault(same, []).append((item, reference.field))
        if not needed:
            return
        lookup = _Lookup(self._client, needed, self._list_deleted(), self._new_namespaces)
        for reference, uses in needed.items():
            missing = lookup.describe_missing(reference)
            if missing:
                yield from self._build_missing(reference, uses, missing)
        yield from lookup.build_notes()

    def _list_deleted(self) -> set[tuple[str, str]]:
        """Returns kind and name of each object that the command deletes from the cluster."""
        return {
            (change.kind, change.object)
            for change in self._preview.changes
            if change.op is Op.DELETE and change.note not in STAYING_NOTES
        }

    def _build_missing(
        self, reference: Reference, uses: Iterable[tuple[_Planned, str]], missing: str
    ) -> Iterator[Problem]:
        severity, effect, more = reference.severity, reference.effect, ""
        if severity is Severity.ERROR and reference.namespace in self._new_namespaces:
            severity = Severity.WARNING
            more = f"create it once `up` has created Namespace {reference.namespace}; Pods wait"
        elif self._plan.cluster.local and reference.kind in _OF_KUBELET:
            severity = Severity.WARNING if severity is Severity.ERROR else severity
            effect = f"{effect}, except on these simulated nodes"
        fields: dict[_Planned, list[str]] = {}
        for item, field in uses:
            fields.setdefault(item, []).append(field)
        for item, paths in fields.items():
            yield Problem(
                item.component,
                item.object,
                f"{missing}: {effect}",
                severity,
                tuple(paths),
                next_step=more or _advise(reference),
            )

    def _check_default_class(self) -> Iterator[Problem]:
        """Yields a warning for each new claim that needs a default StorageClass, if there is none.

        An existing claim is bound already, or its Pods were waiting before.
        """
        fields = {
            item: found
            for item in self._changed
            if (found := list_default_classes(item.manifest))
            and not (
                item.manifest.kind == "PersistentVolumeClaim"
                and self._reader.find_listed(item.manifest.object)
            )
        }
        if not fields:
            return
        try:
            classes = self._list_after("StorageClass", "", "storage.k8s.io/v1")
        except ApiError as exc:
            if exc.status != 403:
                raise
            yield Problem("", "", f"the default StorageClass is not known: {exc}", Severity.NOTE)
            return
        annotations = [live["metadata"].get("annotations") or {} for live in classes]
        if any(found.get(_DEFAULT_CLASS) == "true" for found in annotations):
            return
        for item, paths in fields.items():
            yield Problem(
                item.component,
                item.object,
                "the claim names no StorageClass, and the cluster has no default one: its Pods "
                "wait until there is a PersistentVolume without a class that fits",
                Severity.WARNING,
                tuple(paths),
                next_step="name a StorageClass, or create such a PersistentVolume",
            )

    # Permissions

    def _check_permissions(self) -> Iterator[Problem]:
        needed: dict[Permission, set[str]] = {}
        for change in self._preview.changes:
            is_written = change.op in _VERBS and change.note not in STAYING_NOTES
            if not is_written or not change.type.startswith("kubernetes:"):
                continue
            for permission in self._list_permissions(change):
                needed.setdefault(permission, set()).add(change.component or change.name)
        try:
            denied = find_denied(self._client, needed)
        except ApiError as exc:
            if not cannot_be_asked(exc):
                raise
            yield Problem("", "", f"permissions were not checked: {exc}", Severity.NOTE)
            return
        # One problem for all names and models: the Role that is missing is the same one.
        models: dict[str, set[str]] = {}
        for permission in denied:
            models.setdefault(str(permission), set()).update(needed[permission])
        for text, names in sorted(models.items()):
            self.lacks_permission = True
            yield Problem(
                next(iter(names)) if len(names) == 1 else "",
                "",
                f"this user is not allowed to {text}; needed by {list_names(sorted(names))}",
                next_step="ask for a Role or ClusterRole with this verb, and a binding to it",
            )

    def _list_permissions(self, change: Change) -> Iterator[Permission]:
        _, group_version, kind = change.type.split(":")
        group_version = group_version.removeprefix("core/")
        try:
            served = self._client.served_kind(group_version, kind)
        except KindNotServedError:
            return
        group = group_of(group_version)
        namespace, _, name = change.object.rpartition("/")
        for verb in _VERBS[change.op]:
            # A new object is not known by its name yet.
            known = "" if verb == "create" else name
            yield Permission(verb, group, served.plural, namespace, known)

    # Quotas

    def _check_quotas(self) -> Iterator[Problem]:
        rollouts: dict[str, list[Rollout]] = {}
        tracks = {track.deployment: track for m in self._plan.models for track in m.tracks}
        for item in self._changed:
            namespace = str(item.manifest.object["metadata"].get("namespace") or "")
            if not namespace or namespace in self._new_namespaces:
                continue
            found = rollouts.setdefault(namespace, [])
            track = tracks.get(item.manifest.name)
            if item.manifest.kind == "Deployment" and track is not None:
                found.append(self._build_rollout(item, track))
        for namespace in sorted(rollouts):
            try:
                quotas = self._list_after("ResourceQuota", namespace)
            except ApiError as exc:
                if exc.status != 403:
                    raise
                yield Problem("", "", f"quotas were not checked: {exc}", Severity.NOTE)
                continue
            if quotas:
                yield from self._compare_with_quotas(namespace, quotas, rollouts[namespace])

    def _compare_with_quotas(
        self, namespace: str, quotas: list[Any], rollouts: list[Rollout]
    ) -> Iterator[Problem]:
        """Yields the problems of one Namespace, for Pods with the amounts of its LimitRanges."""
        created = self._count_created(namespace)
        try:
            ranges = self._list_after("LimitRange", namespace)
        except ApiError as exc:
            if exc.status != 403:
                raise
            # An amount that a container lacks may come from a LimitRange that cannot be read.
            yield Problem(
                "", "", f"the defaults of a LimitRange are not known: {exc}", Severity.NOTE
            )
            yield from find_quota_problems(quotas, rollouts, created)
            return
        filled = [
            replace(
                rollout,
                pod=add_defaults(rollout.pod, ranges),
                before=rollout.before and add_defaults(rollout.before, ranges),
            )
            for rollout in rollouts
        ]
        yield from find_missing_amounts(quotas, filled)
        yield from find_quota_problems(quotas, filled, created)

    def _list_after(self, kind: str, namespace: str, api_version: str = "v1") -> list[Any]:
        """Returns the objects of a kind in a Namespace as they are after the command.

        `objects:` may have a quota, or the LimitRange that a quota needs: what the server has now
        would then refuse the very command that changes it. ApiError.
        """
        deleted = self._list_deleted()
        after = {
            live["metadata"]["name"]: live
            for live in self._client.list_objects(api_version, kind, namespace)
            if (kind, object_name(live["metadata"])) not in deleted
        }
        for item in self._planned:
            obj = item.manifest.object
            identity = obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace") or ""
            if identity == (api_version, kind, namespace):
                # The status of a quota, which no manifest has, is what is used of it.
                after[item.manifest.name] = {**after.get(item.manifest.name, {}), **obj}
        return [*after.values()]

    def _build_rollout(self, item: _Planned, track: TrackPlan) -> Rollout:
        live = self._reader.find_listed(item.manifest.object)
        spec = (live or {}).get("spec") or {}
        is_new = live is None or item.change.op is not Op.UPDATE
        fields = item.change.fields
        budget = track.budget
        if track.autoscaled:
            # That budget is the one of the most replicas. A new Deployment begins with the fewest,
            # and later the rollout has as many Pods as the autoscaler has set.
            inputs = item.manifest.build_inputs()["spec"]
            amounts = (inputs.get("strategy") or {}).get("rollingUpdate") or {}
            budget = resolve_budget(
                int(spec.get("replicas") or inputs.get("replicas") or 1),
                amounts.get("maxSurge", 0),
                amounts.get("maxUnavailable", 0),
                recreate=track.recreate,
            )
        return Rollout(
            component=item.component,
            object=item.object,
            pod=item.manifest.object["spec"]["template"]["spec"],
            replicas=budget.replicas,
            surge=budget.surge,
            unavailable=budget.unavailable,
            before=((spec.get("template") or {}).get("spec")) if live is not None else None,
            running=int((live or {}).get("status", {}).get("replicas") or 0),
            rolls=is_new or any(field.path.startswith("spec.template") for field in fields),
        )

    def _count_created(self, namespace: str) -> Mapping[str, int]:
        """Counts new objects by their names in a quota: `services` and `count/services`.

        An object that exists and is only recorded again, such as a kept claim, is not new.
        """
        counts: dict[str, int] = {}
        for item in self._changed:
            obj = item.manifest.object
            if item.change.op is not Op.CREATE or obj["metadata"].get("namespace") != namespace:
                continue
            try:
                served = self._client.served_kind(obj["apiVersion"], obj["kind"])
            except KindNotServedError:
                continue
            if self._reader.find_listed(obj) is not None:
                continue
            group = group_of(str(obj["apiVersion"]))
            name = f"{served.plural}.{group}" if group else served.plural
            names = [f"count/{name}"] + ([] if group else [name])
            for counted in names:
                counts[counted] = counts.get(counted, 0) + 1
        return counts


def _advise(reference: Reference) -> str:
    source = "`optional: true` lets Pods start without it"
    if reference.key:
        return f"add the key, or {source}"
    if reference.kind in _OF_KUBELET and reference.effect == "its Pods do not start":
        return f"create it, or {source}"
    return "create it, or name another one"


class _Lookup:
    """Looks references up: one list of names per kind and Namespace, one object for its keys.

    `deleted` are the objects that the command deletes, `new` the Namespaces that it creates.
    """

    def __init__(
        self,
        client: KubeClient,
        references: Iterable[Reference],
        deleted: Collection[tuple[str, str]],
        new: Collection[str],
    ) -> None:
        self._client, self._deleted, self._new = client, deleted, new
        # Kind, Namespace and name of the objects that this user may not read.
        self._unread: set[tuple[str, str, str]] = set()
        wanted = [reference for reference in references if reference.namespace not in new]
        scopes = {(r.api_version, r.kind, r.namespace) for r in wanted}
        keyed = {(r.kind, r.namespace, r.name) for r in wanted if r.key}
        with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="preflight") as pool:
            names = pool.map(lambda scope: self._read(client.list_names, *scope), sorted(scopes))
            self._names = dict(zip(sorted(scopes), names, strict=True))
            keys = pool.map(lambda key: self._read(self._list_keys, *key), sorted(keyed))
            self._keys = dict(zip(sorted(keyed), keys, strict=True))
        self._unread |= {key for key, found in self._keys.items() if found is None}
        for api_version, kind, namespace in sorted(scopes):
            if self._names[api_version, kind, namespace] is None:
                self._ask_each([r for r in wanted if (r.kind, r.namespace) == (kind, namespace)])

    def _ask_each(self, references: Sequence[Reference]) -> None:
        """Reads objects one by one, where this user may not list them."""
        scope = references[0].api_version, references[0].kind, references[0].namespace
        found = set()
        for reference in sorted({replace(reference, key="") for reference in references}, key=str):
            get = partial(self._client.get, reference.api_version, reference.kind, reference.name)
            exists = self._read(lambda get=get, r=reference: get(r.namespace) is not None)
            if exists is None:
                self._unread.add((reference.kind, reference.namespace, reference.name))
            if exists is not False:
                found.add(reference.name)
        self._names[scope] = frozenset(found)

    @staticmethod
    def _read(call: Callable[..., Any], *arguments: str) -> Any:
        """Returns the answer of a call, None if the user may not make it."""
        try:
            return call(*arguments)
        except KindNotServedError:
            return frozenset()
        except ApiError as exc:
            if exc.status != 403:
                raise
            return None

    def _list_keys(self, kind: str, namespace: str, name: str) -> frozenset[str]:
        obj = self._client.get("v1", kind, name, namespace) or {}
        # Only the names are kept, never a value.
        return frozenset({*(obj.get("data") or {}), *(obj.get("binaryData") or {})})

    def build_notes(self) -> Iterator[Problem]:
        """Yields one note for the objects of a kind and Namespace that could not be checked."""
        by_scope: dict[tuple[str, str], list[str]] = {}
        for kind, namespace, name in sorted(self._unread):
            by_scope.setdefault((kind, namespace), []).append(name)
        for (kind, namespace), names in by_scope.items():
            place = f" in {namespace}" if namespace else ""
            reason = "not checked, because this user is not allowed to read it"
            message = f"{reason}: {kind} {list_names(names)}{place}"
            yield Problem("", "", message, Severity.NOTE)

    def describe_missing(self, reference: Reference) -> str:
        """Describes what is missing, "" if nothing is, or it cannot be known."""
        name = object_name({"namespace": reference.namespace, "name": reference.name})
        what = f"{reference.kind} {name}"
        if reference.namespace in self._new:
            return "" if reference.key else f"{what} does not exist yet"
        names = self._names[reference.api_version, reference.kind, reference.namespace]
        if reference.name not in names:
            hint = did_you_mean(reference.name, names)
            missing = f"{what} does not exist" + (f" ({hint})" if hint else "")
            return "" if reference.key else missing
        if (reference.kind, name) in self._deleted:
            return "" if reference.key else f"{what} is deleted by this change"
        if not reference.key:
            return ""
        keys = self._keys[reference.kind, reference.namespace, reference.name]
        if keys is None or reference.key in keys:
            return ""
        return f'{what} has no key "{reference.key}" (it has {list_names(sorted(keys)) or "none"})'
