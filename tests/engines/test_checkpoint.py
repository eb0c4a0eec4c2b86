"""Checkpoints of the real CLI: read, kept, and refused when broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from framework.core.errors import StateError
from framework.engines.state.checkpoint import (
    Checkpoint,
    Resource,
    order_resources,
    parse_checkpoint,
    render_checkpoint,
    stamp_manifest,
)
from framework.engines.values import Secret
from tests.engines.fakes import RECORDED

CHECKPOINTS = sorted(RECORDED.glob("*/checkpoint.json"))


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_checkpoint_of_the_cli_is_rendered_unchanged(path: Path) -> None:
    text = path.read_text()
    assert json.loads(render_checkpoint(parse_checkpoint(text, "x"))) == json.loads(text)


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_inputs_and_outputs_are_read_when_they_are_needed(path: Path) -> None:
    text = path.read_text()
    checkpoint = parse_checkpoint(text, "x")
    assert not any({"inputs", "outputs"} & found.head.keys() for found in checkpoint.resources)
    latest = json.loads(text)["checkpoint"]["latest"]
    assert [found.raw for found in checkpoint.resources] == latest["resources"]
    assert json.loads(render_checkpoint(checkpoint)) == json.loads(text)


def test_number_out_of_range_is_an_error_that_names_the_resource() -> None:
    document = json.loads((RECORDED / "1-created/checkpoint.json").read_text())
    document["checkpoint"]["latest"]["resources"][-1]["inputs"]["x"] = "BIG"
    checkpoint = parse_checkpoint(json.dumps(document).replace('"BIG"', "1e400"), "x")
    with pytest.raises(StateError, match=r"^urn:.* cannot be read: Number out of range"):
        _ = checkpoint.resources[-1].raw


def test_secret_that_was_not_encrypted_is_never_rendered() -> None:
    resource = Resource({"urn": "urn:x", "type": "t", "inputs": {"token": Secret("hunter2")}})
    with pytest.raises(TypeError, match="Secret"):
        render_checkpoint(Checkpoint("organization/p/dev", (resource,)))


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_order_of_the_cli_is_kept(path: Path) -> None:
    resources = parse_checkpoint(path.read_text(), "x").resources
    assert order_resources(resources) == resources


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_reversed_order_becomes_one_that_the_cli_accepts(path: Path) -> None:
    checkpoint = parse_checkpoint(path.read_text(), "x")
    turned = order_resources(reversed(checkpoint.resources))
    seen: set[str] = set()
    for resource in turned:
        assert seen.issuperset(resource.needs)
        seen.add(resource.urn)


def test_stamped_manifest_equals_that_of_the_cli() -> None:
    recorded = parse_checkpoint((RECORDED / "1-created/checkpoint.json").read_text(), "x")
    stamped = stamp_manifest(recorded).manifest
    assert {**stamped, "time": ""} == {**recorded.manifest, "time": ""}


def _broken(change: str) -> str:
    document = json.loads((RECORDED / "1-created/checkpoint.json").read_text())
    latest = document["checkpoint"]["latest"]
    match change:
        case "magic":
            latest["manifest"]["magic"] = "0"
        case "order":
            latest["resources"].reverse()
        case "parent":
            del latest["resources"][2]
        case "id":
            del latest["resources"][4]["id"]
        case "twice":
            latest["resources"].append(latest["resources"][-1])
        case "version":
            document["version"] = 2
        case "provider":
            latest["secrets_providers"] = {"type": "awskms"}
    return json.dumps(document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("magic", "manifest.magic does not match"),
        ("order", "missing or comes after it"),
        ("parent", "missing or comes after it"),
        ("id", "has no id"),
        ("twice", "is recorded twice"),
        ("version", "a checkpoint of version"),
        ("provider", "awskms"),
    ],
)
def test_checkpoint_without_integrity_is_refused(change: str, message: str) -> None:
    with pytest.raises(StateError, match=message):
        parse_checkpoint(_broken(change), "x")


def test_chain_of_thousands_is_ordered() -> None:
    urns = [f"urn:pulumi:dev::p::kubernetes:v1:T::{n}" for n in range(3000)]
    chain = [
        Resource({"urn": urn, "type": "t", "dependencies": urns[n + 1 : n + 2]})
        for n, urn in enumerate(urns)
    ]
    assert [resource.urn for resource in order_resources(chain)] == urns[::-1]
