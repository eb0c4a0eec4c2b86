"""Warnings about files and values that change nothing, in one environment and in all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan.small_catalog import FILES, PROD, check, check_all, list_diagnostics, write_files
from tests.shipped import SHIPPED

OVERLAY = "environments/prod/models/a.yaml"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"catalog/_profiles/old.yaml": "replicas: 1\n"},
            [("catalog/_profiles/old.yaml", "MC901")], id="unused profile",
        ),
        pytest.param(
            {"catalog/_profiles/old.yaml": "replicas: 1\n", "catalog/b.yaml": "+enabled: false\n",
             "catalog/a.yaml": FILES["catalog/a.yaml"].replace("[server]", "[server, old]")},
            [], id="a profile of one model",
        ),
        pytest.param(
            {"catalog/a.yaml": "+enabled: false\n", OVERLAY: "# Three.\nreplicas: 3\n"},
            [(f"{OVERLAY}:2:1", "MC902")], id="overlay of a disabled model",
        ),
        pytest.param({OVERLAY: "enabled: false\n"}, [], id="an overlay may disable"),
        pytest.param({OVERLAY: "replicas: 4\n"}, [(f"{OVERLAY}:1:11", "MC903")], id="same value"),
        pytest.param(
            {PROD: "+defaults: {replicas: 4}\n"}, [(f"{PROD}:2:22", "MC903")], id="for all models"
        ),
        pytest.param(
            {PROD: "+overrides: {replicas: 4}\n"}, [], id="overrides may repeat a value"
        ),
        pytest.param(
            {PROD: "+overrides: {replicas: 4}\n", OVERLAY: "replicas: 4\n"},
            [(f"{OVERLAY}:1:11", "MC903")], id="an overlay as its environment",
        ),
        pytest.param(
            {OVERLAY: "args: [a, b]\n", "catalog/a.yaml": "+args: [a, b]\n"},
            [(f"{OVERLAY}:1:7", "MC903")], id="same list",
        ),
        pytest.param(
            {OVERLAY: "args: [a]\n", "catalog/a.yaml": "+args: [a, b]\n"}, [], id="another list"
        ),
        pytest.param({OVERLAY: "service: {enabled: true}\n"}, [], id="as the schema's default"),
        pytest.param(
            {OVERLAY: "canary: {candidate: {image: {tag: v1}}}\n"},
            [(f"{OVERLAY}:1:35", "MC903")], id="candidate as the stable track",
        ),
        pytest.param(
            {OVERLAY: "canary: {candidate: {image: {tag: v2}}}\n"}, [], id="candidate of its own"
        ),
        pytest.param(
            {OVERLAY: "env: {API_TOKEN: x}\n", "catalog/a.yaml": "+env: {API_TOKEN: x}\n"},
            [(f"{OVERLAY}:1:18", "MC903")], id="secret",
        ),
    ],
)  # fmt: skip
def test_a_superfluous_file_or_value_is_a_warning(
    tmp_path: Path, changes: dict[str, str], found: list[tuple[str, str]]
) -> None:
    warnings = check(write_files(tmp_path, changes)).warnings
    assert list_diagnostics(warnings) == [(position, code, "") for position, code in found]
    assert all(diagnostic.code.is_warning for diagnostic in warnings)


def test_a_warning_shows_no_secret(tmp_path: Path) -> None:
    changes = {OVERLAY: "env: {API_TOKEN: x9}\n", "catalog/a.yaml": "+env: {API_TOKEN: x9}\n"}
    [warning] = check(write_files(tmp_path, changes)).warnings
    assert "[secret]" in warning.message
    assert "x9" not in warning.message


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({"catalog/a.yaml": "+replicas: 4\n"}, ["catalog/a.yaml:4:11"], id="all"),
        pytest.param(
            {"catalog/a.yaml": "+replicas: 4\n", PROD: "+defaults: {replicas: 9}\n"},
            [], id="needed in one environment",
        ),
        pytest.param(
            {"catalog/_profiles/server.yaml": "+replicas: 4\n"},
            ["catalog/_profiles/server.yaml:2:11"], id="profile",
        ),
        pytest.param(
            {"catalog/_profiles/server.yaml": "+replicas: 4\n", OVERLAY: "replicas: 4\n"},
            ["catalog/_profiles/server.yaml:2:11"], id="profile, without the overlay",
        ),
    ],
)  # fmt: skip
def test_a_catalog_value_superfluous_in_every_environment_is_a_warning(
    tmp_path: Path, changes: dict[str, str], found: list[str]
) -> None:
    root = write_files(tmp_path, changes)
    warnings = [d for d in check_all(root) if d.path.startswith("catalog/")]
    assert list_diagnostics(warnings) == [(position, "MC903", "") for position in found]


def test_nothing_is_superfluous_while_a_model_has_errors(tmp_path: Path) -> None:
    changes = {"catalog/_profiles/server.yaml": "+replicas: 4\n", "catalog/b.yaml": "+replica: 1\n"}
    root = write_files(tmp_path, changes)
    assert check(root).warnings == ()
    assert [d for d in check_all(root) if d.code.is_warning] == []


def test_the_shipped_catalog_has_no_warnings() -> None:
    assert check_all(SHIPPED) == ()


@pytest.mark.parametrize(
    ("below", "above", "found"),
    [
        pytest.param(
            "image: {repository: r.io/x, tag: v1}\n", "image: {repository: r.io/y, tag: v1}\n",
            [], id="a tag of another repository",
        ),
        pytest.param(
            "image: {repository: r.io/x, tag: v1}\n", "image: {repository: r.io/x, tag: v1}\n",
            ["1:21", "1:34"], id="the whole reference again",
        ),
        pytest.param(
            "env: {A: {secret: s, key: k}}\n", "env: {A: {secret: t, key: k}}\n", [],
            id="a key of another Secret",
        ),
        pytest.param(
            "ingress: {host: a.b, path: /v1}\n", "ingress: {host: c.d, path: /v1}\n", [],
            id="a path of another host",
        ),
        pytest.param(
            "networkPolicy: {allowTo: {p: {cidr: 10.0.0.0/8, ports: [80]}}}\n",
            "networkPolicy: {allowTo: {p: {cidr: 11.0.0.0/8, ports: [80]}}}\n", [],
            id="a port of other peers",
        ),
        pytest.param(
            "rollout: {maxSurge: 1, minReadySeconds: 5}\n",
            "rollout: {maxSurge: 2, minReadySeconds: 5}\n", ["1:41"], id="settings of their own",
        ),
    ],
)  # fmt: skip
def test_a_part_of_another_reference_repeats_nothing(
    tmp_path: Path, below: str, above: str, found: list[str]
) -> None:
    owner = "owner: team-a\nimage: {repository: r.io/x, tag: v1}\n"
    text = owner if "image" not in below else "owner: team-a\n"
    root = write_files(tmp_path, {"catalog/a.yaml": text + below, OVERLAY: above})
    loaded = check(root)
    assert loaded.errors == ()
    positions = [w.position for w in loaded.warnings if w.code.value == "MC903"]
    assert positions == [f"{OVERLAY}:{position}" for position in found]


def test_a_tag_of_a_profile_that_another_profile_replaces_is_needed(tmp_path: Path) -> None:
    changes = {
        "catalog/_profiles/server.yaml": "image: {repository: r.io/x, tag: v1}\n",
        "catalog/_profiles/other.yaml": "image: {repository: r.io/y}\n",
        "catalog/a.yaml": "owner: team-a\nprofiles: [server, other]\nimage: {tag: v1}\n",
    }
    assert [w for w in check(write_files(tmp_path, changes)).warnings if w.path != PROD] == []
