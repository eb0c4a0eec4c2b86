"""The choice of the engine, and its reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from framework.core.errors import EngineError, UnknownNameError
from framework.engines import choose_engine
from framework.engines.pulumi_cli import PulumiCli, build_environment, load_pulumi_binaries
from tests.engines.fakes import Stack
from tests.shipped import ROOT


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Stack) -> Path:
    """A PATH, a PULUMI_HOME and a cache with nothing in them; the project is beside them."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def install(machine: Path, name: str, script: str = "echo v3.274.1") -> Path:
    path = machine / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def tools(machine: Path) -> Path:
    """The pins of the two programs."""
    for name in ("pulumi", "pulumi-kubernetes"):
        shutil.copytree(ROOT / "tools" / name, machine / "tools" / name)
    return machine / "tools"


@pytest.fixture
def built(machine: Path, tools: Path) -> Path:
    """Writes what `make setup-pulumi` leaves in the cache; returns the path of the CLI."""
    cli, provider = load_pulumi_binaries(machine)
    for binaries in (cli, provider):
        binaries.directory.mkdir(parents=True)
        for program in binaries.programs:
            binaries.path(program.name).touch()
    return cli.path("pulumi")


def test_auto_without_a_cli_is_embedded(machine: Path) -> None:
    choice = choose_engine("auto", machine)
    assert choice.name == "embedded"
    assert choice.reason == "no pulumi CLI is installed; state: .state, readable by the CLI"


def test_auto_without_the_plugin_is_embedded(machine: Path) -> None:
    install(machine, "pulumi")
    choice = choose_engine("auto", machine)
    assert choice.name == "embedded"
    assert "no kubernetes plugin" in choice.reason


@pytest.mark.parametrize(
    "script", ["exit 1", "echo", "kill -9 $$", "echo dev", "echo v3", "echo Segmentation fault"]
)
def test_auto_with_a_broken_cli_is_embedded(machine: Path, script: str) -> None:
    command = install(machine, "pulumi", script)
    install(machine, "pulumi-resource-kubernetes")
    choice = choose_engine("auto", machine)
    assert choice.name == "embedded"
    assert f"{command} does not run here" in choice.reason


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v3.100.0", "embedded"), ("v3.224.9", "embedded"), ("v3.225.0", "cli"), ("v4.0.0", "cli")],
)
def test_auto_with_an_old_cli_is_embedded(machine: Path, version: str, expected: str) -> None:
    command = install(machine, "pulumi", f"echo {version}")
    install(machine, "pulumi-resource-kubernetes")
    choice = choose_engine("auto", machine)
    assert choice.name == expected
    if expected == "embedded":
        reason = f"{command} is pulumi {version}, which is too old: this needs v3.225.0 or later"
        assert choice.reason.startswith(reason)


@pytest.mark.usefixtures("tools")
def test_old_cli_is_refused_by_name(machine: Path) -> None:
    install(machine, "pulumi", "echo v3.100.0")
    install(machine, "pulumi-resource-kubernetes")
    with pytest.raises(EngineError, match=r"v3\.100\.0.* too old: .*so update it") as raised:
        choose_engine("cli", machine)
    assert "make setup-pulumi" in str(raised.value)


def test_built_cli_is_used_if_the_installed_one_is_too_old(machine: Path, built: Path) -> None:
    install(machine, "pulumi", "echo v3.100.0")
    install(machine, "pulumi-resource-kubernetes")
    choice = choose_engine("cli", machine)
    assert choice.cli is not None
    assert choice.cli.command == built
    reason = "so update it; ENGINE=cli runs the one that `make setup-pulumi` has built; state: "
    assert reason in choose_engine("auto", machine).reason


def test_version_that_is_none_is_quoted_in_one_line(machine: Path, tools: Path) -> None:
    install(machine, "pulumi", "echo 'Welcome to the wrapper'")
    install(machine, "pulumi-resource-kubernetes")
    with pytest.raises(EngineError, match='prints "Welcome", which is not a version') as error:
        choose_engine("cli", machine)
    assert "\n" not in str(error.value)


def test_auto_finds_the_plugin_on_the_path(machine: Path) -> None:
    install(machine, "pulumi")
    install(machine, "pulumi-resource-kubernetes")
    choice = choose_engine("auto", machine)
    assert choice.name == "cli"
    assert choice.reason == "pulumi v3.274.1 is installed"


def test_auto_finds_the_plugin_in_pulumi_home(machine: Path) -> None:
    install(machine, "pulumi")
    (machine / "home/plugins/resource-kubernetes-v4.34.2").mkdir(parents=True)
    assert choose_engine("auto", machine).name == "cli"
    assert choose_engine("embedded", machine).name == "embedded"


def test_built_cli_is_used_only_when_asked_for(machine: Path, built: Path) -> None:
    embedded = choose_engine("auto", machine)
    assert embedded.name == "embedded"
    assert embedded.reason.startswith(
        "no pulumi CLI is installed; ENGINE=cli runs the one that `make setup-pulumi` has built; "
        "state: "
    )
    choice = choose_engine("cli", machine)
    assert choice.cli is not None
    assert choice.cli.command == built
    assert "pulumi-kubernetes" in choice.cli.search_path


@pytest.mark.usefixtures("built")
def test_installed_cli_is_used_before_the_built_one(machine: Path) -> None:
    command = install(machine, "pulumi")
    install(machine, "pulumi-resource-kubernetes")
    choice = choose_engine("cli", machine)
    assert choice.cli is not None
    assert choice.cli.command == command


@pytest.mark.usefixtures("tools")
def test_missing_cli_is_refused_with_the_command_that_builds_it(machine: Path) -> None:
    with pytest.raises(EngineError) as raised:
        choose_engine("cli", machine)
    assert str(raised.value) == (
        "ENGINE=cli: no pulumi CLI is installed. Run `make setup-pulumi` once, install both, or "
        "use ENGINE=embedded"
    )


def test_unknown_engine_is_refused(machine: Path) -> None:
    with pytest.raises(UnknownNameError, match="no engine is called"):
        choose_engine("terraform", machine)


def test_garbage_collection_of_the_cli_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    cli = PulumiCli(Path("pulumi"), "v3.274.1", "/bin", built=False)
    monkeypatch.delenv("GOGC", raising=False)
    assert build_environment(cli)["GOGC"] == "400"
    monkeypatch.setenv("GOGC", "50")
    assert "GOGC" not in build_environment(cli)
