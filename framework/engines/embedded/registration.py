"""One resource as the program registers it, in plain data, and the options that are refused.

A field of the request that is in neither table below is refused by name. So a new option of a later
SDK is never ignored without notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import resource_pb2

from framework.core.durations import parse_duration
from framework.core.errors import EngineError
from framework.engines.urns import OBJECT_PREFIX, PROVIDER_TYPE, STACK_TYPE
from framework.engines.values import tree_from_json

# Fields without effect here: what the SDK understands in a reply, and positions in source files.
_IGNORED = frozenset(
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
_SUPPORTED = frozenset(
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
# The names of options in a program, where they differ from the fields of the request.
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
    """A former name of a resource: a whole `urn`, or the parts that differ."""

    urn: str = ""
    name: str = ""
    type: str = ""
    stack: str = ""
    project: str = ""
    parent: str = ""
    no_parent: bool = False


@dataclass(frozen=True)
class Registration:
    """A resource that the program registers; `inputs` may hold secrets and unknowns."""

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
        """The URNs of what this resource needs, besides its provider."""
        urns = [self.parent, *self.dependencies]
        for dependencies in self.property_dependencies.values():
            urns.extend(dependencies)
        return tuple(dict.fromkeys(urn for urn in urns if urn))


def find_refusals(request: resource_pb2.RegisterResourceRequest) -> Iterator[str]:
    """Yields the reasons why the embedded engine cannot serve a registration."""
    name = f'{request.type} "{request.name}"'
    is_object = request.type.startswith(OBJECT_PREFIX)
    if request.custom and not is_object and request.type not in (STACK_TYPE, PROVIDER_TYPE):
        yield f"{name}: type {request.type} needs the pulumi CLI; supported: kubernetes:*"
    if request.custom and is_object and not request.provider:
        yield (
            f"{name}: has no explicit provider, and the default one needs the pulumi CLI; "
            "give it a kubernetes Provider with a kubeconfig and a context"
        )
    for descriptor, value in request.ListFields():
        field_name = descriptor.name
        if field_name in _SUPPORTED or field_name in _IGNORED:
            continue
        # The SDK sends an empty message where no hook is given.
        if field_name == "hooks" and not value.ListFields():
            continue
        option = _OPTION_NAMES.get(field_name, field_name)
        yield f"{name}: option {option} needs the pulumi CLI"


def build_registration(request: resource_pb2.RegisterResourceRequest) -> Registration:
    """Builds plain data from the request. EngineError for values that only the CLI can serve."""
    # The SDK sends sets, in an order that differs from run to run: sorted, so that the state does
    # not change where nothing changes.
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
