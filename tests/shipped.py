"""A copy of the files that this repository ships.

Tests of the shipped catalog read this copy, because the working tree also holds what commands and
users leave there: environments/Pulumi.dev.yaml, a model that is being tried.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_VARIABLE = "MODELCATALOG_TEST_SHIPPED"


def list_shipped(*folders: str) -> list[str]:
    """Returns the paths of the files that Git tracks, relative to the repository and sorted.

    Only those under `folders`, where any are given. A tracked file that was removed is left out, a
    module that is not yet tracked is not: commands leave no code.
    """
    paths = _run_git("ls-files", "-z", "--", *folders)
    code = _run_git("ls-files", "-z", "--others", "--exclude-standard", "--", *folders)
    paths |= {path for path in code if path.startswith("framework/")}
    return sorted(path for path in paths if (ROOT / path).is_file())


def _run_git(*arguments: str) -> set[str]:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split("\0")) - {""}


def copy_shipped(target: Path, *folders: str) -> Path:
    """Copies the files that `list_shipped` returns to the folder `target`; returns `target`."""
    for path in list_shipped(*folders):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, target / path)
    return target


def _make() -> Path:
    # xdist's workers inherit the variable, so that one copy serves a whole run.
    if _VARIABLE not in os.environ:
        folder = tempfile.mkdtemp(prefix="modelcatalog-shipped-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[_VARIABLE] = folder
        copy_shipped(Path(folder))
    return Path(os.environ[_VARIABLE])


SHIPPED = _make()
