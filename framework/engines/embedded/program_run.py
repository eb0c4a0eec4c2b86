"""One run of the program against a handler: the services it talks to, and its orders.

Kept apart from the handlers: they decide about resources, this connects them with the program.
"""

from __future__ import annotations

from framework.engines.embedded.monitor import SERVER_THREADS, ProgramHandler, serve
from framework.engines.embedded.program_process import ProgramProcess
from framework.engines.embedded.project import Project, StackConfig

# Threads of the program that wait for registrations; the server keeps some for everything else.
PARALLEL = SERVER_THREADS - 16


def run_program(
    process: ProgramProcess,
    project: Project,
    stack: str,
    config: StackConfig,
    handler: ProgramHandler,
    *,
    dry_run: bool,
) -> None:
    """Run the program to its end. EngineError when it fails, with its own words."""
    address, stop = serve(handler, project.name, stack, dry_run, PARALLEL)
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
                "parallel": PARALLEL,
            }
        )
    finally:
        stop()
