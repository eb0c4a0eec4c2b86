"""Where this user's own cache is, shared by every checkout; all of it is safe to delete."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """The folder; it need not exist."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says to ignore a relative path.
    return (base if base.is_absolute() else Path.home() / ".cache") / "modelcatalog"
