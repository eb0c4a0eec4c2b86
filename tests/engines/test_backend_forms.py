"""Checkpoints and backends in other forms than ours are read, or refused with what to do."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from framework.core.errors import StateError
from tests.engines.fakes import RECORDED, Stack

RECORDED_TEXT = (RECORDED / "2-updated/checkpoint.json").read_text()


def write(stack: Stack, text: str, name: str = "test/dev.json", meta: str = "version: 1\n") -> Path:
    """Writes a checkpoint, and the backend's meta.yaml unless `meta` is empty."""
    path = stack.root / ".state/.pulumi/stacks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    if meta:
        (stack.root / ".state/.pulumi/meta.yaml").write_text(meta)
    return path


def count(stack: Stack) -> int:
    return stack.engine.summarize(stack.request()).objects


def with_version(version: int, *features: str) -> str:
    return json.dumps({**json.loads(RECORDED_TEXT), "version": version, "features": features})


@pytest.mark.parametrize("version", [3, 4])
def test_versions_without_features_are_read(stack: Stack, version: int) -> None:
    write(stack, with_version(version))
    assert count(stack) == 4


@pytest.mark.parametrize(
    ("version", "features", "message"),
    [
        (4, ["views", "hooks"], "version 4 with views, hooks needs the pulumi CLI: use ENGINE=cli"),
        (5, [], "version 5 .*use ENGINE=cli"),
        (2, [], "version 2 is too old .*`pulumi stack export"),
        (1, [], "version 1 is too old .*`pulumi stack export"),
    ],
    ids=["features", "newer", "2", "1"],
)
def test_other_versions_are_refused(
    stack: Stack, version: int, features: list[str], message: str
) -> None:
    path = write(stack, with_version(version, *features))
    with pytest.raises(StateError, match=message) as error:
        count(stack)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(("end", "command"), [("gz", "gunzip --force"), ("zst", "unzstd --force")])
def test_compressed_checkpoint_is_refused_with_its_command(
    stack: Stack, end: str, command: str
) -> None:
    path = write(stack, RECORDED_TEXT, f"test/dev.json.{end}")
    with pytest.raises(StateError, match=f"`{command}.*{path}`, or use ENGINE=cli"):
        count(stack)


def test_compressed_checkpoint_that_is_older_is_not_used(stack: Stack) -> None:
    old = write(stack, "", "test/dev.json.gz")
    write(stack, RECORDED_TEXT)
    os.utime(old, (1, 1))
    assert count(stack) == 4


@pytest.mark.parametrize("meta", ["", "version: 0\n"], ids=["no meta.yaml", "version 0"])
@pytest.mark.parametrize("name", ["dev.json", "dev.json.gz"])
def test_stacks_without_projects_are_refused(stack: Stack, meta: str, name: str) -> None:
    write(stack, RECORDED_TEXT, name, meta)
    with pytest.raises(StateError, match=r"stacks without projects.*`pulumi state upgrade`"):
        count(stack)


def test_stacks_of_before_an_upgrade_are_not_used(stack: Stack) -> None:
    write(stack, "{}", "dev.json")
    write(stack, RECORDED_TEXT)
    assert count(stack) == 4


def test_newer_backend_is_refused(stack: Stack) -> None:
    write(stack, RECORDED_TEXT, meta="version: 2\n")
    with pytest.raises(StateError, match=r"meta\.yaml: this backend has version 2.*ENGINE=cli"):
        count(stack)
