"""Secrets in state are encrypted and decrypted in the CLI's format, and redacted where shown."""

from __future__ import annotations

import pytest

from framework.core.changes import Change, FieldChange, Op, Preview, Problem
from framework.core.errors import StateError
from framework.core.redaction import redact_value
from framework.engines.state.checkpoint import parse_checkpoint
from framework.engines.state.secrets import PassphraseCipher
from framework.engines.values import (
    Secret,
    collect_message_secrets,
    collect_secret_texts,
    has_sealed,
    mark_secrets,
    redact_copies,
    redact_sealed,
    redact_secrets,
    reveal,
)
from tests.engines.fakes import RECORDED

CHECKPOINT = parse_checkpoint((RECORDED / "3-secret/checkpoint.json").read_text(), "x")
OUTPUTS = CHECKPOINT.resources[0].raw["outputs"]


@pytest.fixture(scope="module")
def cipher() -> PassphraseCipher:
    return PassphraseCipher.open("fixture", CHECKPOINT.salt, "dev.json")


def test_secret_of_the_cli_is_decrypted(cipher: PassphraseCipher) -> None:
    assert reveal(cipher.unseal(OUTPUTS))["token"] == "s3cr3t-fixture"


def test_sealed_tree_is_unsealed_to_the_same_tree(cipher: PassphraseCipher) -> None:
    tree = {"a": [1, Secret({"b": "c"})], "d": None}
    sealed = cipher.seal(tree)
    assert has_sealed(sealed)
    assert cipher.unseal(sealed) == tree


def test_wrong_passphrase_is_refused() -> None:
    with pytest.raises(StateError, match=r"^dev\.json: the passphrase is wrong"):
        PassphraseCipher.open("wrong", CHECKPOINT.salt, "dev.json")


def test_unknown_salt_is_refused_with_its_file() -> None:
    with pytest.raises(StateError, match=r"^x\.yaml: its encryptionsalt .*restore"):
        PassphraseCipher.open("words", "v2:x", "x.yaml")


def test_new_salt_opens_with_its_passphrase() -> None:
    made = PassphraseCipher.create("words", "x.yaml")
    assert PassphraseCipher.open("words", made.salt, "x.yaml").decrypt(made.encrypt("x")) == "x"


def test_redaction_needs_no_passphrase() -> None:
    assert redact_sealed(OUTPUTS)["token"] == "[secret]"


def test_secret_does_not_appear_in_repr() -> None:
    tree = {"data": Secret("hunter22")}
    assert "hunter22" not in repr(tree)
    assert redact_secrets(tree) == {"data": "[secret]"}


def test_live_object_has_the_secrets_of_its_inputs() -> None:
    like = {"spec": {"items": [{"v": Secret("x")}], "plain": 1}}
    live = {"spec": {"items": [{"v": "x", "seen": True}], "plain": 1}, "status": {}}
    marked = mark_secrets(live, like)
    assert marked["spec"]["items"] == Secret([{"v": "x", "seen": True}])
    assert (marked["spec"]["plain"], marked["status"]) == (1, {})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("hunter22", "[secret]"),
        ("https://u:hunter22@host", "https://u:[secret]@host"),
        ({"a": ["x hunter22"]}, {"a": ["x [secret]"]}),
        (13072001, "[secret]"),
        ("aHVudGVyMjI=", "[secret]"),
        ("other", "other"),
        (7, "[secret]"),
        (17, 17),
        (None, None),
    ],
    ids=[
        "whole",
        "inside",
        "nested",
        "in-number",
        "base64",
        "other",
        "short-whole",
        "short-inside",
        "none",
    ],
)
def test_value_that_contains_a_secret_is_redacted(value: object, shown: object) -> None:
    assert redact_value(value, collect_secret_texts(Secret(["hunter22", 7, 3072]))) == shown


def test_message_shows_neither_secrets_nor_plain_values_that_may_be_one() -> None:
    variables = [{"name": "GH_PAT", "value": "plain-pat"}, {"name": "A", "value": "shown"}]
    inputs = {"spec": {"env": variables, "sealed": Secret("hunter22")}}
    texts = collect_message_secrets(inputs)
    assert {"plain-pat", "hunter22"} <= texts
    assert "shown" not in texts


def test_copy_of_a_plain_secret_is_in_no_field_and_no_problem_of_its_model() -> None:
    fields = (FieldChange("metadata.annotations.note", "x first-token", "x second-token"),)
    changes = [
        Change("urn", "kubernetes:core/v1:Service", "a", Op.UPDATE, component=model, fields=fields)
        for model in ("a", "b")
    ]
    preview = Preview(tuple(changes), problems=(Problem("a", "Ingress a", 'not "first-token"'),))
    inputs = [("a", {"env": {"API_TOKEN": token}}) for token in ("first-token", "second-token")]
    shown = redact_copies(preview, inputs)
    texts = [(field.old, field.new) for change in shown.changes for field in change.fields]
    assert texts == [("x [secret]", "x [secret]"), ("x first-token", "x second-token")]
    assert shown.problems[0].message == 'not "[secret]"'
