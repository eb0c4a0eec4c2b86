"""What is read back is what would be found out now, whatever was edited in between."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from framework.plan.cache import PlanCache
from framework.plan.survey import find_diagnostics, load_plan, load_survey
from tests.plan.small_catalog import FILES, PROD, write_files

DEV = "environments/dev/environment.yaml"
OVERLAY = "environments/prod/models/{}.yaml"
# What each kind of file may be made of; some of it wrong, some of it in vain.
LINES = {
    "model": ("replicas: 3\n", "enabled: false\n", "description: x\n", "replica: 1\n", "a: [\n",
              "rollout: {maxSurge: 0, maxUnavailable: 0}\n", "labels: {a: '${nobody}'}\n"),
    "profile": ("replicas: 5\n", "startupSeconds: 40\n", "nothing: 1\n", ""),
    "layer": ("overrides: {replicas: 4}\n", "defaults: {replicas: 2}\n", "overrides: {a: 1}\n",
              "capacity: {pods: 7}\n", ""),
}  # fmt: skip


def _edit(root: Path, chance: random.Random) -> None:
    name = chance.choice("abcde")
    kind, path = chance.choice(
        [
            ("model", f"catalog/{name}.yaml"),
            ("model", f"catalog/{name}.yaml"),
            ("profile", f"catalog/_profiles/{chance.choice(['server', 'old'])}.yaml"),
            ("layer", PROD),
            ("overlay", OVERLAY.format(name)),
            ("gone", f"catalog/{chance.choice('cde')}.yaml"),
        ]
    )
    file = root / path
    if kind == "gone":
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if kind == "overlay":
        file.write_text(chance.choice(["replicas: 9\n", "enabled: false\n", "x: 1\n"]))
        return
    sound = FILES.get(path, FILES["catalog/a.yaml"] if kind == "model" else "")
    file.write_text(sound + chance.choice(("", *LINES[kind])))


SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.grid) for seed in range(2, 20))]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_kept_is_what_is_found_out_anew(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    root = write_files(tmp_path / "root", {DEV: "namespace: ml-dev\n"})
    cache = PlanCache(tmp_path / "kept.sqlite")
    for turn in range(25):
        _edit(root, chance)
        nothing = PlanCache(tmp_path / f"new-{turn}.sqlite")
        assert load_survey(root, "prod", cache=cache) == load_survey(root, "prod", cache=nothing)
        environments = ["dev", "prod"] if turn % 2 else ["prod"]
        found = [find_diagnostics(root, environments, cache=one) for one in (cache, nothing)]
        assert found[0] == found[1]


@pytest.mark.parametrize("seed", SEEDS[1:])
def test_any_number_of_processes_finds_out_the_same(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    root = write_files(tmp_path / "root", {DEV: "namespace: ml-dev\n"})
    for turn in range(2):
        for _ in range(chance.randrange(4)):
            _edit(root, chance)
        alone, *divided = (
            (
                load_survey(root, "prod", cache=PlanCache(store), processes=count),
                find_diagnostics(root, ["dev", "prod"], cache=PlanCache(store), processes=count),
            )
            for count in (1, 3)
            if (store := tmp_path / f"{turn}-{count}.sqlite")
        )
        assert divided == [alone]


def test_what_a_worker_should_have_said_is_found_out_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files(tmp_path / "root", {})
    alone = load_survey(root, "prod", cache=PlanCache(tmp_path / "alone.sqlite"), processes=1)
    monkeypatch.setattr("framework.plan.workers._SERVE", "raise SystemExit(3)")
    cache = PlanCache(tmp_path / "divided.sqlite")
    assert load_survey(root, "prod", cache=cache, processes=3) == alone


def test_a_second_look_reads_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, cache = write_files(tmp_path / "root", {}), PlanCache(tmp_path / "kept.sqlite")
    first = load_survey(root, "prod", cache=cache)
    monkeypatch.setattr("framework.plan.share.read_catalog", None)
    assert load_survey(root, "prod", cache=cache) == first


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"x" * 200])
def test_a_damaged_store_is_as_if_there_were_none(damage: bytes, tmp_path: Path) -> None:
    root, path = write_files(tmp_path / "root", {}), tmp_path / "kept.sqlite"
    first = load_survey(root, "prod", cache=PlanCache(path))
    path.write_bytes(damage)
    assert load_survey(root, "prod", cache=PlanCache(path)) == first
    assert load_survey(root, "prod", cache=PlanCache(path)) == first


def test_an_entry_that_cannot_be_read_back_is_found_out_anew(tmp_path: Path) -> None:
    root, path = write_files(tmp_path / "root", {}), tmp_path / "kept.sqlite"
    first = load_survey(root, "prod", cache=PlanCache(path))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET entry = ?", (b"\x80\x04garbage",))
    connection.close()
    assert load_survey(root, "prod", cache=PlanCache(path)) == first


def test_nobody_else_may_write_what_is_read_back(tmp_path: Path) -> None:
    root, path = write_files(tmp_path / "root", {}), tmp_path / "kept.sqlite"
    load_survey(root, "prod", cache=PlanCache(path))
    assert path.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    root = write_files(tmp_path / "root", {})
    (tmp_path / "file").write_text("")
    cache = PlanCache(tmp_path / "file" / "kept.sqlite")
    assert load_survey(root, "prod", cache=cache).plan is not None


def test_single_models_are_read_back_without_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = write_files(tmp_path / "root", {"catalog/c.yaml": "owner: t\nenabled: false\n"})
    first = {only: load_plan(root, "prod", only=only) for only in [("a",), ("b", "c"), ("c",)]}
    load_plan(root, "prod")
    monkeypatch.setattr("framework.catalog.read_catalog", None)
    assert {only: load_plan(root, "prod", only=only) for only in first} == first


def test_a_single_model_that_changed_is_planned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = write_files(tmp_path, {})
    load_plan(root, "prod")
    write_files(root, {"catalog/a.yaml": "+replicas: 9\n"})
    [model] = load_plan(root, "prod", only={"a"}).models
    assert model.tracks[0].budget.replicas == 9
