"""A stack's recorded state: Pulumi's version-3 checkpoint as data.

Owns its format and its integrity. A resource keeps the very JSON it was read from, so that whatever
the CLI wrote and this engine does not know survives. Knows nothing of files but their text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any

from framework.core.errors import StateError, StateFileError
from framework.engines.embedded.shapes import (
    ShapeError,
    check_field,
    check_operation,
    check_optional,
    check_resource,
    check_type,
    parse_json,
)
from framework.engines.urns import (
    OBJECT_PREFIX,
    PROVIDER_TYPE,
    parse_urn,
    split_provider_reference,
)

_NEXT_STEP = "restore the .bak file beside it, or repair it with `pulumi state`"


@dataclass(frozen=True)
class Resource:
    """One entry of a checkpoint; `raw` is its JSON."""

    raw: Mapping[str, Any]

    @property
    def urn(self) -> str:
        """What names it; only a pending deletion may share one."""
        return str(self.raw["urn"])

    @property
    def type(self) -> str:
        """The type token, such as `kubernetes:apps/v1:Deployment`."""
        return str(self.raw["type"])

    @property
    def kind(self) -> str:
        """The last part of the type: `Deployment`."""
        return self.type.rpartition(":")[2]

    @property
    def id(self) -> str:
        """What the provider calls it, `namespace/name` of an object; "" for a component."""
        return str(self.raw.get("id") or "")

    @property
    def name(self) -> str:
        """The logical name: the last part of the URN."""
        return parse_urn(self.urn).name

    @property
    def parent(self) -> str:
        """The parent's URN, "" for none."""
        return str(self.raw.get("parent") or "")

    @property
    def custom(self) -> bool:
        """True for what a provider made, False for components and the Stack."""
        return bool(self.raw.get("custom"))

    @property
    def is_object(self) -> bool:
        """True for an object of a cluster."""
        return self.custom and self.type.startswith(OBJECT_PREFIX)

    @property
    def is_provider(self) -> bool:
        """True for a kubernetes Provider."""
        return self.type == PROVIDER_TYPE

    @property
    def protect(self) -> bool:
        """True where deleting or replacing it is refused."""
        return bool(self.raw.get("protect"))

    @property
    def retain_on_delete(self) -> bool:
        """True where a deletion forgets it and leaves the object in the cluster."""
        return bool(self.raw.get("retainOnDelete"))

    @property
    def pending_delete(self) -> bool:
        """True for what a replacement left behind: gone from the program, not yet deleted."""
        return bool(self.raw.get("delete"))

    @property
    def init_errors(self) -> tuple[str, ...]:
        """Why the object is there but not ready; empty for a good one."""
        return tuple(self.raw.get("initErrors") or ())

    @property
    def key(self) -> str:
        """What tells entries apart: one left behind shares its URN with its successor."""
        return f"{self.urn}#{self.id}" if self.pending_delete else self.urn

    @property
    def object_key(self) -> tuple[str, str, str]:
        """What tells objects apart, whichever URN they are recorded under."""
        return self.type, self.id, self.provider_urn

    @property
    def provider_urn(self) -> str:
        """The URN of the provider that made it, "" for none."""
        return split_provider_reference(str(self.raw.get("provider") or ""))[0]

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """URNs that must stand before this entry: parent, provider, dependencies."""
        urns = [self.parent, self.provider_urn, *(self.raw.get("dependencies") or ())]
        for dependencies in (self.raw.get("propertyDependencies") or {}).values():
            urns.extend(dependencies or ())
        return tuple(dict.fromkeys(urn for urn in urns if urn))

    def with_fields(self, **fields: Any) -> Resource:
        """A copy with these JSON fields; a field that is None or empty goes."""
        raw = {**self.raw, **fields}
        return Resource({key: raw[key] for key in raw if key not in fields or fields[key]})

    def renamed(self, renames: Mapping[str, str]) -> Resource:
        """A copy whose references follow the renamed URNs."""
        if not any(urn in renames for urn in (self.urn, *self.needs)):
            return self
        text = json.loads(json.dumps(self.raw))
        for name in ("urn", "parent"):
            if text.get(name):
                text[name] = renames.get(text[name], text[name])
        if text.get("provider"):
            urn, id_ = split_provider_reference(text["provider"])
            text["provider"] = f"{renames.get(urn, urn)}::{id_}"
        if text.get("dependencies"):
            text["dependencies"] = [renames.get(urn, urn) for urn in text["dependencies"]]
        for name, urns in (text.get("propertyDependencies") or {}).items():
            text["propertyDependencies"][name] = [renames.get(urn, urn) for urn in urns or ()]
        return Resource(text)


@dataclass(frozen=True)
class Checkpoint:
    """A whole stack: `stack` is `organization/<project>/<stack>`."""

    stack: str
    resources: tuple[Resource, ...] = ()
    pending: tuple[Mapping[str, Any], ...] = ()
    secrets_provider: Mapping[str, Any] | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def salt(self) -> str:
        """The salt its secrets are encrypted with, "" when it has had none."""
        return str(((self.secrets_provider or {}).get("state") or {}).get("salt", ""))

    def with_salt(self, salt: str) -> Checkpoint:
        """A copy that says its secrets are encrypted with this salt and a passphrase."""
        return replace(self, secrets_provider={"type": "passphrase", "state": {"salt": salt}})

    @property
    def live(self) -> dict[str, Resource]:
        """Entries by URN, without what a replacement left behind."""
        return {entry.urn: entry for entry in self.resources if not entry.pending_delete}


def parse_checkpoint(text: str, where: str) -> Checkpoint:
    """A checkpoint from its text. StateFileError when it is no version-3 checkpoint or is broken;
    StateError when only the CLI can read it."""
    try:
        body = _parse_body(text)
    except ShapeError as exc:
        raise StateFileError(where, str(exc), _NEXT_STEP) from exc
    latest = body.get("latest") or {}
    provider = latest.get("secrets_providers")
    if provider and provider.get("type") != "passphrase":
        raise StateError(
            f'{where}: secrets provider "{provider.get("type")}" needs the pulumi CLI; '
            "the embedded engine knows passphrase only"
        )
    checkpoint = Checkpoint(
        stack=body["stack"],
        resources=tuple(Resource(raw) for raw in latest.get("resources") or ()),
        pending=tuple(latest.get("pending_operations") or ()),
        secrets_provider=provider,
        manifest=latest.get("manifest") or {},
        metadata=latest.get("metadata") or {},
    )
    check_integrity(checkpoint, where)
    return checkpoint


def _parse_body(text: str) -> dict[str, Any]:
    """Returns the `checkpoint` of a document, every part of the expected shape. ShapeError."""
    # A file that was cut to nothing must not be taken for a stack that has no state yet.
    if not text.strip():
        raise ShapeError("is empty")
    try:
        document = parse_json(text)
    except ShapeError as exc:
        raise ShapeError(f"contains no JSON ({exc})") from exc
    if not isinstance(document, dict) or document.get("version") != 3:
        raise ShapeError("contains no version-3 checkpoint")
    if document.get("checkpoint") is None:
        raise ShapeError("checkpoint is missing")
    body: dict[str, Any] = document["checkpoint"]
    check_type(body, dict, "checkpoint")
    check_field(body, "stack", str, "checkpoint")
    # The CLI writes none for a stack that was never deployed.
    check_optional(body, "latest", dict, "checkpoint")
    latest = body.get("latest") or {}
    where = "checkpoint.latest"
    for name in ("manifest", "metadata", "secrets_providers"):
        check_optional(latest, name, dict, where)
    provider = latest.get("secrets_providers") or {}
    check_optional(provider, "state", dict, f"{where}.secrets_providers")
    for name in ("resources", "pending_operations"):
        check_optional(latest, name, list, where)
    for index, raw in enumerate(latest.get("resources") or ()):
        check_resource(raw, f"{where}.resources[{index}]")
    for index, raw in enumerate(latest.get("pending_operations") or ()):
        check_operation(raw, f"{where}.pending_operations[{index}]")
    return body


def check_integrity(checkpoint: Checkpoint, where: str) -> None:
    """Raise StateFileError when the CLI would refuse this checkpoint."""
    faults = list(_faults(checkpoint))
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise StateFileError(where, f"{faults[0]}{more}", _NEXT_STEP)


def _faults(checkpoint: Checkpoint) -> Iterator[str]:
    manifest = checkpoint.manifest
    if manifest.get("magic") and manifest["magic"] != _magic(str(manifest.get("version", ""))):
        yield "manifest.magic does not fit manifest.version"
    seen: set[str] = set()
    for entry in checkpoint.resources:
        yield from (
            f"{entry.urn} needs {urn}, which is missing or stands after it"
            for urn in entry.needs
            if urn not in seen
        )
        if entry.custom and not entry.id:
            yield f"{entry.urn} has no id"
        if not entry.pending_delete and entry.urn in seen:
            yield f"{entry.urn} is there twice"
        seen.add(entry.urn)


def render_checkpoint(checkpoint: Checkpoint) -> str:
    """The checkpoint's text, in the CLI's order of keys."""
    latest: dict[str, Any] = {"manifest": dict(checkpoint.manifest)}
    if checkpoint.secrets_provider:
        latest["secrets_providers"] = checkpoint.secrets_provider
    latest["resources"] = [entry.raw for entry in checkpoint.resources]
    if checkpoint.pending:
        latest["pending_operations"] = list(checkpoint.pending)
    latest["metadata"] = checkpoint.metadata
    document = {"version": 3, "checkpoint": {"stack": checkpoint.stack, "latest": latest}}
    return json.dumps(document, indent=4, ensure_ascii=False)


def stamp_manifest(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with a manifest of now and of the SDK's version."""
    engine = f"v{version('pulumi')}"
    manifest = {"time": timestamp(), "magic": _magic(engine), "version": engine}
    return replace(checkpoint, manifest=manifest)


def order_resources(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """The entries with each one after what it needs, otherwise in the order given."""
    entries = list(resources)
    live = {entry.urn: entry for entry in entries if not entry.pending_delete}
    placed: dict[str, Resource] = {}
    # An explicit stack, not recursion: a lane of models may be a chain of thousands.
    for first in entries:
        stack = [first]
        opened: set[str] = set()
        while stack:
            entry = stack[-1]
            waiting = [
                live[urn]
                for urn in entry.needs
                if urn in live and urn not in placed and urn not in opened
            ]
            opened.add(entry.key)
            if waiting:
                stack.extend(reversed(waiting))
                continue
            stack.pop()
            placed.setdefault(entry.key, entry)
    return tuple(placed.values())


def timestamp() -> str:
    """Now, as Pulumi writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _magic(engine: str) -> str:
    return hashlib.sha256(engine.encode()).hexdigest()
