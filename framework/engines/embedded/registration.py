"""One resource as the program registers it, in plain data.

Owns which of Pulumi's resource options this engine serves. Kept apart from the monitor so that the
runs never see a protobuf message, and so that a new SDK field is refused until it is understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import resource_pb2

from framework.core.durations import parse_duration
from framework.core.errors import EngineError
from framework.engines.embedded.values import tree_from_json
from framework.engines.urns import OBJECT_PREFIX, PROVIDER_TYPE, STACK_TYPE

# Fields that change nothing here: what the SDK can understand in a reply, and where it stands.
_HARMLESS = frozenset(
    {
        "acceptSecrets",
        "acceptResources",
        "supportsPartialValues",
        "supportsResultReporting",
        "aliasSpecs",
        "sourcePosition",
        "stackTrace",
        "parentStackTraceHandle",
        "hideDiffs",
        "accepts_byte_string",
        "snippetId",
        "pluginChecksums",
    }
)
_SERVED = frozenset(
    {
        "type",
        "name",
        "parent",
        "custom",
        "object",
        "protect",
        "dependencies",
        "propertyDependencies",
        "provider",
        "providers",
        "version",
        "aliases",
        "aliasURNs",
        "ignoreChanges",
        "customTimeouts",
        "additionalSecretOutputs",
        "retainOnDelete",
        "deleteBeforeReplace",
        "deleteBeforeReplaceDefined",
    }
)
# What the program's author calls them.
_OPTION_NAMES = {
    "importId": "import_",
    "replaceOnChanges": "replace_on_changes",
    "deletedWith": "deleted_with",
    "pluginDownloadURL": "plugin_download_url",
    "envVarMappings": "env_var_mappings",
    "packageRef": "a parameterised package",
    "remote": "a remote component",
}


@dataclass(frozen=True)
class Alias:
    """An earlier name: a whole `urn`, or the parts that differ."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    no_parent: bool = False


@dataclass(frozen=True)
class Registration:
    """A resource the program asks for; `inputs` may hold secrets and unknowns."""

    type: str
    name: str
    custom: bool
    parent: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: tuple[Alias, ...] = ()
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    timeouts: Mapping[str, float] = field(default_factory=dict)
    version: str = ""

    @property
    def is_stack(self) -> bool:
        """True for the Stack itself."""
        return self.type == STACK_TYPE

    @property
    def is_provider(self) -> bool:
        """True for a kubernetes Provider."""
        return self.type == PROVIDER_TYPE

    @property
    def is_object(self) -> bool:
        """True for an object of a cluster."""
        return self.custom and self.type.startswith(OBJECT_PREFIX)

    @property
    def needs(self) -> tuple[str, ...]:
        """URNs this resource stands on, besides its provider."""
        urns = [self.parent, *self.dependencies]
        for dependencies in self.property_dependencies.values():
            urns.extend(dependencies)
        return tuple(dict.fromkeys(urn for urn in urns if urn))


def find_refusals(request: resource_pb2.RegisterResourceRequest) -> Iterator[str]:
    """Why the embedded engine cannot serve this registration; nothing when it can."""
    where = f'{request.type} "{request.name}"'
    known = (STACK_TYPE, PROVIDER_TYPE)
    served = request.type in known or request.type.startswith(OBJECT_PREFIX)
    if request.custom and not served:
        yield f"{where}: type {request.type} needs the pulumi CLI; served: kubernetes:*"
    if request.custom and request.type.startswith(OBJECT_PREFIX) and not request.provider:
        yield (
            f"{where}: has no explicit provider, and the default one needs the pulumi CLI; "
            "give it a kubernetes Provider with a kubeconfig and a context"
        )
    for descriptor, value in request.ListFields():
        name = descriptor.name
        if name in _SERVED or name in _HARMLESS:
            continue
        if name == "hooks" and not value.ListFields():
            continue
        yield f"{where}: option {_OPTION_NAMES.get(name, name)} needs the pulumi CLI"


def build_registration(request: resource_pb2.RegisterResourceRequest) -> Registration:
    """The request as plain data; sets from the SDK come in no order, so they are sorted."""
    return Registration(
        type=request.type,
        name=request.name,
        custom=request.custom,
        parent=request.parent,
        inputs=tree_from_json(MessageToDict(request.object)),
        provider=request.provider,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies={
            name: tuple(sorted(request.propertyDependencies[name].urns))
            for name in sorted(request.propertyDependencies)
        },
        aliases=tuple(_build_aliases(request)),
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace,
        ignore_changes=tuple(request.ignoreChanges),
        additional_secret_outputs=tuple(request.additionalSecretOutputs),
        timeouts={
            name.name: _read_timeout(value) for name, value in request.customTimeouts.ListFields()
        },
        version=request.version,
    )


def _read_timeout(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise EngineError(f"option custom_timeouts: {exc}") from exc


def _build_aliases(request: resource_pb2.RegisterResourceRequest) -> Iterator[Alias]:
    yield from (Alias(urn=urn) for urn in request.aliasURNs)
    for alias in request.aliases:
        if alias.urn:
            yield Alias(urn=alias.urn)
            continue
        spec = alias.spec
        yield Alias(
            name=spec.name,
            type=spec.type,
            stack=spec.stack,
            project=spec.project,
            parent=spec.parentUrn,
            no_parent=spec.noParent,
        )
