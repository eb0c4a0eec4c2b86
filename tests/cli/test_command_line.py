"""The command line: verbs, make targets, help and completion agree; wrong usage is explained."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module

import pytest

from framework.cli import main as front
from framework.cli.completion import render_completion
from framework.cli.main import main
from framework.cli.verbs import GROUPS, OPTIONS, VERBS
from tests.shipped import ROOT, SHIPPED

MAKEFILE = (ROOT / "Makefile").read_text()
MAKE_ONLY = {"test", "test-full", "check", "bench", "clean"}


def read_sections() -> dict[str, dict[str, str]]:
    """Returns the help lines of the make targets, by section and target."""
    _, *sections = re.split(r"(?m)^##@ (.+)$", MAKEFILE)
    return {
        name: dict(re.findall(r"(?m)^([a-z-]+):.*## (.+)$", text))
        for name, text in zip(sections[::2], sections[1::2], strict=True)
    }


def test_make_lists_the_verbs_in_the_groups_of_the_table() -> None:
    sections = read_sections()
    for group, verbs in GROUPS.items():
        assert list(sections[group]) == [verb.name for verb in verbs]
        for verb in verbs:
            # make may add how the options are given.
            assert sections[group][verb.name].startswith(verb.help)
    assert sections["Development"].keys() >= MAKE_ONLY


def test_make_alone_lists_every_target() -> None:
    run = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True)
    targets = [target for section in read_sections().values() for target in section]
    assert all(f"  {target} " in run.stdout for target in targets)


def test_make_takes_every_option() -> None:
    def read_list(name: str) -> set[str]:
        (names,) = re.findall(rf"(?m)^{name} := (.+)$", MAKEFILE)
        return {variable.lower().replace("_", "-") for variable in names.split()}

    assert read_list("VALUES") == {name for name, option in OPTIONS.items() if option.metavar}
    assert read_list("SWITCHES") == {name for name, option in OPTIONS.items() if not option.metavar}


def test_every_verb_names_options_of_the_table_and_a_function_that_exists() -> None:
    for verb in VERBS:
        assert set(verb.options) <= OPTIONS.keys()
        module, function = verb.run.split(":")
        assert callable(getattr(import_module(f"framework.cli.{module}"), function))


def test_help_lists_the_verbs_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    positions = [lines.index(group) for group in GROUPS]
    assert positions == sorted(positions)
    for verb in VERBS:
        assert any(line.startswith(f"  {verb.name} ") and verb.help in line for line in lines)


def test_help_of_a_verb_shows_choices_defaults_and_an_example(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main(["up", "--help"])
    text = capsys.readouterr().out
    assert "--engine {auto,cli,embedded}" in text
    assert "(default: auto)" in text
    assert "example: make up ENV=staging" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["up", ""], ["dev", "prod", "staging"], id="environments"),
        pytest.param(["list", "--model", "sent"], ["sentiment"], id="models"),
        pytest.param(["render", "dev", "--mo"], ["--model"], id="options"),
        pytest.param(["cluster-s"], ["cluster-status"], id="verbs"),
        pytest.param(["up", "dev", "--engine", "e"], ["embedded"], id="choices"),
    ],
)
def test_bash_completes(words: list[str], expected: list[str]) -> None:
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    line = " ".join(map(shlex.quote, ["modelcatalog", *words]))
    script = f"""{render_completion("bash")}
COMP_WORDS=({line}); COMP_CWORD={len(words)}; COMP_LINE="x"; COMP_POINT=1
_shtab_modelcatalog; printf '%s\\n' "${{COMPREPLY[@]}}" """
    run = subprocess.run(
        ["bash", "-c", script], cwd=SHIPPED, capture_output=True, text=True, check=True
    )
    assert sorted(word for word in run.stdout.split() if word) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--completion", shell])
    assert stopped.value.code == 0
    assert "_modelcatalog_models" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out


def test_help_imports_no_large_library() -> None:
    code = (
        "import sys\nfrom framework.cli.main import build_parser\nbuild_parser().format_help()\n"
        "print({'pulumi', 'pydantic', 'omegaconf', 'rich', 'yaml'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["destroy", "dev", "--model", "churn"], "does not accept MODEL", id="destroy MODEL"
        ),
        pytest.param(
            ["drift", "dev", "--model", "churn"], "does not accept MODEL", id="drift MODEL"
        ),
        pytest.param(["up", "dev", "--model", ""], "MODEL is empty; expected", id="empty MODEL"),
        pytest.param(
            ["render", "dev", "--model", "a,b"], 'MODEL is "a,b", a list; expected', id="list"
        ),
        pytest.param([], "name a verb; `", id="no verb"),
        pytest.param(["up"], "ENV", id="no environment"),
        pytest.param(["explain", "churn"], "--model churn`, or", id="model for ENV"),
        pytest.param(["render", "dev", "--set"], "--set needs a value", id="no value"),
        pytest.param(["up", "dev", "--yes=1"], "--yes takes no value", id="value of a switch"),
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
        pytest.param(
            ["drift", "dev", "--zzz"], "it takes --engine, --out, --why, --json;", id="none is near"
        ),
        pytest.param(["up", "dev", "--key", "x"], "takes no --key (KEY=)", id="of other verbs"),
        pytest.param(["destroy", "dev", "--y"], "takes no --y", id="never abbreviated"),
        pytest.param(["up", "model=x"], "takes no model=; did you mean MODEL=?", id="lower case"),
        pytest.param(["up", "dev", "YSE="], "did you mean YES=?", id="misspelt for make"),
        pytest.param(["up", "env=dev"], "did you mean ENV=?", id="lower-case environment"),
        pytest.param(["up", "ENV=dev"], "write only the name: dev", id="make's environment"),
        pytest.param(["up", "dev", "MODEL=x"], "write --model x;", id="make's spelling"),
        pytest.param(["up", "dev", "YES=1"], "write --yes;", id="make's switch"),
        pytest.param(["list", "MODEL=a b"], "write --model 'a b';", id="with a space"),
        pytest.param(["import", "FILE=x"], "no FILE=; write --file x;", id="make's file"),
        pytest.param(["import", "x", "OWNER=me"], "write --owner me;", id="beside a file"),
        pytest.param(["import", "prod=a YES=1"], "write --yes;", id="as make quotes them"),
        pytest.param(
            ["import", "ENV=prod=a"], "write only the name: prod=a;", id="environment of make"
        ),
        pytest.param(["import", "FLIE=x"], "did you mean FILE=?", id="misspelt file"),
        pytest.param(["import", "modle="], "did you mean MODEL=?", id="unknown to make"),
        pytest.param(["import", "x", "prd=a"], 'environment is called "prd"', id="environment"),
        pytest.param(
            ["render", "dev", "prod"], "one name, the environment: remove prod", id="two names"
        ),
        pytest.param(["up", "dev", "--engine", "x"], "embedded", id="unknown engine"),
    ],
)
def test_wrong_usage_is_exit_2(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(front, "ROOT", SHIPPED)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param("model=x", "takes no model=; did you mean MODEL=?", id="lower case"),
        pytest.param("MODLE=x", "takes no MODLE=; did you mean MODEL=?", id="misspelt"),
        pytest.param("MODLE=", "takes no MODLE=; did you mean MODEL=?", id="misspelt and empty"),
        pytest.param("env=dev", "takes no env=; did you mean ENV=?", id="environment"),
        pytest.param("MODEL=", "MODEL is empty; expected one name", id="empty"),
        pytest.param("JSON=yes", "expected 1 or 0", id="switch"),
    ],
)
def test_make_passes_on_unknown_variables_to_be_refused(given: str, message: str) -> None:
    # `-o` keeps make from rebuilding .venv while other tests use it.
    command = ["make", "-C", str(ROOT), "-o", ".venv/ready", "render", "ENV=dev", given]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert message in " ".join(run.stderr.split())
    assert "apiVersion" not in run.stdout


def test_inherited_variables_are_ignored() -> None:
    run = subprocess.run(
        ["make", "-C", ROOT, "-n", "render"],
        capture_output=True,
        text=True,
        check=True,
        env={"ENV": "prod", "MODEL": "x", "PATH": "/usr/bin:/bin"},
    )
    assert "prod" not in run.stdout
    assert "--model" not in run.stdout


@pytest.mark.parametrize(
    ("words", "options", "variables"),
    [
        ("explain churn dev", "dev --model churn", "ENV=dev MODEL=churn"),
        ("explain dev churn", "dev --model churn", "ENV=dev MODEL=churn"),
        ("explain dev chrn", "dev --model chrn", "ENV=dev MODEL=chrn"),
        ("explain churn", "dev|staging|prod --model churn", "ENV=dev|staging|prod MODEL=churn"),
        (
            "explain dev churn rollout.maxSurge",
            "dev --model churn --key rollout.maxSurge",
            "ENV=dev MODEL=churn KEY=rollout.maxSurge",
        ),
        (
            "explain dev --model churn image --json",
            "dev --model churn --key image --json",
            "ENV=dev MODEL=churn KEY=image JSON=1",
        ),
        ("up dev sent*", "dev --model 'sent*'", "ENV=dev MODEL='sent*'"),
        ("status churn dev", "dev --model churn", "ENV=dev MODEL=churn"),
        ("list churn", "--model churn", "MODEL=churn"),
        ("bump churn 1.7.0", "--model churn --tag 1.7.0", "MODEL=churn TAG=1.7.0"),
        ("diff dev prod", "dev --to prod", "ENV=dev TO=prod"),
        ("diff dev main", "dev --since main", "ENV=dev SINCE=main"),
        ("affected main", "--since main", "SINCE=main"),
        ("new upsell", "--model upsell", "MODEL=upsell"),
    ],
)
def test_names_without_an_option_are_shown_with_it(
    words: str, options: str, variables: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    verb, shown = words.split()[0], " ".join(capsys.readouterr().err.split())
    assert f"{verb} {options}`, or `make {verb} {variables}`" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "validate churn",
            "validate does not accept MODEL: it always applies to the whole catalog",
        ),
        (
            "drift churn dev",
            "drift does not accept MODEL: it always applies to the whole environment",
        ),
        (
            "cluster-up churn",
            "cluster-up does not accept MODEL: it always applies to the whole local",
        ),
        (
            "destroy churn dev",
            "the whole environment; to delete one model, remove its file, or set `enabled: false`",
        ),
        ("validate dev prod", "validate takes one name, the environment: remove prod"),
        ("explain dev --model churn fraud --key image", "the environment: remove fraud"),
        ("schema dev", "schema takes no ENV: it concerns the catalog"),
        ("status prd", 'no environment is called "prd"; did you mean prod?'),
    ],
)
def test_names_that_a_verb_cannot_take_are_refused(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) in (1, 2)
    assert message in " ".join(capsys.readouterr().err.split())
