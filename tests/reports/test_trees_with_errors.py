"""`affected` names models with errors in either tree as not compared, and compares the others."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from framework.cli.compare import run_affected
from framework.cli.main import build_parser
from framework.core.stack import Stack
from framework.plan import PlanStore
from framework.reports.compare import compare_since
from framework.reports.comparison import CommitComparison
from tests.reports.repository import FILES, Repository

_PROD = "environments/prod/environment.yaml"
_BETA = FILES["catalog/beta.yaml"] or ""
_ALPHA = {("dev", "alpha"), ("prod", "alpha")}
_BETA_BOTH = {("dev", "beta"), ("prod", "beta")}
_BROKEN = "owner: [\n"
_LARGE = FILES["catalog/_profiles/large.yaml"] or ""
_TOUCHED: dict[str, str | None] = {
    "catalog/alpha.yaml": (FILES["catalog/alpha.yaml"] or "") + "args: [x]\n"
}


def _run(root: Path, *arguments: str) -> int:
    return run_affected(root, build_parser().parse_args(["affected", *arguments]))


def _pairs(since: CommitComparison) -> set[tuple[str, str]]:
    return {(e.environment, model.name) for e in since.affected for model in e.affected}


def _diagnostics(since: CommitComparison) -> list[str]:
    return sorted(
        {
            diagnostic.position
            for environment in since.environments
            for diagnostic in environment.diagnostics
        }
    )


def _uncompared(since: CommitComparison) -> set[tuple[str, str]]:
    """Returns the (environment, model) not compared; the model is "" for a whole environment."""
    found = {(e.environment, name) for e in since.environments for name in e.not_compared}
    return found | {(e.environment, "") for e in since.environments if not e.compared}


_ERRORS: list[tuple[str, dict[str, str | None], set[tuple[str, str]], str]] = [
    ("a model", {"catalog/beta.yaml": _BROKEN}, _BETA_BOTH, "catalog/beta.yaml:2:1"),
    ("its overlay", {"environments/prod/models/beta.yaml": "replica: 1\n"}, {("prod", "beta")},
     "environments/prod/models/beta.yaml:1:1"),
    ("its profile", {"catalog/_profiles/large.yaml": _LARGE + "replica: 1\n"}, _BETA_BOTH,
     "catalog/_profiles/large.yaml:3:1"),
    ("its patch", {"catalog/beta.yaml": _BETA + "patch: {Deployment: {kind: X}}\n"}, _BETA_BOTH,
     "catalog/beta.yaml:5:28"),
    ("an unknown interpolation", {"catalog/beta.yaml": _BETA + "description: '${nope}'\n"},
     _BETA_BOTH, "catalog/beta.yaml:5:14"),
    ("an environment", {_PROD: "namespace: [\n"}, {("prod", "")}, f"{_PROD}:2:1"),
    ("its overrides", {_PROD: "namespace: ml-prod\noverrides: {replica: 1}\n"}, {("prod", "")},
     f"{_PROD}:2:13"),
    ("the defaults", {"catalog/_defaults.yaml": "replica: 2\n"}, {("dev", ""), ("prod", "")},
     "catalog/_defaults.yaml:1:1"),
    ("an overlay of no model", {"environments/prod/models/wisper.yaml": "replicas: 1\n"}, set(),
     "environments/prod/models/wisper.yaml"),
    ("a profile that no model lists", {"catalog/_profiles/new.yaml": "replica: 9\n"}, set(),
     "catalog/_profiles/new.yaml:1:1"),
    ("a policy", {_PROD: f"{FILES[_PROD]}policy: {{requireDigest: true}}\n"}, set(),
     "catalog/beta.yaml:3:14"),
    ("the capacity", {_PROD: f"{FILES[_PROD]}capacity: {{cpu: 1m}}\n", "catalog/_defaults.yaml":
                      f"{FILES['catalog/_defaults.yaml']}resources: {{requests: {{cpu: 1}}}}\n"},
     set(), "environments/prod/models/alpha.yaml:1:11"),
]  # fmt: skip


@pytest.mark.parametrize("at", ["now", "before"])
@pytest.mark.parametrize(
    ("files", "expected", "position"),
    [case[1:] for case in _ERRORS],
    ids=[case[0] for case in _ERRORS],
)
def test_models_with_errors_are_not_compared_and_the_others_are(
    at: str,
    files: dict[str, str | None],
    expected: set[tuple[str, str]],
    position: str,
    repository: Repository,
) -> None:
    fixed = {path: FILES.get(path) for path in files}
    if at == "before":
        repository.write(files)
        repository.commit()
        repository.write({**fixed, **_TOUCHED})
    else:
        repository.write({**files, **_TOUCHED})
    for why in (False, True):
        since = compare_since(repository.root, "HEAD", None, why=why)
        assert _uncompared(since) == expected
        not_loaded = {environment for environment, name in expected if not name}
        assert _pairs(since) >= {pair for pair in _ALPHA if pair[0] not in not_loaded}
        assert not _pairs(since) & expected
        assert (f"HEAD:{position}" if at == "before" else position) in _diagnostics(since)


def test_model_with_errors_does_not_count_as_unchanged(repository: Repository) -> None:
    repository.write({"catalog/beta.yaml": _BROKEN, **_TOUCHED})
    dev, prod = compare_since(repository.root, "main", None).environments
    assert (dev.unaffected, dev.not_compared, prod.unaffected, prod.not_compared) == (
        0, ("beta",), 0, ("beta",),
    )  # fmt: skip


def test_removed_model_with_errors_is_not_compared(repository: Repository) -> None:
    repository.write({"catalog/beta.yaml": _BROKEN})
    repository.commit()
    repository.write({"catalog/beta.yaml": None})
    since = compare_since(repository.root, "HEAD", None)
    assert (_pairs(since), _uncompared(since)) == (set(), _BETA_BOTH)


def test_error_in_both_trees_is_reported_once(repository: Repository) -> None:
    repository.write({"catalog/beta.yaml": _BETA + "replica: 1\n"})
    repository.commit()
    repository.write({"catalog/_defaults.yaml": "replicas: 2\nports: {http: 8081}\n"})
    since = compare_since(repository.root, "HEAD", None)
    assert _pairs(since) == _ALPHA
    assert _diagnostics(since) == ["catalog/beta.yaml:5:1"]


def test_cached_plans_give_the_same_comparison(repository: Repository) -> None:
    repository.write({"catalog/beta.yaml": _BETA + "replica: 1\n"})
    repository.write({"catalog/_defaults.yaml": "replicas: 2\nports: {http: 8081}\n"})
    first, again = (compare_since(repository.root, "main", None) for _ in range(2))
    assert first == again
    assert (_pairs(again), _uncompared(again)) == (_ALPHA, _BETA_BOTH)


def test_expired_waiver_is_not_an_error_of_a_comparison(repository: Repository) -> None:
    waiver = "waivers: {digest: {reason: agreed, until: '2001-01-31'}}\n"
    repository.write({
        _PROD: f"{FILES[_PROD]}policy: {{requireDigest: true}}\n",
        "catalog/alpha.yaml": f"{FILES['catalog/alpha.yaml']}{waiver}",
        "catalog/beta.yaml": f"{_BETA}{waiver}",
    })  # fmt: skip
    store = PlanStore(repository.root, today=date(2026, 1, 1))
    assert any(
        "ended on" in diagnostic.message for diagnostic in store.load_one(Stack.of("prod")).errors
    )
    repository.commit()
    repository.write({"catalog/beta.yaml": f"{_BETA}{waiver}args: [x]\n"})
    since = compare_since(repository.root, "HEAD", None)
    assert (_pairs(since), since.has_errors) == (_BETA_BOTH, False)


def test_text_and_json_name_the_models_with_errors(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.write({"catalog/beta.yaml": _BROKEN, **_TOUCHED})
    assert _run(repository.root, "--since", "main", "--exit-code") == 1
    output = capsys.readouterr().out
    assert (
        "2 of 2 models in dev, prod change; not all could be compared\n  dev      alpha\n" in output
    )
    assert output.count("           not compared: beta\n") == 2
    assert output.count("catalog/beta.yaml:2:1  MC002  ") == 1
    assert _run(repository.root, "--since", "main", "--why") == 1
    assert "1 of 1 model changes, 1 not compared\n    ~ alpha" in capsys.readouterr().out
    assert _run(repository.root, "prod", "--since", "main", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in found["environments"][0]["models"]] == ["alpha"]
    assert found["incomplete"] == [
        {"environment": "prod", "compared": True, "notCompared": ["beta"], "failure": None}
    ]
    assert [(error["path"], error["code"]) for error in found["diagnostics"]] == [
        ("catalog/beta.yaml", "MC002")
    ]
