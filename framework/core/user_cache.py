"""The cache of this user, shared by all checkouts. All of it can be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Returns the folder of the cache, which may not exist yet."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # According to the XDG Base Directory specification, a relative path must be ignored.
    return (base if base.is_absolute() else Path.home() / ".cache") / "modelcatalog"
