"""The PULUMI_* variables that people export for other stacks."""

from __future__ import annotations

import os

import pytest

from framework.engines import EngineChoice, open_engine
from tests.engines.fakes import FAKE_CLI, Stack

FOREIGN = (
    "PULUMI_CONTINUE_ON_ERROR",
    "PULUMI_DIY_BACKEND_LEGACY_LAYOUT",
    "PULUMI_EXPERIMENTAL",
    "PULUMI_K8S_AWAIT_ALL",
    "PULUMI_K8S_DELETE_UNREACHABLE",
    "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY",
    "PULUMI_KUBERNETES_MANAGED_BY_LABEL",
    "PULUMI_SKIP_CHECKPOINTS",
    "PULUMI_STACK",
)
FOLLOWED = (
    "PULUMI_ACCESS_TOKEN",
    "PULUMI_BACKEND_URL",
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_DIY_BACKEND_GZIP",
    "PULUMI_K8S_CLIENT_QPS",
    "KUBECONFIG",
)


@pytest.mark.parametrize(
    "choice",
    [EngineChoice("embedded", ""), EngineChoice("cli", "", FAKE_CLI)],
    ids=["embedded", "cli"],
)
def test_variables_of_other_stacks_are_left_out_while_an_engine_is_open(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, choice: EngineChoice
) -> None:
    for name in (*FOREIGN, *FOLLOWED):
        monkeypatch.setenv(name, "true")
    with open_engine(choice, stack.root, runs_program=False):
        assert not os.environ.keys() & set(FOREIGN)
        assert os.environ.keys() >= set(FOLLOWED)
    assert os.environ.keys() >= set(FOREIGN)
