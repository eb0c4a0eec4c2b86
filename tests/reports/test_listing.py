"""`list` prints one line per model: owner, profiles, image and replicas in each environment."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from framework.cli.main import main
from framework.cli.read import run_list
from framework.core.errors import UnknownNameError
from tests.trees import write_tree

_SCALED = (
    "autoscaling: {minReplicas: 2, maxReplicas: 12, cpu: 70}\nresources: {requests: {cpu: 1}}\n"
)
FILES = {
    "catalog/_profiles/small.yaml": "image: {repository: r/small, tag: '1'}\nports: {http: 80}\n",
    "catalog/_profiles/many.yaml": "startupSeconds: 20\n",
    "catalog/plain.yaml": "owner: a\nprofiles: [small]\nreplicas: 3\n",
    "catalog/scaled.yaml": f"owner: b\nprofiles: [small]\nlabels: {{tier: x}}\n{_SCALED}",
    "catalog/tried.yaml": (
        "owner: b\nprofiles: [small, many]\nreplicas: 6\ncanary: {candidate: {image: {tag: '2'}}}\n"
    ),
    "environments/dev/environment.yaml": "namespace: dev\n",
    "environments/dev/models/scaled.yaml": "enabled: false\n",
    "environments/dev/models/plain.yaml": "image: {tag: '1-dev'}\n",
    "environments/prod/environment.yaml": (
        "namespace: prod\noverrides: {canary: {size: 2, mode: within}}\n"
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A catalog of three models and two environments."""
    return write_tree(tmp_path, FILES)


def _list(
    root: Path,
    environment: str | None = None,
    model: str | None = None,
    profile: str | None = None,
    code: int = 0,
) -> None:
    options = argparse.Namespace(environment=environment, model=model, profile=profile, json=False)
    assert run_list(root, options) == code


def _cells(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split("  ") for line in capsys.readouterr().out.splitlines()]


def test_model_that_runs_nowhere_is_listed_as_disabled(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.output.models.screen_width", lambda: 40)
    _list(root, "dev")
    lines = capsys.readouterr().out.splitlines()
    index = next(i for i, line in enumerate(lines) if line.startswith("scaled"))
    assert lines[index + 1].strip() == "enabled: false"


def test_list_shows_the_replicas_of_each_environment(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _list(root)
    rows = [" ".join(filter(None, cells)).split() for cells in _cells(capsys)]
    assert rows == [
        ["model", "image", "dev", "prod", "owner", "profiles"],
        ["plain", "small:1-dev", "(dev),", "small:1", "(prod)", "3", "3", "a", "small"],
        ["scaled", "small:1", "-", "2..12", "b", "small"],
        ["tried", "small:1", "6+1", "4+2", "b", "small,", "many"],
    ]


@pytest.mark.parametrize(
    ("environment", "pattern", "profile", "models"),
    [
        ("dev", None, None, ["plain", "scaled", "tried"]),
        (None, "t*", None, ["tried"]),
        ("prod", "owner=b", None, ["scaled", "tried"]),
        (None, "tier=x", None, ["scaled"]),
        (None, None, "many", ["tried"]),
        ("prod", "owner=a", "many", []),
    ],
)
def test_list_shows_only_the_selected_models(
    environment: str | None,
    pattern: str | None,
    profile: str | None,
    models: list[str],
    root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _list(root, environment, pattern, profile)
    assert [cells[0] for cells in _cells(capsys)][1:] == models


def test_list_reads_only_the_selected_models(root: Path) -> None:
    (root / "catalog/broken.yaml").write_text("owner: [\n")
    _list(root, "prod", "plain")


def test_model_with_errors_is_left_out_and_reported(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "catalog/plain.yaml").write_text("owner: [\n")
    _list(root, "prod", code=1)
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines()] == ["model", "scaled", "tried"]
    assert "catalog/plain.yaml:2:1  MC002" in printed.err


@pytest.mark.parametrize(
    ("pattern", "message"), [("plan", "did you mean plain"), ("owner=z", "did you mean owner=b")]
)
def test_unknown_model_or_label_suggests_the_nearest(
    pattern: str, message: str, root: Path
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        _list(root, None, pattern)


def test_unknown_profile_suggests_the_nearest(root: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean small"):
        _list(root, None, None, "smal")


def test_json_has_stable_keys(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_list(root, argparse.Namespace(environment=None, model="scaled", profile=None, json=True))
    report: Any = json.loads(capsys.readouterr().out)
    running = {"owner": "b", "image": "r/small:1", "replicas": 2, "maxReplicas": 12, "canary": 0}
    assert report == {
        "models": [
            {
                "name": "scaled",
                "owners": ["b"],
                "profiles": ["small"],
                "environments": {"dev": None, "prod": running},
            }
        ],
        "diagnostics": [],
    }


@pytest.mark.parametrize("arguments", [[], ["prod"], ["--model", "sent*"]])
def test_the_shipped_catalog_fits_the_screen(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", *arguments]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100
