"""Serves Pulumi's resource monitor and engine services to the program, over loopback gRPC.

It translates requests to plain data and passes them to a `ProgramHandler`, which decides. It
refuses by name whatever the embedded engine does not support. The protocol is
`proto/pulumi/resource.proto` and `engine.proto`.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct, Value
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)

from framework.core.durations import parse_duration
from framework.core.errors import EngineError
from framework.engines.embedded.process import ProgramProcess
from framework.engines.embedded.registration import (
    Alias,
    Answer,
    ProgramHandler,
    Registration,
)
from framework.engines.project import Project, StackConfig
from framework.engines.recorded import RELEASE
from framework.engines.urns import OBJECT_PREFIX, PROVIDER_TYPE, STACK_TYPE, build_failed_urn
from framework.engines.values import tree_from_json, tree_to_json

if TYPE_CHECKING:
    from framework.plan import StackPlan

# A registration holds a thread until its rollout is over, so there are as many threads as
# registrations that may wait at a time, and some for all other requests.
_PARALLEL = 256
_SERVER_THREADS = _PARALLEL + 16
_MESSAGE_BYTES = 400 * 1024 * 1024
# We claim all of these features and refuse most of them later: the SDK then sends the option, and
# our refusal can name it. For a feature that is not claimed the SDK raises an error of its own.
_FEATURES = tuple(
    resource_pb2.ResourceMonitorFeature.Value(f"RESOURCE_MONITOR_FEATURE_{name}")
    for name in (
        "SECRETS",
        "ALIAS_SPECS",
        "REPLACEMENT_TRIGGER",
        "DELETED_WITH",
        "REPLACE_WITH",
        "TRANSFORMS",
        "INVOKE_TRANSFORMS",
        "PARAMETERIZATION",
        "RESOURCE_HOOKS",
        "ERROR_HOOKS",
        "STATE_MIGRATIONS",
    )
)

# The fields of a registration that have no effect here: features of replies that the SDK
# understands, and positions in source files. A field that is neither here nor in _SUPPORTED is
# refused by name, so that an option of a later SDK is never ignored without notice.
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
    "packageRef": "a parameterized package",
    "remote": "a remote component",
}


class _Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    def __init__(self, handler: ProgramHandler, info: resource_pb2.DeploymentInfo) -> None:
        self._handler, self._info = handler, info

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:
        return self._info

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        known = {"secrets", "aliasSpecs", "deletedWith", "transforms", "resourceHooks"}
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in known)

    def RegisterResource(self, request: Any, context: Any) -> Any:
        refusals = list(_find_refusals(request))
        try:
            registration = _build_registration(request)
        except EngineError as exc:
            refusals.append(f'{request.type} "{request.name}": {exc}')
        for reason in refusals:
            self._handler.refuse(reason)
        if refusals:
            # An error of the call would end the program. This answer lets it continue, so that one
            # run reports all refusals.
            urn = build_failed_urn(request.type, request.name)
            return _build_response(Answer(urn, failed=True))
        return _build_response(self._handler.register(registration))

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        outputs = tree_from_json(MessageToDict(request.outputs))
        self._handler.register_outputs(request.urn, outputs)
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def ReadResource(self, request: Any, context: Any) -> Any:
        return self._abort(f'{request.type} "{request.name}": reading with get()', context)

    def ExistsResource(self, request: Any, context: Any) -> Any:
        return self._abort(f'{request.type} "{request.name}": asking whether it exists', context)

    def Invoke(self, request: Any, context: Any) -> Any:
        return self._abort(f"function {request.tok}", context)

    def Call(self, request: Any, context: Any) -> Any:
        return self._abort(f"method {request.tok}", context)

    def RegisterPackage(self, request: Any, context: Any) -> Any:
        return self._abort(f"package {request.name}: a parameterized package", context)

    def RegisterStackTransform(self, request: Any, context: Any) -> Any:
        return self._refuse("a stack transform")

    def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:
        return self._refuse("a stack invoke transform")

    def RegisterResourceHook(self, request: Any, context: Any) -> Any:
        return self._refuse(f'resource hook "{request.name}"')

    def RegisterErrorHook(self, request: Any, context: Any) -> Any:
        return self._refuse(f'error hook "{request.name}"')

    def _refuse(self, what: str) -> Any:
        self._handler.refuse(f"{what} needs the pulumi CLI; use ENGINE=cli")
        return empty_pb2.Empty()

    def _abort(self, what: str, context: Any) -> Any:
        reason = f"{what} needs the pulumi CLI; use ENGINE=cli"
        self._handler.refuse(reason)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, reason)


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self, handler: ProgramHandler) -> None:
        self._handler = handler
        self._root = ""

    def Log(self, request: Any, context: Any) -> Any:
        severity = engine_pb2.LogSeverity.Name(request.severity).lower()
        self._handler.log(severity, request.message)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any) -> Any:
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any, context: Any) -> Any:
        # The version of the engine is that of the SDK, which pip has installed for the program.
        return engine_pb2.RequirePulumiVersionResponse()


def _build_response(answer: Answer) -> resource_pb2.RegisterResourceResponse:
    outputs = Struct()
    outputs.update(tree_to_json(answer.outputs))
    result = resource_pb2.Result.FAIL if answer.failed else resource_pb2.Result.SUCCESS
    return resource_pb2.RegisterResourceResponse(
        urn=answer.urn, id=answer.id, object=outputs, result=result
    )


# Requests as plain data


def _find_refusals(request: resource_pb2.RegisterResourceRequest) -> Iterator[str]:
    """Yields the reasons why the embedded engine cannot serve a registration."""
    name = f'{request.type} "{request.name}"'
    is_object = request.type.startswith(OBJECT_PREFIX)
    is_supported = is_object or request.type in (STACK_TYPE, PROVIDER_TYPE)
    if request.custom and (not is_supported or request.type == RELEASE or _is_patch(request)):
        yield (
            f"{name}: type {request.type} needs the pulumi CLI; supported: objects of Kubernetes; "
            "use ENGINE=cli"
        )
    elif request.custom and is_object and not request.provider:
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
        yield f"{name}: option {option} needs the pulumi CLI; use ENGINE=cli"


def _is_patch(request: resource_pb2.RegisterResourceRequest) -> bool:
    """Returns whether a resource is one such as `ConfigMapPatch`, whose `kind` is `ConfigMap`."""
    kind = request.object.fields.get("kind", Value()).string_value
    return kind not in ("", request.type.rpartition(":")[2])


def _build_registration(request: resource_pb2.RegisterResourceRequest) -> Registration:
    """Builds plain data from the request. EngineError for values that only the CLI can serve."""
    # The SDK sends sets, in an order that differs from run to run. They are sorted, so that the
    # state of an unchanged resource is the same after each run.
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


# Running the program


def run_program(
    process: ProgramProcess,
    project: Project,
    stack: str,
    config: StackConfig,
    handler: ProgramHandler,
    *,
    dry_run: bool,
    plan: StackPlan | None = None,
) -> None:
    """Runs the program to its end with a handler. EngineError with the program's own message.

    `plan` is given to this run and all later ones of the process.
    """
    address, stop = _serve(handler, project.name, stack, dry_run)
    try:
        process.run(
            {
                "address": address,
                "project": project.name,
                "stack": stack,
                "root": str(project.root),
                "program": str(project.program),
                "config": dict(config.values),
                "secret_keys": sorted(config.secret_keys),
                "dry_run": dry_run,
                "parallel": _PARALLEL,
                "plan": _encode_plan(plan) if plan is not None else "",
            }
        )
    finally:
        stop()


def _encode_plan(plan: StackPlan) -> str:
    # A pickle is safe here: it goes through a pipe to a process of the same code.
    return base64.b64encode(pickle.dumps(plan)).decode()


def _serve(
    handler: ProgramHandler, project: str, stack: str, dry_run: bool
) -> tuple[str, Callable[[], None]]:
    """Starts both services on a loopback port. Returns the address, and what stops them."""
    info = resource_pb2.DeploymentInfo(
        project=project,
        stack=stack,
        organization="organization",
        dryRun=dry_run,
        parallel=_PARALLEL,
        supportedFeatures=_FEATURES,
    )
    pool = ThreadPoolExecutor(_SERVER_THREADS, thread_name_prefix="monitor")
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
        # Otherwise another process of this machine could listen on the same port, and gRPC would
        # divide the requests between the two.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(pool, options=options)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(_Monitor(handler, info), server)
    engine_pb2_grpc.add_EngineServicer_to_server(_Engine(handler), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def stop() -> None:
        server.stop(grace=None).wait()
        pool.shutdown(wait=False, cancel_futures=True)

    return f"127.0.0.1:{port}", stop
