"""The variables that people export for other stacks, and for a proxy."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import grpc
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


def test_program_and_engine_talk_past_the_proxy_of_the_machine(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with (
        open_engine(EngineChoice("cli", "", FAKE_CLI), stack.root, runs_program=True),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        grpc.channel_ready_future(channel).result(timeout=10)
    server.stop(None).wait()
    assert "no_grpc_proxy" not in os.environ
