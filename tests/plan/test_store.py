"""The plan store: cached plans equal new ones, with any number of processes."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from framework.core.errors import ConfigError, UnknownNameError
from framework.core.stack import Stack
from framework.files.document import Document
from framework.plan import LoadedPlan, PlanStore
from framework.plan.cache import PlanCache
from tests.plan.small_catalog import FILES, NO_CACHE, PROD, write_files

STACK, DEV_STACK = Stack.of("prod"), Stack.of("dev")
DEV = "environments/dev/environment.yaml"
OVERLAY = "environments/prod/models/{}.yaml"
# Lines that a random edit adds to each kind of file; some are wrong, some superfluous.
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
    valid = FILES.get(path, FILES["catalog/a.yaml"] if kind == "model" else "")
    file.write_text(valid + chance.choice(("", *LINES[kind])))


MORE_SEEDS = [pytest.param(seed, marks=pytest.mark.grid) for seed in range(2, 20)]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.grid), *MORE_SEEDS])
def test_cached_plans_equal_new_ones_after_random_edits(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    root = write_files(tmp_path / "root", {DEV: "namespace: ml-dev\n"})
    cache = PlanCache(tmp_path / "plans.sqlite")
    for turn in range(25):
        _edit(root, chance)
        stacks = [DEV_STACK, STACK] if turn % 2 else [STACK]
        cached, new = (
            PlanStore(root, cache=plan_cache, processes=1).load(stacks)
            for plan_cache in (cache, NO_CACHE)
        )
        assert cached == new
        assert PlanStore(root, cache=cache, processes=1).check(stacks) == new.diagnostics
        models = chance.sample("abcde", 2)
        cached, new = (
            PlanStore(root, cache=plan_cache, processes=1).load([STACK], models=models)
            for plan_cache in (cache, NO_CACHE)
        )
        assert cached == new


@pytest.mark.parametrize("seed", [1, *MORE_SEEDS])
def test_the_number_of_processes_does_not_change_a_plan(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    root = write_files(tmp_path / "root", {DEV: "namespace: ml-dev\n"})
    for _ in range(chance.randrange(4)):
        _edit(root, chance)
    alone, divided = (
        PlanStore(root, cache=NO_CACHE, processes=count).load([DEV_STACK, STACK])
        for count in (1, 3)
    )
    assert divided == alone


def test_the_part_of_a_killed_process_is_planned_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files(tmp_path / "root", {})
    alone = PlanStore(root, cache=NO_CACHE, processes=1).load([STACK])
    monkeypatch.setattr("framework.plan.store._prepare_worker", os.abort)
    assert PlanStore(root, cache=NO_CACHE, processes=3).load([STACK]) == alone


def _load(root: Path, cache: PlanCache) -> LoadedPlan:
    return PlanStore(root, cache=cache).load_one(STACK)


def test_a_cached_plan_is_loaded_without_planning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = write_files(tmp_path / "root", {}), PlanCache(tmp_path / "plans.sqlite")
    first = _load(root, cache)
    monkeypatch.setattr("framework.plan.store.plan_models", None)
    assert _load(root, cache) == first
    narrowed = PlanStore(root, cache=cache).load_one(STACK, models=["a"])
    assert [model.name for model in narrowed.require().models] == ["a"]


def test_a_cached_plan_is_loaded_without_pydantic_and_omegaconf(tmp_path: Path) -> None:
    root = write_files(tmp_path / "root", {})
    program = (
        "import sys; from pathlib import Path; from framework.core.stack import Stack\n"
        "from framework.plan import PlanStore\n"
        "for models in (None, ['a']):\n"
        f"    PlanStore(Path({str(root)!r})).load_one(Stack.of('prod'), models=models).require()\n"
        "print(sorted({'pydantic', 'omegaconf'} & sys.modules.keys()))\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            env=environment, capture_output=True, text=True, check=True,
        ).stdout.strip()
        for _ in range(2)
    ]  # fmt: skip
    assert outputs == ["['omegaconf', 'pydantic']", "[]"]


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + b"x" * 200])
def test_a_damaged_cache_is_replaced(damage: bytes, tmp_path: Path) -> None:
    root, path = write_files(tmp_path / "root", {}), tmp_path / "plans.sqlite"
    first = _load(root, PlanCache(path))
    path.write_bytes(damage)
    assert _load(root, PlanCache(path)) == first
    assert _load(root, PlanCache(path)) == first


def test_a_damaged_entry_is_planned_again(tmp_path: Path) -> None:
    root, path = write_files(tmp_path / "root", {}), tmp_path / "plans.sqlite"
    first = _load(root, PlanCache(path))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE entries SET entry = ?", (b"\x80\x04garbage",))
    connection.close()
    assert _load(root, PlanCache(path)) == first


@pytest.mark.parametrize("kind", ["plan", "facts", "environment", "findings"])
def test_entries_that_were_removed_are_planned_again(kind: str, tmp_path: Path) -> None:
    root, path = write_files(tmp_path / "root", {}), tmp_path / "plans.sqlite"
    first = _load(root, PlanCache(path))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM entries WHERE key LIKE ?", (f"{kind} %",))
    connection.close()
    assert _load(root, PlanCache(path)) == first


def test_only_its_owner_can_write_the_cache(tmp_path: Path) -> None:
    root, path = write_files(tmp_path / "root", {}), tmp_path / "plans.sqlite"
    _load(root, PlanCache(path))
    assert path.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    root = write_files(tmp_path / "root", {})
    (tmp_path / "file").write_text("")
    assert _load(root, PlanCache(tmp_path / "file" / "plans.sqlite")).plan is not None


def test_a_changed_model_is_planned_again(tmp_path: Path) -> None:
    root, cache = write_files(tmp_path, {}), PlanCache(tmp_path / "plans.sqlite")
    _load(root, cache)
    write_files(root, {"catalog/a.yaml": "+replicas: 9\n"})
    [model] = PlanStore(root, cache=cache).load_one(STACK, models={"a"}).require().models
    assert model.tracks[0].budget.replicas == 9


@pytest.mark.parametrize(
    ("changes", "planned", "disabled", "unplanned"),
    [
        pytest.param({}, ["a", "b"], [], [], id="no errors"),
        pytest.param({"catalog/a.yaml": "a: ["}, ["b"], [], ["a"], id="syntax"),
        pytest.param({"catalog/a.yaml": "+replica: 1\n"}, ["b"], [], ["a"], id="unknown key"),
        pytest.param(
            {"catalog/a.yaml": "+patch: {Deployment: {spec: {pausd: true}}}\n"}, ["b"], [], ["a"],
            id="bad patch",
        ),
        pytest.param(
            {"catalog/a.yaml": "+rollout: {maxSurge: 0, maxUnavailable: 0}\n"}, ["a", "b"], [], [],
            id="a budget that cannot work",
        ),
        pytest.param({"catalog/a.yaml": "+enabled: false\n"}, ["b"], ["a"], [], id="disabled"),
        pytest.param(
            {"catalog/a.yaml": "+enabled: false\nreplica: 1\n"}, ["b"], [], ["a"],
            id="disabled, with an error",
        ),
        pytest.param(
            {"catalog/_profiles/server.yaml": "+replica: 1\n"}, [], [], ["a", "b"], id="profile"
        ),
        pytest.param({OVERLAY.format("c"): "{}"}, ["a", "b"], [], [], id="stray overlay"),
    ],
)  # fmt: skip
def test_a_plan_has_the_models_that_can_be_built(
    tmp_path: Path,
    changes: dict[str, str],
    planned: list[str],
    disabled: list[str],
    unplanned: list[str],
) -> None:
    loaded = _load(write_files(tmp_path, changes), NO_CACHE)
    assert loaded.plan is not None
    assert [model.name for model in loaded.plan.models] == planned
    assert list(loaded.plan.disabled) == disabled
    assert sorted(loaded.unplanned) == unplanned


@pytest.mark.parametrize("path", ["catalog/_defaults.yaml", PROD])
def test_errors_in_shared_files_leave_no_plan(tmp_path: Path, path: str) -> None:
    loaded = _load(write_files(tmp_path, {path: "+x: 1\n"}), NO_CACHE)
    assert loaded.plan is None
    with pytest.raises(ConfigError, match='"x" is'):
        loaded.require()


def test_a_narrowed_plan_ignores_errors_of_other_models(tmp_path: Path) -> None:
    changes = {"catalog/b.yaml": "x: [", "catalog/_profiles/other.yaml": "y: 1\n"}
    root = write_files(tmp_path, changes)
    assert PlanStore(root, cache=NO_CACHE).load_one(STACK, models=["a"]).errors == ()
    assert {error.path for error in _load(root, NO_CACHE).errors} == changes.keys()


def test_overrides_are_merged_last_and_not_cached(tmp_path: Path) -> None:
    root, cache = write_files(tmp_path, {}), PlanCache(tmp_path / "plans.sqlite")
    document = Document("--set", {"replicas": 7})
    store = PlanStore(root, cache=cache)
    changed = store.load_one(STACK, overrides=[document]).require()
    assert {model.tracks[0].budget.replicas for model in changed.models} == {7}
    assert {model.tracks[0].budget.replicas for model in _load(root, cache).require().models} == {4}


def test_an_unknown_environment_names_the_known_ones_in_promotion_order(tmp_path: Path) -> None:
    changes = {
        DEV: "+promotesTo: staging\n",
        "environments/staging/environment.yaml": "namespace: s\npromotesTo: prod\n",
    }
    root = write_files(tmp_path, changes)
    with pytest.raises(UnknownNameError, match=r"known: dev, staging, prod$"):
        PlanStore(root, cache=NO_CACHE).load_one(Stack.of("qa"))
