"""Secrets in state: the CLI's own format, both ways."""

from __future__ import annotations

import pytest

from framework.core.errors import StateError
from framework.core.redaction import redact_value
from framework.engines.state.checkpoint import parse_checkpoint
from framework.engines.state.secrets import PassphraseCipher
from framework.engines.values import (
    Secret,
    collect_secret_texts,
    has_sealed,
    mark_secrets,
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


def test_the_clis_secret_is_read(cipher: PassphraseCipher) -> None:
    assert reveal(cipher.unseal(OUTPUTS))["token"] == "s3cr3t-fixture"


def test_a_sealed_tree_is_read_again(cipher: PassphraseCipher) -> None:
    tree = {"a": [1, Secret({"b": "c"})], "d": None}
    sealed = cipher.seal(tree)
    assert has_sealed(sealed)
    assert cipher.unseal(sealed) == tree


def test_another_passphrase_is_refused() -> None:
    with pytest.raises(StateError, match=r"^dev\.json: the passphrase does not fit"):
        PassphraseCipher.open("wrong", CHECKPOINT.salt, "dev.json")


def test_a_salt_that_is_none_names_its_file() -> None:
    with pytest.raises(StateError, match=r"^x\.yaml: its encryptionsalt .*restore"):
        PassphraseCipher.open("words", "v2:x", "x.yaml")


def test_a_new_salt_opens_again() -> None:
    made = PassphraseCipher.create("words", "x.yaml")
    assert PassphraseCipher.open("words", made.salt, "x.yaml").decrypt(made.encrypt("x")) == "x"


def test_masking_needs_no_passphrase() -> None:
    assert redact_sealed(OUTPUTS)["token"] == "[secret]"


def test_a_secret_shows_in_no_text() -> None:
    tree = {"data": Secret("hunter22")}
    assert "hunter22" not in repr(tree)
    assert redact_secrets(tree) == {"data": "[secret]"}


def test_secrets_of_inputs_mark_the_live_object() -> None:
    like = {"spec": {"items": [{"v": Secret("x")}], "plain": 1}}
    live = {"spec": {"items": [{"v": "x", "seen": True}], "plain": 1}, "status": {}}
    marked = mark_secrets(live, like)
    assert marked["spec"]["items"] == Secret([{"v": "x", "seen": True}])
    assert (marked["spec"]["plain"], marked["status"]) == (1, {})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("hunter22", "[secret]"),
        ("https://u:hunter22@host", "[secret]"),
        ("aHVudGVyMjI=", "[secret]"),
        ("other", "other"),
        (7, "[secret]"),
        (17, 17),
        (None, None),
    ],
    ids=["whole", "inside", "base64", "other", "short-whole", "short-inside", "none"],
)
def test_a_field_that_holds_a_secret_is_masked(value: object, shown: object) -> None:
    assert redact_value(value, collect_secret_texts(Secret(["hunter22", 7]))) == shown
