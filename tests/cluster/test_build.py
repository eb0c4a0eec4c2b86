"""Binaries are built once for a set of pins, whole or not at all, and go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from framework.cluster.build import ESTIMATE, PACKAGES, Binaries
from framework.cluster.pins import Pins, load_pins
from framework.core.errors import LocalClusterError
from framework.core.user_cache import cache_directory
from tests.cluster.conftest import GO_MOD, Progress

FakeGo = Callable[..., Path]


@pytest.fixture
def binaries(pins: Pins, tmp_path: Path) -> Binaries:
    return Binaries(pins, tmp_path / "cache")


def test_every_component_is_built_and_reported(
    binaries: Binaries, fake_go: FakeGo, progress: Progress
) -> None:
    fake_go()
    binaries.build(progress)
    assert binaries.missing == ()
    assert progress.finished("build") == list(PACKAGES)
    assert progress[0].message == ESTIMATE
    assert [(p.index, p.total) for p in progress if p.done] == [(n, 5) for n in range(1, 6)]


def test_what_is_built_is_not_built_again(
    binaries: Binaries, fake_go: FakeGo, progress: Progress
) -> None:
    fake_go()
    binaries.build(Progress())
    binaries.build(progress)
    assert progress == []


def test_a_failure_shows_the_compiler_s_words_and_keeps_the_log(
    binaries: Binaries, fake_go: FakeGo
) -> None:
    fake_go(fails="*kube-scheduler")
    with pytest.raises(LocalClusterError) as caught:
        binaries.build(Progress())
    log = binaries.directory / "kube-scheduler.log"
    assert "building kube-scheduler failed with exit code 1" in str(caught.value)
    assert "k8s.io/kubernetes/cmd/kube-scheduler: undefined: x" in str(caught.value)
    assert str(log) in str(caught.value)
    assert "undefined: x" in log.read_text()


def test_a_build_goes_on_where_it_failed(
    binaries: Binaries, fake_go: FakeGo, progress: Progress
) -> None:
    fake_go("go1.26.1", fails="*kube-scheduler")
    with pytest.raises(LocalClusterError):
        binaries.build(Progress())
    assert binaries.missing == ("kube-scheduler", "kwok")
    fake_go("go1.26.2")
    binaries.build(progress)
    assert progress.finished("build") == ["kube-scheduler", "kwok"]


def test_an_interrupted_build_leaves_nothing_half(binaries: Binaries, fake_go: FakeGo) -> None:
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
        lambda pins: replace(pins, digest="f" * 64),
        lambda pins: replace(pins, kubernetes="v1.38.0"),
        lambda pins: replace(pins, goarch="riscv64"),
    ],
    ids=["modules", "version", "platform"],
)
def test_other_pins_are_other_binaries(
    pins: Pins, tmp_path: Path, change: Callable[[Pins], Pins]
) -> None:
    assert Binaries(change(pins), tmp_path).directory != Binaries(pins, tmp_path).directory


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_the_pins_are_those_of_both_files(pins: Pins, file: str) -> None:
    with (pins.tools / file).open("a") as out:
        out.write("// changed\n")
    assert load_pins(pins.tools).digest != pins.digest
    assert load_pins(pins.tools).kubernetes == "v1.37.2"


def test_a_module_without_kubernetes_pins_nothing(pins: Pins) -> None:
    (pins.tools / "go.mod").write_text(GO_MOD.replace("k8s.io/kubernetes", "example.com/x"))
    with pytest.raises(LocalClusterError, match=r"go\.mod: requires no k8s\.io/kubernetes"):
        load_pins(pins.tools)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("/var/x", "/var/x/modelcatalog"), ("relative", "/home/u/.cache/modelcatalog"), ("", None)],
)
def test_the_cache_is_the_user_s(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: str | None
) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert str(cache_directory()) == (expected or "/home/u/.cache/modelcatalog")
