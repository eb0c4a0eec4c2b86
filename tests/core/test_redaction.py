"""Secrets: recognised by keys and form, and in no report, wherever their value is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from framework.core.diagnostics import KeyPath
from framework.core.redaction import (
    find_secret_texts,
    is_secret,
    redact,
    redact_text,
)
from tests.conftest import Project

SECRET = "s3cr3t-value"
LINES = (
    f"env: {{API_TOKEN: {SECRET}, X: 'Bearer ${{env.API_TOKEN}}'}}\n"
    "annotations: {note: '${env.API_TOKEN}'}\n"
    "podAnnotations: {db: 'postgres://u:hunter22@h/db'}\n"
)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["explain", "prod", "--model", "churn"], id="explain"),
        pytest.param(["explain", "prod", "--model", "churn", "--json"], id="explain json"),
        pytest.param(["explain", "prod", "--model", "churn", "--key", "Deployment"], id="fields"),
        pytest.param(["diff", "dev", "--to", "prod", "--model", "churn"], id="diff"),
        pytest.param(["diff", "dev", "--to", "prod", "--format", "markdown"], id="markdown"),
    ],
)
def test_report_shows_no_secret(arguments: list[str], make_project: Callable[..., Project]) -> None:
    project = make_project("churn", "fraud")
    project.append("catalog/churn.yaml", LINES)
    project.write("environments/prod/models/churn.yaml", "env: {API_TOKEN: other-secret}\n")
    run = project.run(*arguments)
    assert run.returncode == 0, run.stderr
    for secret in (SECRET, "other-secret", "hunter22"):
        assert secret not in run.stdout
    if "--json" in arguments:
        json.loads(run.stdout)


def test_common_words_and_numbers_are_not_searched_in_reports() -> None:
    common = {"TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "4096", "TOKEN_SHARE": "0.95"}
    env = {**common, "API_TOKEN": "40964096", "PASSWORD": SECRET}
    assert find_secret_texts([{"env": env}]) == {"40964096", SECRET}


@pytest.mark.parametrize(
    ("words", "secrets"),
    [
        pytest.param(["--password", "plainpw99"], {"plainpw99"}, id="next word"),
        pytest.param(["--api-key=abcd1234"], {"abcd1234"}, id="same word"),
        pytest.param(["--auth-token", "--verbose"], set(), id="an option of its own"),
        pytest.param(["--tokenizer", "mistralai/one"], set(), id="a tokenizer"),
        pytest.param(["--max-tokens", "4096", "--password"], set(), id="a number, and nothing"),
    ],
)
def test_value_of_a_secret_option_is_found(words: list[str], secrets: set[str]) -> None:
    assert find_secret_texts([{"args": words}]) == secrets


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        pytest.param(("env", "API_TOKEN"), "abc", "[secret]", id="key"),
        pytest.param(("env", "API_TOKEN"), True, True, id="boolean"),
        pytest.param(("env", "API_TOKEN"), "", "", id="empty"),
        pytest.param(("env", "X"), "hf_AbCdEf", "[secret]", id="token"),
        pytest.param(("env", "X"), "sklearn-1.5", "sklearn-1.5", id="not a token"),
        pytest.param(("env",), {"X": 1, "DSN": "y"}, {"X": 1, "DSN": "[secret]"}, id="tree"),
        pytest.param(("args",), ["a://u:p@ss@h/x"], ["a://u:[secret]@h/x"], id="password in a URL"),
    ],
)
def test_redact_replaces_what_may_be_secret(path: KeyPath, value: Any, shown: Any) -> None:
    assert redact(path, value) == shown
    if not isinstance(value, dict | list):
        assert is_secret(path, value) == (shown != value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a hunter22-x and hunter22", "a [secret] and [secret]", id="longest first"),
        pytest.param('{"a": "say \\"hi\\""}', '{"a": "[secret]"}', id="as JSON writes it"),
        pytest.param('7 of 17 is "7"', '7 of 17 is "[secret]"', id="short only in quotes"),
    ],
)
def test_redact_text_replaces_secrets(text: str, shown: str) -> None:
    assert redact_text(text, ["hunter22", "hunter22-x", 'say "hi"', "7", ""]) == shown
