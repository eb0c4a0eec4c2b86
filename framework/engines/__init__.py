"""Chooses how a stack is deployed: by the real pulumi CLI, or by the embedded engine.

Kept free of imports of Pulumi: the choice itself must cost nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from framework.engines.base import Engine
from framework.errors import EngineError, UnknownNameError

ENGINES = ("auto", "cli", "embedded")
_PLUGIN = "pulumi-resource-kubernetes"


def choose_engine(name: str, root: Path) -> tuple[Engine, str]:
    """The engine for `auto`, `cli` or `embedded`, and the reason, for people.

    `auto` takes the CLI only where the kubernetes plugin is there too. EngineError when `cli` is
    asked for and there is none.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    if name == "embedded":
        return _embedded(), f"as asked for; state: {_state(root)}, readable by the CLI"
    missing = missing_cli()
    if not missing:
        why = "as asked for" if name == "cli" else "pulumi and its kubernetes plugin are here"
        return _cli(), why
    if name == "cli":
        raise EngineError(f"ENGINE=cli: {missing}; install it, or use ENGINE=embedded")
    return _embedded(), f"{missing}; state: {_state(root)}, readable by the CLI"


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


def _embedded() -> Engine:
    from framework.engines.embedded.engine import EmbeddedEngine

    return EmbeddedEngine()


def _cli() -> Engine:
    from framework.engines.automation import AutomationEngine

    return AutomationEngine()
