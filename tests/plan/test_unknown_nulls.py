"""A null removes an inherited setting. Under a misspelt name it would remove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan.small_catalog import PROD, check, write_files

A, OVERLAY = "catalog/a.yaml", "environments/prod/models/a.yaml"


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        (OVERLAY, "disruptionBuget: null\n", "disruptionBuget"),
        (OVERLAY, "autoscalling:\n", "autoscalling"),
        (OVERLAY, "probes: {livenes: null}\n", "livenes"),
        (A, "+probes: {livenes: null}\n", "livenes"),
        (PROD, "+overrides: {autoscalling: null}\n", "autoscalling"),
        ("catalog/_profiles/server.yaml", "+replica: null\n", "replica"),
    ],
)
def test_null_under_a_name_that_is_not_a_setting_is_an_error(
    tmp_path: Path, path: str, text: str, name: str
) -> None:
    errors = check(write_files(tmp_path, {path: text})).errors
    assert {(error.path, error.code.value) for error in errors} == {(path, "MC101")}
    assert all(name in error.message for error in errors)


@pytest.mark.parametrize(
    "text",
    [
        "disruptionBudget: null\n",
        "env: {ANYTHING: null}\n",
        "env: {A: {configMap: null, secret: s, key: k}}\n",
        "env: {A: {secret: null, configMap: c, key: k}}\n",
        "probes: {readiness: {httpGet: null, tcpSocket: {port: http}}}\n",
        "autoscaling: null\nrollout: {maxSurge: null}\nlabels: null\nargs: null\n",
        "probes: {liveness: null}\n",
        "ports: {other: null}\n",
        "volumes: {other: null}\n",
        "resources: {limits: {nvidia.com/gpu: null}}\n",
    ],
)
def test_null_under_a_setting_or_a_name_of_choice_is_accepted(tmp_path: Path, text: str) -> None:
    assert check(write_files(tmp_path, {OVERLAY: text})).errors == ()
