"""Recorded objects are decrypted and have a component; both engines return the same."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from framework.core.errors import UnknownNameError
from framework.core.stack import Stack as PulumiStack
from framework.engines.base import Request
from framework.engines.cli import AutomationEngine
from framework.engines.recorded import Components, build_recorded_objects
from framework.engines.state.checkpoint import parse_checkpoint
from framework.engines.state.secrets import PassphraseCipher
from framework.engines.values import Secret, map_tree
from tests.engines.fakes import FAKE_CLI, RECORDED, Stack
from tests.shipped import SHIPPED

TWO_MODELS = """
    for name in ("a", "b"):
        model = Model(name)
        config_map(f"{name}-settings", {"url": pulumi.Output.secret("hunter22")}, model)
"""


def test_recorded_objects_are_decrypted_and_their_secrets_listed(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    stack.up()
    recorded = stack.engine.recorded_objects(stack.request())
    first, _ = sorted(recorded.objects, key=lambda found: found.id)
    assert (first.id, first.component, first.field_manager) == ("ns/a-settings", "a", "fake")
    assert first.inputs["data"] == first.outputs["data"] == {"url": "hunter22"}
    assert "hunter22" in first.secrets
    assert "hunter22" not in repr(recorded)
    assert recorded.providers[first.provider_urn]["context"] == "fake"


def test_recorded_objects_of_a_component_are_those_in_it(stack: Stack) -> None:
    stack.program(TWO_MODELS)
    stack.up()
    recorded = stack.engine.recorded_objects(stack.request("b"))
    assert [found.id for found in recorded.objects] == ["ns/b-settings"]
    assert len(recorded.providers) == 1
    with pytest.raises(UnknownNameError, match='"c"'):
        stack.engine.recorded_objects(stack.request("c"))


def test_recorded_objects_of_both_engines_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (RECORDED / "3-secret/checkpoint.json").read_text()
    checkpoint = parse_checkpoint(text, "x")
    cipher = PassphraseCipher.open("fixture", checkpoint.salt, "x")
    components = Components(recorded=checkpoint.resources)
    embedded = build_recorded_objects(checkpoint.resources, components, cipher.unseal)

    # As `pulumi stack export --show-secrets` writes them.
    def show(leaf: Any) -> Any:
        if not isinstance(leaf, Secret):
            return leaf
        signature = json.loads(text)["checkpoint"]["latest"]["resources"][0]["outputs"]["token"]
        [(name, value)] = [pair for pair in signature.items() if pair[0] != "ciphertext"]
        return {name: value, "plaintext": json.dumps(leaf.value)}

    resources = [map_tree(cipher.unseal(found.raw), show) for found in checkpoint.resources]
    exported = SimpleNamespace(deployment={"resources": resources})
    stack = SimpleNamespace(export_stack=lambda: exported)
    monkeypatch.setattr(AutomationEngine, "_open", lambda engine, request: stack)
    request = Request(SHIPPED, PulumiStack.of("dev"))
    assert AutomationEngine(FAKE_CLI).recorded_objects(request) == embedded
    assert embedded.objects
