"""Serves Pulumi's resource monitor and engine services to the program, over loopback gRPC.

Requests become plain data for a `ProgramHandler`, which decides. What the embedded engine does not
support is refused by name. The protocol is `proto/pulumi/resource.proto` and `engine.proto`.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

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
from framework.engines.embedded.process import ProgramProcess
from framework.engines.embedded.registration import (
    Registration,
    build_registration,
    find_refusals,
)
from framework.engines.project import Project, StackConfig
from framework.engines.urns import build_failed_urn
from framework.engines.values import tree_from_json, tree_to_json

if TYPE_CHECKING:
    from framework.plan import StackPlan

# A registration holds a thread until its rollout is over, so there are as many threads as
# registrations that may wait at a time, and some for all other requests.
_PARALLEL = 256
_SERVER_THREADS = _PARALLEL + 16
_MESSAGE_BYTES = 400 * 1024 * 1024
# Claimed although most are refused: the SDK then sends the option, and the refusal can name it. For
# a feature that is not claimed the SDK raises an error of its own.
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
    """The answer to a registration; `outputs` may hold secrets; an `id` of "" is unknown."""

    urn: str
    id: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False


class ProgramHandler(Protocol):
    """Decides about the program's resources. Called from many threads at once."""

    def register(self, registration: Registration) -> Answer:
        """Handles one resource, while the program waits. A failure is an answer with `failed`."""

    def register_outputs(self, urn: str, outputs: Mapping[str, Any]) -> None:
        """Takes the outputs of a component or the Stack, which come after all its children."""

    def refuse(self, reason: str) -> None:
        """Notes something that only the CLI supports."""

    def log(self, severity: str, message: str) -> None:
        """Takes a message; `severity` is debug, info, warning or error."""


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
        for reason in refusals:
            self._handler.refuse(reason)
        if refusals:
            # Not an error of the call, which would end the program: one run names everything.
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
        return self._abort(f"package {request.name}: a parameterised package", context)

    def RegisterStackTransform(self, request: Any, context: Any) -> Any:
        return self._refuse("a stack transform")

    def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:
        return self._refuse("a stack invoke transform")

    def RegisterResourceHook(self, request: Any, context: Any) -> Any:
        return self._refuse(f'resource hook "{request.name}"')

    def RegisterErrorHook(self, request: Any, context: Any) -> Any:
        return self._refuse(f'error hook "{request.name}"')

    def _refuse(self, what: str) -> Any:
        self._handler.refuse(f"{what} needs the pulumi CLI")
        return empty_pb2.Empty()

    def _abort(self, what: str, context: Any) -> Any:
        reason = f"{what} needs the pulumi CLI"
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
    """Runs the program to its end against a handler. EngineError, in its own words, if it fails.

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
