"""The lists of URNs in the command line of the CLI."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterable
from contextlib import nullcontext

import pytest

from framework.core.errors import EngineError
from framework.engines.cli_arguments import fit_urns

PREFIX = "urn:pulumi:prod::catalog::catalog:index:Model"
KINDS = ("core/v1:Service", "core/v1:ServiceAccount", "apps/v1:Deployment")
MODELS = [f"m-{number}" for number in range(50)]


def list_urns(models: Iterable[str]) -> set[str]:
    urns = {f"{PREFIX}${kind}::{model}" for model in models for kind in KINDS}
    return urns | {f"{PREFIX}$apps/v1:Deployment::{model}-canary" for model in models}


def find_matches(arguments: Iterable[str], known: Iterable[str]) -> set[str]:
    """Returns the URNs that the CLI takes, by its rule: `*` is any text without a colon."""
    patterns = []
    for argument in arguments:
        parts = [part.split("*") for part in argument.split("**")]
        patterns.append(".*".join("[^:]*".join(map(re.escape, part)) for part in parts))
    return {urn for urn in known if any(re.fullmatch(found, urn) for found in patterns)}


def test_list_that_fits_is_not_changed() -> None:
    urns = list_urns(MODELS)
    assert fit_urns(urns, urns) == sorted(urns)


@pytest.mark.parametrize("is_pattern", [False, True], ids=["recorded", "not recorded"])
@pytest.mark.parametrize("limit", [8_000, 12_000, 16_000])
def test_long_list_means_the_same_resources(limit: int, is_pattern: bool) -> None:
    known, wanted = list_urns(MODELS), list_urns(MODELS[5:])
    # Of this model only one resource is wanted, so its name stands for more.
    wanted.add(f"{PREFIX}$apps/v1:Deployment::m-0")
    arguments = {urn.replace("::", "*::", 1) for urn in wanted} if is_pattern else wanted
    fitting = fit_urns(arguments, known, limit)
    assert find_matches(fitting, known) == wanted
    assert sum(len(argument) for argument in fitting) < limit


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of Linux depends on the stack")
@pytest.mark.parametrize(
    ("stack", "fits"),
    [(8 * 1024**2, True), (resource.RLIM_INFINITY, True), (128 * 1024, False)],
    ids=["usual", "unlimited", "small"],
)
def test_limit_is_that_of_the_kernel_on_alpine(
    monkeypatch: pytest.MonkeyPatch, stack: int, fits: bool
) -> None:
    # `sysconf` of musl returns a constant.
    monkeypatch.setattr("os.sysconf", lambda name: 131072)
    monkeypatch.setattr("resource.getrlimit", lambda kind: (stack, stack))
    monkeypatch.setenv("LARGE", "x" * 100_000)
    urns = list_urns(MODELS)
    with nullcontext() if fits else pytest.raises(EngineError, match="ulimit"):
        assert fit_urns(urns, urns) == sorted(urns)


def test_no_more_patterns_than_needed() -> None:
    urns = list_urns(MODELS)
    size = sum(len(urn) + 27 for urn in urns)
    fitting = fit_urns(urns, urns, size - 1)
    assert [argument for argument in fitting if argument.startswith("**")] == ["**::m-10"]


def test_list_that_is_too_long_is_an_error_with_its_size() -> None:
    urns = list_urns(MODELS)
    with pytest.raises(EngineError, match=r"to name 200 resources, .* allows 1 KiB; .*MODEL="):
        fit_urns(urns, urns, 1024)
