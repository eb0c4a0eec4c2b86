"""The program's own process: what Pulumi's language host for Python does, and no more.

Runs as `python -m framework.engines.embedded.host` in the project's folder. Kept apart from the
engine because a program needs a process of its own: the SDK's settings leak through context
variables, and `run_path` swaps modules. Reads one line of JSON from stdin, writes one to the file
descriptor named in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import runpy
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pulumi.runtime
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc
from pulumi.runtime.settings import Settings, configure
from pulumi.runtime.stack import run_in_stack


def main() -> int:
    """Run the program once; 0 when it ended well."""
    # The SDK's typed classes take most of a start: load them while the engine opens its state.
    preload = threading.Thread(target=_preload, daemon=True)
    preload.start()
    line = sys.stdin.readline()
    if not line:
        return 3
    order: dict[str, Any] = json.loads(line)
    preload.join()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _run(order)
    except BaseException as exc:
        _report(order, exc)
        return 1
    return 0


class _QuietEngine:
    """The engine's service without debug messages: the SDK sends half a dozen a resource."""

    def __init__(self, address: str) -> None:
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)

    def Log(self, request: Any) -> Any:
        if request.severity == engine_pb2.LogSeverity.Value("DEBUG"):
            return None
        return self._stub.Log(request)


def _preload() -> None:
    # By name: a type checker that follows this import reads a million lines.
    with contextlib.suppress(ImportError):
        importlib.import_module("pulumi_kubernetes")


def _run(order: dict[str, Any]) -> None:
    pulumi.runtime.set_all_config(order["config"], order["secret_keys"])
    configure(
        Settings(
            project=order["project"],
            stack=order["stack"],
            monitor=order["address"],
            engine=_QuietEngine(order["address"]),
            dry_run=order["dry_run"],
            parallel=order["parallel"],
            organization="organization",
            root_directory=order["root"],
        )
    )
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(order["parallel"]))

    def program() -> None:
        runpy.run_path(order["program"], run_name="__main__")

    loop.run_until_complete(run_in_stack(program))


def _end_with_parent() -> None:
    """Stdin closes when the engine is gone, however it went."""
    sys.stdin.read()
    os._exit(3)


def _report(order: dict[str, Any], exc: BaseException) -> None:
    frames = traceback.extract_tb(exc.__traceback__)
    root = str(Path(order["root"]).resolve())
    own = [f for f in frames if f.filename.startswith(root) and "site-packages" not in f.filename]
    place = f"{os.path.relpath(own[-1].filename, root)}:{own[-1].lineno}" if own else ""
    report = {
        "kinds": [cls.__name__ for cls in type(exc).__mro__],
        "message": str(exc),
        "place": place,
        "traceback": traceback.format_exception(exc)[-4:],
    }
    with os.fdopen(order["report_fd"], "w") as file:
        json.dump(report, file)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of the SDK may still wait for replies that no longer matter.
    os._exit(code)
