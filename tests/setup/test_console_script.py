"""The installed command `modelcatalog`: its entry point, and the project that it works on."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from framework.core.project_root import find_project_root
from tests.shipped import ROOT, SHIPPED


@pytest.fixture
def script() -> str:
    """The program that an installer writes for the console script."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, function = project["scripts"]["modelcatalog"].split(":")
    return f"import sys; from {module} import {function}; sys.exit({function}())"


def test_console_script_runs_verbs_from_any_folder(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script, "list", "--model", "churn"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nchurn " in done.stdout


def test_current_folder_chooses_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SHIPPED / "catalog" / "_profiles")
    assert find_project_root() == SHIPPED.resolve()


def test_checkout_is_the_project_outside_of_any_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_project_root() == ROOT
