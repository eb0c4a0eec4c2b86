"""Checks that each lock file is complete: it meets the requirements of every package in it.

The set-up installs the locks with `pip install --no-deps`. Without this check, a missing package
would be noticed only when it is imported. The requirements are read from the installed packages,
extras included, and their markers are evaluated for each supported Python and platform.
`make check-locks` runs this.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from itertools import product
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = {"linux": ("Linux", "x86_64"), "darwin": ("Darwin", "arm64")}
# Returns the requirements of a package by name and version; None if it is not installed.
FindRequires = Callable[[str, str], list[Requirement] | None]


def parse_lock(text: str) -> list[Requirement]:
    """Returns the pinned requirements of a lock file that `uv pip compile` wrote."""
    uncommented = re.sub(r"(?m)^\s*#.*$", "", text).replace("\\\n", " ")
    lines = (re.sub(r"--hash=\S+", "", line).strip() for line in uncommented.splitlines())
    return [Requirement(line) for line in lines if line]


def find_unmet_requirements(
    roots: Iterable[Requirement],
    locked: Iterable[Requirement],
    environment: Mapping[str, str],
    find_requires: FindRequires,
) -> Iterator[str]:
    """Yields each requirement that the lock does not meet in one environment, from `roots` on."""
    pins = {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in locked
        if pin.marker is None or pin.marker.evaluate(dict(environment))
    }
    waiting = [("pyproject.toml", root) for root in roots]
    seen: set[tuple[str, str]] = set()
    while waiting:
        source, required = waiting.pop()
        name = canonicalize_name(required.name)
        version = pins.get(name)
        if version is None or not required.specifier.contains(version, prereleases=True):
            yield f"{source} requires {required}; the lock has {version or 'no such package'}"
            continue
        for extra in ("", *required.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for requirement in find_requires(name, version) or ():
                # The requirements of an extra have a marker (`extra == ...`). Those without a
                # marker were handled with the extra "".
                if requirement.marker is None and extra:
                    continue
                if requirement.marker is None or requirement.marker.evaluate(
                    {**environment, "extra": extra}
                ):
                    waiting.append((f"{name} {version}", requirement))


def read_requires(name: str, version: str) -> list[Requirement] | None:
    """Returns the requirements of a package; None if this version is not installed."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    if distribution.version != version:
        return None
    return [Requirement(text) for text in distribution.requires or ()]


def list_environments() -> Iterator[tuple[str, dict[str, str]]]:
    """Yields a name and the marker variables of each supported Python on each platform."""
    for python, platform in product(PYTHONS, PLATFORMS):
        system, machine = PLATFORMS[platform]
        yield (
            f"Python {python}, {platform}",
            {
                **{key: str(value) for key, value in default_environment().items()},
                "python_version": python,
                "python_full_version": f"{python}.0",
                "sys_platform": platform,
                "platform_system": system,
                "platform_machine": machine,
                "os_name": "posix",
            },
        )


def main() -> int:
    """Prints what both lock files lack; returns 1 if anything."""
    root = Path(__file__).resolve().parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    runtime = [Requirement(text) for text in project["project"]["dependencies"]]
    dev = [Requirement(text) for text in project["dependency-groups"]["dev"]]
    unmet: dict[str, list[str]] = {}
    for file, roots in (
        ("requirements.lock", runtime),
        ("requirements-dev.lock", [*runtime, *dev]),
    ):
        locked = parse_lock((root / file).read_text())
        for name, environment in list_environments():
            for line in find_unmet_requirements(roots, locked, environment, read_requires):
                unmet.setdefault(f"{file}: {line}", []).append(name)
    for line, names in sorted(unmet.items()):
        print(f"{line}  ({'; '.join(names)})", file=sys.stderr)
    if unmet:
        print("next: make lock", file=sys.stderr)
    return 1 if unmet else 0


if __name__ == "__main__":
    sys.exit(main())
