"""Finds the project that a command works on."""

from __future__ import annotations

from pathlib import Path


def find_project_root() -> Path:
    """Returns the nearest folder, from the current one upwards, that is a project.

    A project has a Pulumi.yaml and a folder `catalog`. Elsewhere it is the checkout that this
    package belongs to, so that an editable install (`pip install -e .`) works from any folder.
    The current folder comes first: where two checkouts exist, the installed command must not
    deploy the catalog of the other one.
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
