"""Pulumi's checkpoint of version 3: parses it, checks it, orders its resources and renders it.

A recorded resource keeps the JSON that it was read from, so that fields which the CLI wrote and
this engine does not know survive. The format is `pkg/resource/stack` and `sdk/go/common/apitype`
of pulumi, its integrity rules `pkg/resource/deploy/snapshot.go`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple

import msgspec

from framework.core.errors import StateError, StateFileError
from framework.engines.state.shapes import (
    Deployment,
    NoJsonError,
    ShapeError,
    check_shape,
    parse_json,
)
from framework.engines.urns import (
    OBJECT_PREFIX,
    PROVIDER_TYPE,
    STACK_TYPE,
    parse_urn,
    split_provider_reference,
)
from framework.engines.values import redact_sealed, without_unknown

# The JSON texts of a mapping's values, by key.
_Parts = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder().decode
# The fields of a resource that are most of its text.
_BULKY = frozenset({"inputs", "outputs"})
_VERSION, _WITH_FEATURES = 3, 4
_NEXT_STEP = "restore the .bak file beside it, or repair it with `pulumi state`"


class ObjectIdentity(NamedTuple):
    """An object in a cluster. Its API version does not count: one object has several."""

    group: str
    kind: str
    id: str
    provider_urn: str


def identify_object(type_: str, id_: str, provider_urn: str) -> ObjectIdentity:
    """Returns the identity of an object, from its type token and its `namespace/name`."""
    group_version, _, kind = type_.rpartition(":")
    return ObjectIdentity(group_version.rpartition("/")[0], kind, id_, provider_urn)


class Resource:
    """One recorded resource. Nothing changes it; `with_fields` and `renamed` return copies."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        """`raw` is the JSON of the resource."""
        self._raw: Mapping[str, Any] | None = raw
        self._head: Mapping[str, Any] = raw
        self._parts: _Parts | None = None

    @classmethod
    def from_parts(cls, parts: _Parts) -> Resource:
        """Builds a resource from the JSON texts of its fields.

        `inputs` and `outputs` stay texts until somebody needs them: of the 17 MB that 1,000 models
        have recorded they are 15, and `up MODEL=` needs those of one model.
        """
        # A value of another type is decoded, so that the check of the shape reports it.
        texts = {key for key in _BULKY & parts.keys() if bytes(memoryview(parts[key])[:1]) == b"{"}
        resource = cls({key: _decode(part) for key, part in parts.items() if key not in texts})
        resource._raw, resource._parts = None, parts
        return resource

    @property
    def raw(self) -> Mapping[str, Any]:
        """The JSON of the resource. StateError if a number in it is out of range."""
        if self._raw is None:
            assert self._parts is not None
            try:
                self._raw = {
                    key: self._head[key] if key in self._head else _decode(part)
                    for key, part in self._parts.items()
                }
            except ValueError as exc:
                raise StateError(f"{self.urn} cannot be read: {exc}; {_NEXT_STEP}") from exc
        return self._raw

    @property
    def head(self) -> Mapping[str, Any]:
        """The JSON of the resource, perhaps without `inputs` and `outputs`."""
        return self._head

    @property
    def encodable(self) -> Mapping[str, Any]:
        """The JSON of the resource in the form that is quickest to write."""
        return self._parts or self.raw

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and self.raw == other.raw

    __hash__ = None  # type: ignore[assignment]

    @property
    def urn(self) -> str:
        """The URN. Only a resource that is pending deletion may share it with another one."""
        return str(self._head["urn"])

    @property
    def type(self) -> str:
        """The type token, such as `kubernetes:apps/v1:Deployment`."""
        return str(self._head["type"])

    @property
    def kind(self) -> str:
        """The last part of the type: `Deployment`."""
        return self.type.rpartition(":")[2]

    @property
    def id(self) -> str:
        """The provider's id, `namespace/name` of an object; "" for a component."""
        return str(self._head.get("id") or "")

    @property
    def name(self) -> str:
        """The logical name: the last part of the URN."""
        return parse_urn(self.urn).name

    @property
    def parent(self) -> str:
        """The parent's URN, "" for none."""
        return str(self._head.get("parent") or "")

    @property
    def custom(self) -> bool:
        """True for what a provider made, False for components and the Stack."""
        return bool(self._head.get("custom"))

    @property
    def is_object(self) -> bool:
        """True for an object of a cluster."""
        return self.custom and self.type.startswith(OBJECT_PREFIX)

    @property
    def is_other(self) -> bool:
        """True for a resource that is not of Kubernetes, such as a password."""
        return self.custom and not self.type.startswith((OBJECT_PREFIX, "pulumi:"))

    @property
    def is_provider(self) -> bool:
        """True for a kubernetes Provider."""
        return self.type == PROVIDER_TYPE

    @property
    def protect(self) -> bool:
        """True where a deletion or replacement is refused."""
        return bool(self._head.get("protect"))

    @property
    def retain_on_delete(self) -> bool:
        """True where a deletion forgets the resource and leaves the object in the cluster."""
        return bool(self._head.get("retainOnDelete"))

    @property
    def external(self) -> bool:
        """True for what the program only reads, with `get`."""
        return bool(self._head.get("external"))

    @property
    def stays_on_delete(self) -> bool:
        """True where a deletion removes only the record."""
        return self.retain_on_delete or self.external

    @property
    def pending_delete(self) -> bool:
        """True for the old resource of a replacement that is not deleted yet."""
        return bool(self._head.get("delete"))

    @property
    def init_errors(self) -> tuple[str, ...]:
        """The reasons why the object is not ready although it exists; empty if it is ready."""
        return tuple(self._head.get("initErrors") or ())

    @property
    def ignore_changes(self) -> tuple[str, ...]:
        """The property paths whose changes the program ignores."""
        return tuple(self._head.get("ignoreChanges") or ())

    @property
    def provider(self) -> str:
        """The reference (`<urn>::<id>`) of the provider that made it, "" for none."""
        return str(self._head.get("provider") or "")

    @property
    def provider_urn(self) -> str:
        """The URN of the provider that made it, "" for none."""
        return split_provider_reference(self.provider)[0]

    @property
    def key(self) -> str:
        """The identity among recorded resources: URN, and id where it is pending deletion."""
        return f"{self.urn}#{self.id}" if self.pending_delete else self.urn

    @property
    def object_key(self) -> ObjectIdentity:
        """The identity of the object in its cluster, whichever URN it is recorded under."""
        return identify_object(self.type, self.id, self.provider_urn)

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The URNs of the resources that this one needs.

        They are its parent, its provider, its dependencies and the resource of `deletedWith`.
        """
        urns = [self.parent, self.provider_urn, *(self._head.get("dependencies") or ())]
        urns.append(str(self._head.get("deletedWith") or ""))
        for dependencies in (self._head.get("propertyDependencies") or {}).values():
            urns.extend(dependencies or ())
        return tuple(dict.fromkeys(urn for urn in urns if urn))

    def with_fields(self, **fields: Any) -> Resource:
        """Returns a copy with these JSON fields; a field that is None or empty is removed."""
        raw = {**self.raw, **fields}
        return Resource({key: raw[key] for key in raw if key not in fields or fields[key]})

    def renamed(self, renames: Mapping[str, str]) -> Resource:
        """Returns a copy in which every renamed URN is replaced by its new one."""
        if not any(urn in renames for urn in (self.urn, *self.needs)):
            return self
        # A copy of everything, because the lists inside are changed below.
        raw = json.loads(json.dumps(self.raw))
        for name in ("urn", "parent", "deletedWith"):
            if raw.get(name):
                raw[name] = renames.get(raw[name], raw[name])
        if raw.get("provider"):
            urn, id_ = split_provider_reference(raw["provider"])
            raw["provider"] = f"{renames.get(urn, urn)}::{id_}"
        if raw.get("dependencies"):
            raw["dependencies"] = [renames.get(urn, urn) for urn in raw["dependencies"]]
        for name, urns in (raw.get("propertyDependencies") or {}).items():
            raw["propertyDependencies"][name] = [renames.get(urn, urn) for urn in urns or ()]
        return Resource(raw)


@dataclass(frozen=True)
class Checkpoint:
    """A whole stack. `stack` is `organization/<project>/<stack>`.

    `pending` are the operations that were started and whose end is not recorded.
    """

    stack: str
    resources: tuple[Resource, ...] = ()
    pending: tuple[Mapping[str, Any], ...] = ()
    secrets_provider: Mapping[str, Any] | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def salt(self) -> str:
        """The salt that its secrets are encrypted with, "" when it never had any."""
        return str(((self.secrets_provider or {}).get("state") or {}).get("salt", ""))

    def with_salt(self, salt: str) -> Checkpoint:
        """Returns a copy whose secrets are encrypted with this salt and a passphrase."""
        return replace(self, secrets_provider={"type": "passphrase", "state": {"salt": salt}})

    # Kept, because callers look up one URN after another, of as many as the stack has.
    @cached_property
    def live(self) -> Mapping[str, Resource]:
        """Resources by URN, without those that are pending deletion."""
        return {
            resource.urn: resource for resource in self.resources if not resource.pending_delete
        }


def read_stack_outputs(resources: Iterable[Resource]) -> dict[str, Any]:
    """Returns the outputs of the stack by name, secrets redacted; needs no passphrase."""
    for resource in resources:
        if resource.type == STACK_TYPE:
            outputs = without_unknown(redact_sealed(resource.raw.get("outputs") or {}))
            return dict(sorted(outputs.items()))
    return {}


# Reading


class _Latest(msgspec.Struct):
    manifest: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    secrets_providers: dict[str, Any] | None = None
    resources: list[_Parts] | None = None
    pending_operations: list[dict[str, Any]] | None = None


class _Body(msgspec.Struct):
    stack: str
    # The CLI writes no `latest` for a stack that was never deployed.
    latest: _Latest | None = None


class _Document(msgspec.Struct):
    checkpoint: _Body


class _Version(msgspec.Struct):
    version: int
    features: Any = None


def parse_checkpoint(text: str, path: str) -> Checkpoint:
    """Returns the checkpoint of a text.

    StateFileError when it is not a checkpoint or is damaged; StateError when only the
    CLI can read it.
    """
    try:
        checkpoint = _parse_checkpoint(text, path)
    except ShapeError as exc:
        raise StateFileError(path, str(exc), _NEXT_STEP) from exc
    provider = checkpoint.secrets_provider
    if provider and provider.get("type") != "passphrase":
        raise StateError(
            f'{path}: secrets provider "{provider.get("type")}" needs the pulumi CLI; '
            "the embedded engine supports passphrase only"
        )
    check_integrity(checkpoint, path)
    return checkpoint


def _parse_checkpoint(text: str, path: str) -> Checkpoint:
    """Returns the checkpoint of a text after a check of its shape. ShapeError, StateError."""
    # A file that was cut to nothing must not look like a stack that has no state yet: the next
    # `up` would create everything a second time.
    if not text.strip():
        raise ShapeError("is empty")
    try:
        found = parse_json(text, _Version)
    except NoJsonError:
        raise
    except ShapeError as exc:
        raise ShapeError("contains no checkpoint: it has no version") from exc
    _check_version(found.version, found.features, path)
    body: _Body = parse_json(text, _Document).checkpoint
    latest = body.latest or _Latest()
    try:
        resources = tuple(map(Resource.from_parts, latest.resources or ()))
    except ValueError as exc:
        raise ShapeError(f"is not JSON ({exc})") from exc
    heads = {**msgspec.structs.asdict(latest), "resources": [found.head for found in resources]}
    check_shape(heads, Deployment, "checkpoint.latest")
    return Checkpoint(
        stack=body.stack,
        resources=resources,
        pending=tuple(latest.pending_operations or ()),
        secrets_provider=latest.secrets_providers,
        manifest=latest.manifest or {},
        metadata=latest.metadata or {},
    )


def _check_version(version: int, features: Any, path: str) -> None:
    """Raises StateError for a version that the embedded engine does not read.

    Version 4 is version 3 with a list of features, which the CLI writes only for stacks that use
    one. Without features the two are equal.
    """
    if version == _VERSION or (version == _WITH_FEATURES and not features):
        return
    if version < _VERSION:
        raise StateError(
            f"{path}: a checkpoint of version {version} is too old for the embedded engine; let "
            "the pulumi CLI write it again with `pulumi stack export | pulumi stack import`, or "
            "use ENGINE=cli"
        )
    used = f" with {', '.join(map(str, features))}" if isinstance(features, list) else ""
    raise StateError(
        f"{path}: a checkpoint of version {version}{used} needs the pulumi CLI: use ENGINE=cli"
    )


def check_integrity(checkpoint: Checkpoint, path: str) -> None:
    """Raises StateFileError where the CLI would refuse the checkpoint."""
    problems = list(_find_problems(checkpoint))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise StateFileError(path, f"{problems[0]}{more}", _NEXT_STEP)


def _find_problems(checkpoint: Checkpoint) -> Iterator[str]:
    manifest = checkpoint.manifest
    if manifest.get("magic") and manifest["magic"] != _build_magic(
        str(manifest.get("version", ""))
    ):
        yield "manifest.magic does not match manifest.version"
    seen: set[str] = set()
    for resource in checkpoint.resources:
        yield from (
            f"{resource.urn} needs {urn}, which is missing or comes after it"
            for urn in resource.needs
            if urn not in seen
        )
        if resource.custom and not resource.id:
            yield f"{resource.urn} has no id"
        if not resource.pending_delete and resource.urn in seen:
            yield f"{resource.urn} is recorded twice"
        seen.add(resource.urn)


# Writing


def render_checkpoint(checkpoint: Checkpoint) -> str:
    """Renders the checkpoint with the CLI's order of keys, but on one line.

    With msgspec, because `json` takes 0.6 s for the 17 MB of 1,000 models, after every change.
    """
    latest: dict[str, Any] = {"manifest": dict(checkpoint.manifest)}
    if checkpoint.secrets_provider:
        latest["secrets_providers"] = checkpoint.secrets_provider
    latest["resources"] = [resource.encodable for resource in checkpoint.resources]
    if checkpoint.pending:
        latest["pending_operations"] = list(checkpoint.pending)
    latest["metadata"] = checkpoint.metadata
    document = {"version": 3, "checkpoint": {"stack": checkpoint.stack, "latest": latest}}
    return msgspec.json.encode(document).decode()


def stamp_manifest(checkpoint: Checkpoint) -> Checkpoint:
    """Returns the checkpoint with a manifest of the current time and the SDK's version."""
    engine = f"v{version('pulumi')}"
    manifest = {"time": format_now(), "magic": _build_magic(engine), "version": engine}
    return replace(checkpoint, manifest=manifest)


def order_resources(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Returns the resources with each one after those it needs, otherwise in the given order.

    Old records that a replacement has left behind come after the new one.

    The CLI refuses a checkpoint in any other order.
    """
    ordered = list(resources)
    live = {resource.urn: resource for resource in ordered if not resource.pending_delete}
    placed: dict[str, Resource] = {}
    # Depth first, with a stack of its own instead of recursion: models that wait for each other
    # may form a chain of thousands, and Python allows a depth of 1,000.
    for first in ordered:
        stack = [first]
        opened: set[str] = set()
        while stack:
            resource = stack[-1]
            # An old record of a replacement comes after the new one. `opened` keeps a circle of
            # needs from going on for ever. The CLI writes no circles.
            successor = (resource.urn,) if resource.pending_delete else ()
            missing = [
                live[urn]
                for urn in (*resource.needs, *successor)
                if urn in live and urn not in placed and urn not in opened
            ]
            opened.add(resource.key)
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            placed.setdefault(resource.key, resource)
    return tuple(placed.values())


def format_now() -> str:
    """Returns the current time in Pulumi's format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _build_magic(engine: str) -> str:
    # The CLI computes `magic` of a manifest from the version in the same way.
    return hashlib.sha256(engine.encode()).hexdigest()
