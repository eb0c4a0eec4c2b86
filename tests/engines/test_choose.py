"""The choice of the engine, and its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.errors import EngineError, StateError, UnknownNameError
from framework.engines import EngineChoice, choose_engine
from tests.engines.fakes import Stack


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Stack) -> Path:
    """A PATH and a PULUMI_HOME with nothing in them; the project is beside them."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    return tmp_path


def _install(machine: Path, name: str) -> None:
    (machine / "bin" / name).write_text("#!/bin/sh\n")
    (machine / "bin" / name).chmod(0o755)


def test_auto_without_a_cli_is_embedded(machine: Path) -> None:
    assert choose_engine("auto", machine) == EngineChoice(
        "embedded", "no pulumi CLI found; state: .state, readable by the CLI"
    )


def test_auto_without_the_plugin_is_embedded(machine: Path) -> None:
    _install(machine, "pulumi")
    choice = choose_engine("auto", machine)
    assert choice.name == "embedded"
    assert "no kubernetes plugin" in choice.why


def test_auto_finds_the_plugin_on_the_path(machine: Path) -> None:
    _install(machine, "pulumi")
    _install(machine, "pulumi-resource-kubernetes")
    assert choose_engine("auto", machine).name == "cli"


def test_auto_finds_the_plugin_in_pulumi_home(machine: Path) -> None:
    _install(machine, "pulumi")
    (machine / "home/plugins/resource-kubernetes-v4.34.2").mkdir(parents=True)
    assert choose_engine("auto", machine).name == "cli"
    assert choose_engine("embedded", machine).name == "embedded"


def test_missing_cli_is_refused_when_asked_for(machine: Path) -> None:
    with pytest.raises(EngineError, match="ENGINE=cli: no pulumi CLI found"):
        choose_engine("cli", machine)


def test_unknown_engine_is_refused(machine: Path) -> None:
    with pytest.raises(UnknownNameError, match="no engine is called"):
        choose_engine("terraform", machine)


def test_cli_engine_without_a_passphrase_is_refused(
    stack: Stack, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from framework.engines.cli import AutomationEngine

    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    with pytest.raises(StateError, match="PULUMI_CONFIG_PASSPHRASE"):
        AutomationEngine().preview(stack.request())
