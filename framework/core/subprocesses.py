"""The environment in which another Python process finds this package.

Kept apart because every layer may start one: the engine for the program, the plan for its workers.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


def package_environment() -> dict[str, str]:
    """This process's environment, with this package first on the path of modules."""
    paths = (str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", ""))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
