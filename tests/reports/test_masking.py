"""What may be secret is in no report, wherever its value stands."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from framework.reports.masking import secret_values
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
def test_no_report_shows_a_secret(
    arguments: list[str], make_project: Callable[..., Project]
) -> None:
    project = make_project("churn", "fraud")
    project.append("catalog/churn.yaml", LINES)
    project.write("environments/prod/models/churn.yaml", "env: {API_TOKEN: other-secret}\n")
    run = project.run(*arguments)
    assert run.returncode == 0, run.stderr
    for secret in (SECRET, "other-secret", "hunter22"):
        assert secret not in run.stdout
    if "--json" in arguments:
        json.loads(run.stdout)


def test_common_words_and_numbers_are_hidden_at_their_own_key_alone() -> None:
    common = {"TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "4096", "TOKEN_SHARE": "0.95"}
    assert secret_values([{"env": {**common, "API_TOKEN": "40964096", "PASSWORD": SECRET}}]) == {
        "40964096", SECRET,
    }  # fmt: skip


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
def test_what_follows_an_option_may_be_secret(words: list[str], secrets: set[str]) -> None:
    assert secret_values([{"args": words}]) == secrets
