"""Finds the files of the project's own program: the one of Pulumi.yaml, and what it imports.

The imports are read from the source, so nothing is executed. A module that is imported by a
computed name is not found.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

# The framework is left out: the plan has a digest of the whole package.
_FRAMEWORK = "framework"


def find_program_files(root: Path, program: Path) -> tuple[Path, ...]:
    """Returns the program and the modules of the project that it imports, directly or not.

    They are looked for in `root` and in the program's folder. Libraries and the framework itself
    are left out. The paths are sorted. Returns () if the program does not exist.
    """
    folders = tuple(dict.fromkeys((root, program.parent)))
    found: set[Path] = set()
    unvisited = [program]
    while unvisited:
        path = unvisited.pop()
        if path in found or not path.is_file():
            continue
        found.add(path)
        for name in _list_imports(path, folders):
            for folder in folders:
                unvisited += _find_module(folder, name)
    return tuple(sorted(found))


def _list_imports(path: Path, folders: tuple[Path, ...]) -> Iterator[str]:
    """Yields the names that a file imports; each may be a module, or a name in one."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        # The program fails as soon as it imports this file; its bytes count all the same.
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for package in _find_packages(path, node, folders):
                prefix = f"{package}." if package else ""
                if package:
                    yield package
                yield from (f"{prefix}{alias.name}" for alias in node.names)


def _find_packages(path: Path, node: ast.ImportFrom, folders: tuple[Path, ...]) -> Iterator[str]:
    """Yields the absolute names of the module that `from ... import` names."""
    if not node.level:
        yield node.module or ""
        return
    # `from . import x` is relative to the folder of the file, `from .. import x` to the one above.
    around = path.parents[node.level - 1] if node.level <= len(path.parents) else path.parent
    for folder in folders:
        if around.is_relative_to(folder):
            yield ".".join([*around.relative_to(folder).parts, *filter(None, [node.module])])


def _find_module(folder: Path, name: str) -> Iterator[Path]:
    """Yields the files of a module and of the packages around it that exist in a folder."""
    parts = name.split(".")
    if parts[0] == _FRAMEWORK:
        return
    for end in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:end])
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path
