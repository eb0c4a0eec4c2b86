"""Verbs print in any encoding: what it does not have becomes `?`, and YAML keeps its meaning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.plan.small_catalog import write_files

CHANGES = {
    "catalog/a.yaml": "+description: Größe → 5\nenv: {GREETING: grüß dich}\nargs: [ü]\n",
    "catalog/b.yaml": "+replicas: →\n",
}


def run(root: Path, *arguments: str, encoding: str = "ascii") -> subprocess.CompletedProcess[bytes]:
    (root / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "framework", *arguments]
    paths = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.run(
        command, cwd=root, env=environment | paths, capture_output=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "prod"],
        ["explain", "prod", "--model", "a"],
        ["list"],
        ["diff", "dev", "prod"],
        ["render", "prod", "--model", "a"],
        ["validate", "prod", "--json"],
    ],
    ids=" ".join,
)
def test_verb_prints_what_ascii_does_not_have(tmp_path: Path, arguments: list[str]) -> None:
    root = write_files(tmp_path, CHANGES)
    ascii_only, utf8 = run(root, *arguments), run(root, *arguments, encoding="utf-8")
    assert b"Traceback" not in ascii_only.stdout + ascii_only.stderr
    assert b"crash" not in ascii_only.stderr
    assert ascii_only.returncode == utf8.returncode
    assert bool(ascii_only.stdout) == bool(utf8.stdout)


def test_rendered_yaml_means_the_same_in_any_encoding(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"catalog/a.yaml": CHANGES["catalog/a.yaml"]})
    ascii_only, utf8 = (run(root, "render", "prod", encoding=name) for name in ("ascii", "utf-8"))
    assert utf8.stdout.decode() != ascii_only.stdout.decode("ascii")
    assert [*yaml.safe_load_all(ascii_only.stdout)] == [*yaml.safe_load_all(utf8.stdout)]
