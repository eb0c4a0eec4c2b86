"""Starting other Python processes: the engine starts one for the program, the plan its workers."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


def package_environment() -> dict[str, str]:
    """Returns the environment of this process, with this package first in PYTHONPATH."""
    paths = (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
