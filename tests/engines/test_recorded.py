"""Recorded objects are decrypted and have a component; both engines return the same."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from framework.core.changes import Op, Preview
from framework.core.errors import UnknownNameError
from framework.core.stack import Stack as PulumiStack
from framework.engines.base import Request
from framework.engines.cli import CliEngine
from framework.engines.cli_opened_stack import OpenedStack
from framework.engines.cli_preview import add_pending_deletions
from framework.engines.cli_stack import CliStack
from framework.engines.project import load_project
from framework.engines.recorded import Components, build_recorded_objects
from framework.engines.state.checkpoint import Checkpoint, Resource, parse_checkpoint
from framework.engines.state.secrets import PassphraseCipher
from framework.engines.urns import build_urn
from framework.engines.values import Secret, map_tree
from framework.plan.manifest import MODEL_TYPE
from tests.engines.fakes import EMPTY_PLAN, FAKE_CLI, RECORDED, Stack
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
    cli_stack = CliStack(FAKE_CLI, load_project(SHIPPED), "dev", stack)
    monkeypatch.setattr(CliEngine, "_open", lambda engine, request: cli_stack)
    request = Request(SHIPPED, PulumiStack.of("dev"))
    assert CliEngine(FAKE_CLI).recorded_objects(request) == embedded
    assert embedded.objects


def build_resource(model: str, *, is_pending: bool = False) -> Resource:
    parent = build_urn("dev", "p", "", MODEL_TYPE, model)
    return Resource(
        {
            "urn": build_urn("dev", "p", parent, "kubernetes:apps/v1:Deployment", model),
            "type": "kubernetes:apps/v1:Deployment",
            "custom": True,
            "id": f"ns/{model}",
            "parent": parent,
            "delete": is_pending,
        }
    )


def test_resources_that_are_not_of_kubernetes_are_recorded_with_their_component() -> None:
    parent = build_urn("dev", "p", "", MODEL_TYPE, "a")
    types = ("random:index/randomPassword:RandomPassword", "pulumi:providers:random")
    password, provider = (
        Resource({"urn": build_urn("dev", "p", parent, type_, "x"), "type": type_, "custom": True,
                  "parent": parent})
        for type_ in types
    )  # fmt: skip
    resources = [build_component("a"), build_resource("a"), provider, password]
    components = Components(recorded=resources)
    recorded = build_recorded_objects(resources, components, lambda values: values)
    assert recorded.others == {password.urn: "a"}
    assert [found.id for found in recorded.objects] == ["ns/a"]


def test_what_the_program_only_reads_is_not_one_of_its_own_objects() -> None:
    type_ = "random:index/randomPassword:RandomPassword"
    urn = build_urn("dev", "p", "", type_, "x")
    password = Resource({"urn": urn, "type": type_, "custom": True, "external": True})
    read = build_resource("b").with_fields(external=True)
    recorded = build_recorded_objects([build_resource("a"), read, password], Components(), dict)
    assert [found.id for found in recorded.own] == ["ns/a"]
    assert [found.id for found in recorded.objects] == ["ns/a", "ns/b"]
    assert recorded.others == {}


def test_copy_of_the_inputs_makes_no_other_value_a_secret() -> None:
    inputs = {"values": {"phrase": Secret("hunter22"), "image": "redis"}}
    outputs = {**inputs, "__inputs": Secret(inputs)}
    resource = build_resource("a").with_fields(inputs=inputs, outputs=outputs)
    [found] = build_recorded_objects([resource], Components(), dict).objects
    assert "hunter22" in found.secrets
    assert "redis" not in found.secrets


def build_component(model: str) -> Resource:
    return Resource({"urn": build_urn("dev", "p", "", MODEL_TYPE, model), "type": MODEL_TYPE})


def test_command_on_a_renamed_model_works_on_its_former_objects() -> None:
    former, other = build_resource("mood"), build_resource("churn")
    recorded = [build_component("mood"), former, build_component("churn"), other]
    components = Components(frozenset({"sentiment"}), recorded, frozenset({"mood", "gone"}))
    assert components.is_target(former.urn)
    assert not components.is_target(other.urn)
    assert former.urn in components.list_targets()
    with pytest.raises(UnknownNameError, match='"sentiment"'):
        components.check_targets()


def test_cli_lists_pending_deletions() -> None:
    resources = (build_component("a"), build_resource("a"), build_resource("a", is_pending=True))
    request = Request(SHIPPED, PulumiStack.of("dev"), plan=EMPTY_PLAN)
    nothing = cast(Any, None)
    opened = OpenedStack(nothing, request, Checkpoint("dev", resources), nothing)
    preview = add_pending_deletions(Preview(()), opened)
    [change] = preview.changes
    assert (change.op, change.object, change.note) == (
        Op.DELETE,
        "ns/a",
        "left behind by a replacement",
    )
