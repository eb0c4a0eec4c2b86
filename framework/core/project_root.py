"""Finds the project that a command works on."""

from __future__ import annotations

from pathlib import Path


def find_project_root() -> Path:
    """Returns the project that contains the current folder.

    A project is a folder with a Pulumi.yaml and a folder `catalog`. If there is none, returns the
    checkout of this package, so that an editable install (`pip install -e .`) works in any folder.
    The current folder has precedence: with two checkouts, a command that is installed from one must
    not deploy the catalog of that one when it runs in the other.
    """
    checkout = Path(__file__).resolve().parents[2]
    try:
        current = Path.cwd()
    except FileNotFoundError:
        # The current folder was deleted while the shell was in it.
        return checkout
    for folder in (current, *current.parents):
        if (folder / "Pulumi.yaml").is_file() and (folder / "catalog").is_dir():
            return folder
    return checkout
