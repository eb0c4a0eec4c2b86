"""Chooses how a stack is deployed: by the real pulumi CLI, or by the embedded engine.

Kept free of imports of Pulumi: the choice itself must cost nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from framework.core.errors import EngineError, UnknownNameError
from framework.engines.base import Engine
from framework.engines.embedded.program_process import ProgramProcess

ENGINES = ("auto", "cli", "embedded")
_PLUGIN = "pulumi-resource-kubernetes"


@dataclass(frozen=True)
class EngineChoice:
    """Which engine, `cli` or `embedded`, and why, for people."""

    name: str
    why: str


def choose_engine(name: str, root: Path) -> EngineChoice:
    """The engine for `auto`, `cli` or `embedded`.

    `auto` takes the CLI only where the kubernetes plugin is there too. EngineError when `cli` is
    asked for and there is none.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    if name == "embedded":
        why = f"as asked for; state: {_state(root)}, readable by the CLI"
        return EngineChoice("embedded", why)
    missing = missing_cli()
    if not missing:
        why = "as asked for" if name == "cli" else "pulumi and its kubernetes plugin are here"
        return EngineChoice("cli", why)
    if name == "cli":
        raise EngineError(f"ENGINE=cli: {missing}; install it, or use ENGINE=embedded")
    return EngineChoice("embedded", f"{missing}; state: {_state(root)}, readable by the CLI")


@contextmanager
def open_engine(choice: EngineChoice, root: Path, *, runs_program: bool) -> Iterator[Engine]:
    """The chosen engine, ready for use; `runs_program` where a preview or an `up` is to come."""
    if choice.name == "cli":
        from framework.engines.automation import AutomationEngine

        yield AutomationEngine()
        return
    with ExitStack() as stack:
        process = None
        if runs_program:
            # Before the engine's own imports, so that both load side by side.
            process = stack.enter_context(ProgramProcess(root))
        from framework.engines.embedded.engine import EmbeddedEngine

        yield EmbeddedEngine(process=process)


def missing_cli() -> str:
    """What the CLI engine lacks on this machine, "" for nothing."""
    if shutil.which("pulumi") is None:
        return "no pulumi CLI found"
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    if any(home.glob("plugins/resource-kubernetes-v*")) or shutil.which(_PLUGIN):
        return ""
    return f"no kubernetes plugin of pulumi found in {home}/plugins"


def _state(root: Path) -> str:
    from framework.engines.embedded.project import load_project

    url = load_project(root).backend_url
    return url.removeprefix("file://").removeprefix("./") or "none"
