"""Runs the program in a process of its own, as Pulumi's language host for Python does.

Started as `python -m framework.engines.embedded.host FD` in the project's folder. Each line of
stdin is a request to run the program once, as JSON. The results are lines of JSON on the file
descriptor FD: an error if the program failed, then its exit code.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import importlib
import json
import os
import pickle
import runpy
import select
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, TextIO

import pulumi.runtime
from pulumi.runtime.settings import SETTINGS, Settings, configure
from pulumi.runtime.stack import run_in_stack

from framework.core.redaction import redact_text
from framework.engines.pulumi_sdk import leave_out_details

# These imports take most of the time of the start. They are imported by name, because a type
# checker that follows pulumi_kubernetes reads a million lines.
_PRELOADED = ("pulumi_kubernetes", "framework.program")


def main() -> None:
    """Runs the program for every request, until the engine closes stdin."""
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # What is loaded so far is shared with every fork. A garbage collection that visits it would
    # write to each page, and the kernel would have to copy the page.
    gc.freeze()
    with os.fdopen(int(sys.argv[1]), "w") as reports:
        for line in sys.stdin:
            request = json.loads(line)
            # Before the fork, so that the later run of the apply has the plan as well.
            _keep_plan(request)
            # A fork for each run: the SDK keeps its settings in context variables that one run
            # would leave to the next, and a second start would take a second.
            run = os.fork()
            if run == 0:
                _run_and_exit(request, reports)
            _, status = os.waitpid(run, 0)
            _report(reports, {"code": os.waitstatus_to_exitcode(status)})


def _keep_plan(request: dict[str, Any]) -> None:
    """Gives the program the plan of a request, where the request has one."""
    if request["plan"]:
        from framework.program import give_plan

        give_plan(Path(request["root"]), pickle.loads(base64.b64decode(request["plan"])))


def _run_and_exit(request: dict[str, Any], reports: TextIO) -> NoReturn:
    threading.Thread(target=_exit_with_engine, daemon=True).start()
    code = 0
    try:
        _run(request)
    except BaseException as exc:
        _report(reports, _describe_error(request, exc))
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Not `sys.exit`: threads of the SDK may still wait for replies that no longer matter.
    os._exit(code)


def _run(request: dict[str, Any]) -> None:
    leave_out_details()
    pulumi.runtime.set_all_config(request["config"], request["secret_keys"])
    configure(
        Settings(
            project=request["project"],
            stack=request["stack"],
            monitor=request["address"],
            engine=request["address"],
            dry_run=request["dry_run"],
            parallel=request["parallel"],
            organization="organization",
            root_directory=request["root"],
        )
    )
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(request["parallel"]))

    async def program() -> None:
        runpy.run_path(request["program"], run_name="__main__")
        await _await_outputs()

    loop.run_until_complete(run_in_stack(program))


async def _await_outputs() -> None:
    """Waits until the outputs of all resources are known, or until one of them fails.

    The SDK waits for them as well, but looks at every outstanding output each time that one of them
    is done. That takes minutes for 1,000 models. What has failed stays in the set; the SDK finds
    and raises it.
    """
    while True:
        with SETTINGS.lock:
            outputs = list(SETTINGS.outputs)
        if not outputs:
            return
        done, _ = await asyncio.wait(outputs, return_when=asyncio.FIRST_EXCEPTION)
        if any(output.cancelled() or output.exception() for output in done):
            return


def _exit_with_engine() -> None:
    """Exits when stdin closes: then the engine has ended, for whatever reason."""
    # Registered for no event, so that poll reports only that stdin is closed. A request that
    # arrives during this run stays in stdin for the next one.
    closing = select.poll()
    closing.register(sys.stdin, 0)
    closing.poll()
    os._exit(3)


def _describe_error(request: dict[str, Any], exc: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(exc.__traceback__)
    root = str(Path(request["root"]).resolve())
    own = [f for f in frames if f.filename.startswith(root) and "site-packages" not in f.filename]
    position = f"{os.path.relpath(own[-1].filename, root)}:{own[-1].lineno}" if own else ""
    secrets = [request["config"][key] for key in request["secret_keys"]]
    return {
        "classes": [cls.__name__ for cls in type(exc).__mro__],
        "message": redact_text(str(exc), secrets),
        "position": position,
        "traceback": redact_text("".join(traceback.format_exception(exc)), secrets),
    }


def _report(reports: TextIO, report: dict[str, Any]) -> None:
    print(json.dumps(report), file=reports, flush=True)


if __name__ == "__main__":
    main()
