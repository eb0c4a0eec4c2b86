"""Pulumi's resource monitor and engine services, served to the program over loopback gRPC.

Owns the protocol: requests in, plain data to a `ProgramHandler`, its answers out. Decides nothing
about resources; refuses what has no place in this engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc
from google.protobuf import empty_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)

from framework.core.errors import EngineError
from framework.engines.embedded.registration import (
    Registration,
    build_registration,
    find_refusals,
)
from framework.engines.embedded.values import tree_from_json, tree_to_json
from framework.engines.urns import refused_urn

# Every registration holds a thread until its rollout is over.
SERVER_THREADS = 272
_MESSAGE_BYTES = 400 * 1024 * 1024
# Claimed so that the SDK sends what is to be refused by name, instead of a message of its own.
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


@dataclass(frozen=True)
class Answer:
    """What the program learns of a resource: `outputs` may hold secrets; "" as id is unknown."""

    urn: str
    id: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False


class ProgramHandler(Protocol):
    """Who decides about the program's resources. Called from many threads at once."""

    def register(self, registration: Registration) -> Answer:
        """Decide on one resource. The program waits for the answer; a fault has `failed`."""

    def register_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Take the outputs of a component or the Stack, which come after all below it."""

    def refuse(self, fault: str) -> None:
        """Note something that only the CLI can do."""

    def log(self, severity: str, message: str) -> None:
        """Take a message; `severity` is debug, info, warning or error."""


class _Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    def __init__(self, handler: ProgramHandler, info: resource_pb2.DeploymentInfo) -> None:
        self._handler, self._info = handler, info

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:
        return self._info

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        known = {"secrets", "aliasSpecs", "deletedWith", "transforms", "resourceHooks"}
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in known)

    def RegisterResource(self, request: Any, context: Any) -> Any:
        refusals = list(find_refusals(request))
        try:
            registration = build_registration(request)
        except EngineError as exc:
            refusals.append(f'{request.type} "{request.name}": {exc}')
        for fault in refusals:
            self._handler.refuse(fault)
        if refusals:
            # The program goes on, so that one run names everything.
            return resource_pb2.RegisterResourceResponse(
                urn=refused_urn(request.type, request.name),
                result=resource_pb2.Result.FAIL,
            )
        return _response(self._handler.register(registration))

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
        return self._abort(f"package {request.name}: a parameterised package", context)

    def RegisterStackTransform(self, request: Any, context: Any) -> Any:
        return self._note("a stack transform")

    def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:
        return self._note("a stack invoke transform")

    def RegisterResourceHook(self, request: Any, context: Any) -> Any:
        return self._note(f'resource hook "{request.name}"')

    def RegisterErrorHook(self, request: Any, context: Any) -> Any:
        return self._note(f'error hook "{request.name}"')

    def _note(self, what: str) -> Any:
        self._handler.refuse(f"{what} needs the pulumi CLI")
        return empty_pb2.Empty()

    def _abort(self, what: str, context: Any) -> Any:
        fault = f"{what} needs the pulumi CLI"
        self._handler.refuse(fault)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, fault)


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
        # The SDK is the engine's version here, and pip has already chosen it.
        return engine_pb2.RequirePulumiVersionResponse()


def _response(answer: Answer) -> resource_pb2.RegisterResourceResponse:
    outputs = Struct()
    outputs.update(tree_to_json(answer.outputs))
    result = resource_pb2.Result.FAIL if answer.failed else resource_pb2.Result.SUCCESS
    return resource_pb2.RegisterResourceResponse(
        urn=answer.urn, id=answer.id, object=outputs, result=result
    )


def serve(
    handler: ProgramHandler, project: str, stack: str, dry_run: bool, parallel: int
) -> tuple[str, Callable[[], None]]:
    """Serve both services on a loopback port; the address, and what stops the server."""
    info = resource_pb2.DeploymentInfo(
        project=project,
        stack=stack,
        organization="organization",
        dryRun=dry_run,
        parallel=parallel,
        supportedFeatures=_FEATURES,
    )
    pool = ThreadPoolExecutor(SERVER_THREADS, thread_name_prefix="monitor")
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MESSAGE_BYTES),
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
