"""The workflows as files: pinned actions, supported Pythons, the key of the binaries' cache."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.shipped import ROOT
from tools.check_locks import PYTHONS

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
CHECK = yaml.load((ROOT / ".github/workflows/check.yaml").read_text(), Loader=yaml.BaseLoader)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_name_their_version(path: Path) -> None:
    lines = re.findall(r"uses: (.*)", path.read_text())
    assert lines
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in lines)


def test_every_supported_python_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    classifiers = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    matrix = CHECK["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert matrix == classifiers == list(PYTHONS)
    assert project["requires-python"] == f">={matrix[0]}"


def test_check_and_test_run_with_cached_binaries() -> None:
    steps = {name: job["steps"] for name, job in CHECK["jobs"].items()}
    run = steps["test"][-1]["run"]
    assert run == "make check ${{ matrix.python == '3.11' && 'coverage' || 'test' }} PYTHON=python"
    caches = [
        step["with"]
        for job in steps.values()
        for step in job
        if step.get("uses", "").startswith("actions/cache@")
    ]
    assert len(caches) == 2
    assert caches[0] == caches[1]
    pins = "hashFiles('tools/**/go.mod', 'tools/**/go.sum', 'tools/**/*.go')"
    assert pins in caches[0]["key"]
