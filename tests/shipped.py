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


def list_shipped(*folders: str, root: Path = ROOT) -> list[str]:
    """Returns the paths of the files that Git tracks, relative to `root` and sorted.

    Only those under `folders`, where any are given. A tracked file that was removed is left out.
    """
    command = ["git", "ls-files", "-z", "--", *folders]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    paths = sorted(path for path in listed.stdout.split("\0") if path)
    return [path for path in paths if (root / path).is_file()]


def copy_shipped(target: Path, *folders: str, root: Path = ROOT) -> Path:
    """Copies the files that `list_shipped` returns to the folder `target`; returns `target`."""
    for path in list_shipped(*folders, root=root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, target / path)
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
