"""The front door: verbs, make targets and help agree; wrong usage says what is right."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from framework.cli import main as front
from framework.cli.main import main
from framework.cli.verbs import VERBS
from tests.shipped import ROOT, SHIPPED

DEPLOYING = ["up", "preview", "refresh", "drift", "destroy", "outputs"]
READING = ["status", "validate", "list", "explain", "diff", "affected", "render"]
EDITING = ["new", "bump", "schema"]
CLUSTER = ["cluster-up", "cluster-down", "cluster-status"]
MAKE_ONLY = ["test", "test-full", "check", "bench", "clean"]


def read_targets() -> dict[str, str]:
    text = (ROOT / "Makefile").read_text()
    return dict(re.findall(r"^([a-z-]+):.*## (.+)$", text, re.MULTILINE))


def test_every_verb_has_a_make_target_with_a_help_line() -> None:
    targets = read_targets()
    assert {*DEPLOYING, *READING, *CLUSTER, *MAKE_ONLY} <= targets.keys()
    assert {verb.name for verb in VERBS} == {*DEPLOYING, *READING, *EDITING, *CLUSTER}


def test_make_alone_lists_every_target() -> None:
    listed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True)
    assert all(f"  {target} " in listed.stdout for target in read_targets())


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out


def test_help_imports_neither_pulumi_nor_the_schema() -> None:
    code = (
        "import sys\nfrom framework.cli.main import build_parser\nbuild_parser().format_help()\n"
        "print({'pulumi', 'pydantic', 'omegaconf', 'rich', 'yaml'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["destroy", "dev", "--model", "churn"], "takes no MODEL", id="destroy MODEL"),
        pytest.param(["drift", "dev", "--model", "churn"], "takes no MODEL", id="drift MODEL"),
        pytest.param(["up"], "ENV", id="no environment"),
        pytest.param(["render", "prd"], "did you mean prod", id="unknown environment"),
        pytest.param(
            ["render", "dev", "--model", "sentimnt"], "did you mean sentiment", id="unknown model"
        ),
        pytest.param(["render", "dev", "--model", "llama-chat"], "does not run in dev", id="off"),
        pytest.param(["render", "dev", "--model", "tier=x"], "tier=critical", id="unknown label"),
        pytest.param(["deploy"], 'called "deploy"; `python -m', id="unknown verb"),
        pytest.param(["valdate"], "did you mean validate? `python -m framework --help`", id="verb"),
        pytest.param(
            ["list", "--modle", "x"], "takes no --modle; did you mean --model?", id="option"
        ),
        pytest.param(["bump", "--tga=x"], "did you mean --tag?", id="option with a value"),
        pytest.param(["drift", "dev", "--zzz"], "it takes --engine, --json;", id="none is near"),
        pytest.param(["up", "dev", "--key", "x"], "takes no --key (KEY=)", id="of other verbs"),
        pytest.param(["destroy", "dev", "--y"], "takes no --y", id="never abbreviated"),
        pytest.param(["up", "model=x"], "takes no model=; did you mean MODEL=?", id="lower case"),
        pytest.param(["up", "dev", "YSE="], "did you mean YES=?", id="misspelt for make"),
        pytest.param(["up", "env=dev"], "did you mean ENV=?", id="lower-case environment"),
        pytest.param(["up", "ENV=dev"], "here it is the name alone", id="make's environment"),
        pytest.param(["up", "dev", "MODEL=x"], "here it is --model", id="make's spelling"),
        pytest.param(["render", "dev", "prod"], "only one name: remove prod", id="two names"),
        pytest.param(["up", "dev", "--engine", "x"], "embedded", id="unknown engine"),
    ],
)
def test_wrong_usage_is_exit_2(
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(front, "ROOT", SHIPPED)
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param("model=x", "takes no model=; did you mean MODEL=?", id="lower case"),
        pytest.param("MODLE=x", "takes no MODLE=; did you mean MODEL=?", id="misspelt"),
        pytest.param("MODLE=", "takes no MODLE=; did you mean MODEL=?", id="misspelt and empty"),
        pytest.param("env=dev", "takes no env=; did you mean ENV=?", id="environment"),
        pytest.param("MODEL=", 'no model is called ""', id="empty"),
        pytest.param("JSON=yes", "expected 1 or 0", id="switch"),
    ],
)
def test_make_passes_on_what_is_to_be_refused(given: str, says: str) -> None:
    # Old as it may be, the set-up is not done again under the feet of the tests.
    command = ["make", "-C", str(ROOT), "-o", ".venv/ready", "render", "ENV=dev", given]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert says in " ".join(run.stderr.split())
    assert "apiVersion" not in run.stdout


def test_inherited_variables_choose_no_environment() -> None:
    said = subprocess.run(
        ["make", "-C", ROOT, "-n", "render"],
        capture_output=True,
        text=True,
        check=True,
        env={"ENV": "prod", "MODEL": "x", "PATH": "/usr/bin:/bin"},
    )
    assert "prod" not in said.stdout
    assert "--model" not in said.stdout
