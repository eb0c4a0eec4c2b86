"""Rollouts that cannot work, of the stable track and of the candidate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan.small_catalog import FILES, PROD, check, list_diagnostics, write_files

MODEL = "catalog/a.yaml"


@pytest.mark.parametrize(
    ("more", "position", "code", "words"),
    [
        pytest.param(
            "rollout: {maxSurge: 0, maxUnavailable: 0}\n", "4:40", "MC301", "no Pod", id="zero/zero"
        ),
        pytest.param(
            "canary: {candidate: {rollout: {maxSurge: 0, maxUnavailable: 0}}}\n",
            "4:61", "MC301", "no Pod", id="candidate: zero/zero",
        ),
        pytest.param(
            "canary: {candidate: {startupSeconds: 900}}\n",
            "4:38", "MC301", "expected more than 900", id="candidate: deadline",
        ),
        pytest.param(
            "canary: {candidate: {labels: {modelcatalog/track: x}}}\n",
            "4:51", "MC305", "set by the framework", id="candidate: reserved label",
        ),
        pytest.param(
            "canary: {candidate: {volumes: {w: {image: 'r/w:1', mountPath: /w}}}}\n",
            "4:43", "MC304", "needs Kubernetes 1.33", id="candidate: image volume",
        ),
        pytest.param(
            "canary: {mode: within, size: 3, candidate: {image: {tag: v2}}}\n"
            "rollout: {maxSurge: 0, maxUnavailable: 1}\n",
            "5:40", "MC301", "the canary takes 3 of 4", id="what is left beside the canary",
        ),
        pytest.param(
            "canary: {mode: within, size: 4, candidate: {image: {tag: v2}}}\n",
            "4:30", "MC303", "leaves no stable Pod", id="nothing is left beside the canary",
        ),
        pytest.param(
            "canary: {mode: within, size: 9, candidate: {image: {tag: v2}}}\n"
            "rollout: {maxSurge: 1, maxUnavailable: 0}\n",
            "4:30", "MC303", "leaves no stable Pod", id="the canary is larger than all",
        ),
    ],
)  # fmt: skip
def test_a_rollout_that_cannot_work_is_reported_at_its_setting(
    tmp_path: Path, more: str, position: str, code: str, words: str
) -> None:
    old = "+cluster: {kubernetesVersion: '1.32'}\n"
    [diagnostic] = check(write_files(tmp_path, {MODEL: f"+{more}", PROD: old})).errors
    assert list_diagnostics([diagnostic]) == [(f"{MODEL}:{position}", code, "a")]
    assert words in diagnostic.message


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(
            "canary: {candidate: {rollout: {maxSurge: 0, maxUnavailable: 1}}}\n",
            id="one canary goes dark, and the stable Pods serve on",
        ),
        pytest.param(
            "canary: {mode: within, candidate: {image: {tag: v2}}}\n"
            "disruptionBudget: {minAvailable: 3}\n",
            id="the disruption budget counts both tracks",
        ),
    ],
)
def test_a_rollout_that_works_has_no_errors(tmp_path: Path, more: str) -> None:
    assert check(write_files(tmp_path, {MODEL: f"+{more}"})).errors == ()


def test_an_error_in_a_shared_file_is_reported_for_each_model(tmp_path: Path) -> None:
    bad = FILES[PROD] + "overrides: {rollout: {maxSurge: 0, maxUnavailable: 0}}\n"
    diagnostics = check(write_files(tmp_path, {PROD: bad})).errors
    assert list_diagnostics(diagnostics) == [(f"{PROD}:2:52", "MC301", name) for name in ("a", "b")]
    assert len({diagnostic.message for diagnostic in diagnostics}) == 1
