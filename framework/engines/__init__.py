"""Chooses how a stack is deployed: by the pulumi CLI, or by the embedded engine.

Imports no Pulumi until an engine is opened: `list` and `validate` choose none and stay fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from framework.core.errors import EngineError, UnknownNameError
from framework.engines.base import Engine
from framework.engines.embedded.process import ProgramProcess
from framework.engines.pulumi_cli import SETUP, PulumiCli, find_pulumi
from framework.engines.variables import only_followed_variables

ENGINES = ("auto", "cli", "embedded")


@dataclass(frozen=True)
class EngineChoice:
    """The chosen engine, `cli` or `embedded`, and the reason in words; with `cli`, the CLI."""

    name: str
    reason: str
    cli: PulumiCli | None = None


def choose_engine(name: str, root: Path) -> EngineChoice:
    """Returns the engine for `auto`, `cli` or `embedded`.

    `auto` chooses the CLI only where it is installed and its kubernetes plugin too, not where
    `make setup-pulumi` has built it: the embedded engine is several times faster. A state that is
    not in a folder is read by the CLI alone, installed or built. Raises EngineError if the engine
    cannot run.
    """
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    if (remote := _describe_remote_state(root)) is not None:
        return _choose_for_remote_state(name, root, remote)
    if name == "embedded":
        reason = f"as requested; state: {_describe_state(root)}, readable by the CLI"
        return EngineChoice("embedded", reason)
    cli = find_pulumi(root, built=name == "cli")
    if isinstance(cli, PulumiCli):
        source = _describe_source(cli)
        reason = f"as requested; {source}" if name == "cli" else f"pulumi {source}"
        return EngineChoice("cli", reason, cli)
    if name == "cli":
        raise EngineError(
            f"ENGINE=cli: {cli.reason}. Run `{SETUP}` once, install both, or use ENGINE=embedded"
        )
    return EngineChoice(
        "embedded", f"{cli.reason}; state: {_describe_state(root)}, readable by the CLI"
    )


def _choose_for_remote_state(name: str, root: Path, remote: str) -> EngineChoice:
    """Returns the CLI for a state that is not in a folder. EngineError if it cannot run."""
    if name == "embedded":
        raise EngineError(
            f"ENGINE=embedded: the state is in {remote}, which only the pulumi CLI reads; use "
            "ENGINE=cli, or name a folder in backend.url of Pulumi.yaml and unset "
            "PULUMI_BACKEND_URL"
        )
    cli = find_pulumi(root)
    if not isinstance(cli, PulumiCli):
        raise EngineError(
            f"the state is in {remote}, which only the pulumi CLI reads, and {cli.reason}. Run "
            f"`{SETUP}` once, or install both"
        )
    return EngineChoice("cli", f"{_describe_source(cli)}; state: {remote}", cli)


def _describe_source(cli: PulumiCli) -> str:
    return "built by make setup-pulumi" if cli.built else f"{cli.version} is installed"


def _describe_remote_state(root: Path) -> str | None:
    """Returns the place of a state that only the CLI reads, None for a folder."""
    from framework.engines.project import load_project

    project = load_project(root)
    return None if project.has_file_backend else project.describe_backend()


@contextmanager
def open_engine(choice: EngineChoice, root: Path, *, runs_program: bool) -> Iterator[Engine]:
    """Yields the chosen engine. `runs_program`: the caller is going to call `preview` or `up`."""
    with only_followed_variables():
        if choice.cli is not None:
            from framework.engines.cli import CliEngine

            yield CliEngine(choice.cli)
            return
        # Before the engine's own imports, so that both processes load Pulumi at the same time.
        with ProgramProcess(root) if runs_program else nullcontext() as process:
            from framework.engines.embedded.engine import EmbeddedEngine

            if process is None:
                yield EmbeddedEngine()
                return
            import_module("framework.engines.embedded.monitor")
            yield EmbeddedEngine(start_program=lambda root: nullcontext(process))


def _describe_state(root: Path) -> str:
    # Imported here: a project's secrets need the cryptography package, which takes long to load.
    from framework.engines.project import load_project

    url = load_project(root).backend_url
    return url.removeprefix("file://").removeprefix("./") or "none"
