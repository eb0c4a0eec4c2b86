"""Capacity: the peak of one update, and the needs of all models at rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.plan.checks.facts import render_amount
from framework.plan.pod_needs import read_amount
from tests.plan.small_catalog import FILES, PROD, check, list_diagnostics, write_files

CANARY = "canary: {candidate: {args: [x]}}\n"
SCALED = "autoscaling: {minReplicas: 2, maxReplicas: 5, cpu: 50}\n"
GPU = "resources: {limits: {nvidia.com/gpu: 1}}\n"


@pytest.mark.parametrize(
    ("quantity", "thousandths"),
    [("500m", 500), ("2", 2000), ("1Ki", 1024000), ("0.5Gi", 512 * 1024**2 * 1000), ("1k", 10**6)],
)
def test_a_quantity_is_read_as_whole_thousandths(quantity: str, thousandths: int) -> None:
    assert read_amount(quantity) == thousandths


@pytest.mark.parametrize(
    ("quantity", "resource", "shown"),
    [
        ("3500m", "cpu", "3.5"),
        ("250m", "cpu", "0.25"),
        ("12000m", "cpu", "12"),
        ("100", "cpu", "100"),
        ("1.5Ti", "memory", "1536Gi"),
        ("1025Mi", "memory", "1.1Gi"),
        ("4Gi", "memory", "4Gi"),
        ("4G", "ephemeral-storage", "3.8Gi"),
        ("16", "nvidia.com/gpu", "16"),
    ],
)
def test_an_amount_is_rendered_in_the_usual_unit(quantity: str, resource: str, shown: str) -> None:
    assert render_amount(read_amount(quantity), resource) == shown


def test_a_capacity_is_rounded_down() -> None:
    assert render_amount(read_amount("4G"), "memory", down=True) == "3.7Gi"


@pytest.mark.parametrize(
    ("capacity", "words"),
    [
        pytest.param("{cpu: 3900m}", "without any update, all models need 4 cpu, and capa",
                     id="cpu"),
        pytest.param("{memory: 8191Mi}", "need 8Gi memory, and capacity.memory is 7.9Gi (",
                     id="Mi"),
        pytest.param("{memory: 7Gi}",
                     "a 4Gi (catalog/_defaults.yaml:3), b 4Gi (catalog/_defaults.yaml:3);",
                     id="memory"),
        pytest.param("{pods: 7}", "a 4 (catalog/_defaults.yaml:2), b 4 (catalog/_defaults.yaml:2);",
                     id="pods"),
    ],
)  # fmt: skip
def test_models_that_need_more_than_the_capacity_are_an_error(
    tmp_path: Path, capacity: str, words: str
) -> None:
    [diagnostic] = check(write_files(tmp_path, {PROD: f"+capacity: {capacity}\n"})).errors
    assert (diagnostic.path, diagnostic.line, diagnostic.code, diagnostic.model) == (
        PROD,
        2,
        "MC403",
        "",
    )
    assert words in diagnostic.message


def test_a_capacity_error_lists_the_largest_users_and_sums_the_rest(tmp_path: Path) -> None:
    more = {f"catalog/m{n}.yaml": FILES["catalog/a.yaml"] + f"replicas: {n}\n" for n in range(1, 5)}
    [diagnostic] = check(write_files(tmp_path, {**more, PROD: "+capacity: {pods: 10}\n"})).errors
    at = "(catalog/_defaults.yaml:2)"
    assert f": a 4 {at}, b 4 {at}, m4 4 (catalog/m4.yaml:4), 3 more 6;" in diagnostic.message


@pytest.mark.parametrize(
    ("changes", "position"),
    [
        ({}, f"{PROD}:2:18"),
        ({"catalog/b.yaml": "+replicas: 8\n"}, f"{PROD}:2:18"),
        ({"environments/prod/models/b.yaml": "replicas: 8\n"},
         "environments/prod/models/b.yaml:1:11"),
        # The smaller of the two models, because the larger is the same in every environment.
        ({"catalog/b.yaml": "+replicas: 6\n", "environments/prod/models/a.yaml": "replicas: 5\n"},
         "environments/prod/models/a.yaml:1:11"),
        ({PROD: "+capacity: {pods: 10}\noverrides: {replicas: 8, rollout: {maxSurge: 1}}\n"},
         f"{PROD}:3:23"),
        ({"environments/prod/models/b.yaml": "# GPUs of prod\nautoscaling: {minReplicas: 4, "
          "maxReplicas: 8, cpu: 50}\n"}, "environments/prod/models/b.yaml:2:44"),
    ],
)  # fmt: skip
def test_a_capacity_error_is_at_the_latest_layer(
    tmp_path: Path, changes: dict[str, str], position: str
) -> None:
    pods = 7 if not changes else 10
    files = {PROD: f"+capacity: {{pods: {pods}}}\n", **changes}
    errors = check(write_files(tmp_path, files)).errors
    assert [(error.position, error.code.value) for error in errors] == [(position, "MC403")]


@pytest.mark.parametrize(
    ("more", "units"),
    [
        pytest.param(f"replicas: 3\n{GPU}", 4, id="a surge of one"),
        pytest.param(f"replicas: 2\n{GPU}{CANARY}", 4, id="beside a canary"),
        pytest.param(f"{SCALED}{GPU}", 7, id="at an autoscaler's largest"),
        pytest.param(
            f"replicas: 1\n{GPU}sidecars: {{s: {{image: 'r/s:1', {GPU[:-1]}}}}}\n"
            f"initContainers: {{i: {{image: 'r/i:1', {GPU[:-1]}}}}}\n", 4, id="sidecars add up",
        ),
    ],
)  # fmt: skip
def test_an_update_that_exceeds_the_capacity_is_an_error(
    tmp_path: Path, more: str, units: int
) -> None:
    changes = {"catalog/a.yaml": f"+{more}"}
    root = write_files(tmp_path, {**changes, PROD: f"+capacity: {{nvidia.com/gpu: {units}}}\n"})
    assert check(root).errors == ()
    write_files(tmp_path, {**changes, PROD: f"+capacity: {{nvidia.com/gpu: {units - 1}}}\n"})
    [diagnostic] = check(root).errors
    assert (diagnostic.code, diagnostic.model) == ("MC302", "a")
    assert f"needs {units} nvidia.com/gpu, and prod has {units - 1} (" in diagnostic.message


def test_a_peak_and_the_capacity_have_the_same_unit(tmp_path: Path) -> None:
    root = write_files(tmp_path, {PROD: "+capacity: {cpu: 2400m}\n", "catalog/b.yaml": ""})
    [diagnostic] = [
        diagnostic for diagnostic in check(root).errors if diagnostic.code.value == "MC302"
    ]
    assert "it needs 2.5 cpu, and prod has 2.4 (" in diagnostic.message


SIDECAR = "sidecars: {s: {image: 'r/s:1', resources: {limits: {nvidia.com/gpu: §64}}}}\n"
PATCHED = (
    "sidecars: {s: {image: 'r/s:1'}}\npatch: {Deployment: {spec: {template: {spec: "
    "{initContainers: [{name: s, resources: {limits: {nvidia.com/gpu: §64}}}]}}}}}\n"
)


@pytest.mark.parametrize(
    ("capacity", "more"),
    [
        pytest.param("{nvidia.com/gpu: 8}", SIDECAR, id="a sidecar's"),
        pytest.param("{nvidia.com/gpu: 8}", GPU + SIDECAR + CANARY, id="beside a canary"),
        pytest.param("{nvidia.com/gpu: 8}", PATCHED, id="a patched one"),
        pytest.param("{cpu: 9}", "resources: {requests: {cpu: §3}}\n", id="the model's own"),
        pytest.param("{pods: 8}", "replicas: §9\n", id="Pods"),
    ],
)
def test_a_model_that_never_fits_is_reported_at_its_largest_request(
    tmp_path: Path, capacity: str, more: str
) -> None:
    changes = {"catalog/a.yaml": f"+{more.replace('§', '')}", "catalog/b.yaml": "enabled: false\n"}
    diagnostics = check(write_files(tmp_path, {**changes, PROD: f"+capacity: {capacity}\n"})).errors
    [diagnostic] = [diagnostic for diagnostic in diagnostics if diagnostic.code.value == "MC302"]
    before = (FILES["catalog/a.yaml"] + more).partition("§")[0].split("\n")
    assert diagnostic.position == f"catalog/a.yaml:{len(before)}:{len(before[-1]) + 1}"
    assert diagnostic.message.startswith("even without a surge it needs ")
    assert "maxSurge" not in diagnostic.message


def test_a_model_with_errors_does_not_hide_a_lack_of_capacity(tmp_path: Path) -> None:
    changes = {"catalog/b.yaml": "+replica: 2\n", PROD: "+capacity: {pods: 3}\n"}
    codes = [code for _, code, _ in list_diagnostics(check(write_files(tmp_path, changes)).errors)]
    assert codes == ["MC302", "MC101"]
