"""`new` writes an entry that is valid in every environment, or nothing; it prompts in terminals."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.catalog import load_catalog
from framework.cli.edit import run_new
from framework.core.errors import FrameworkError, UnknownNameError, UsageError
from framework.core.stack import Stack
from framework.edits.new import Draft, render_entry
from framework.edits.transaction import InvalidEditError
from tests.edits.conftest import Snapshot, Write


def run(root: Path, model: str | None = None, **arguments: str) -> int:
    options = argparse.Namespace(model=model, profile=None, owner=None, tag=None)
    vars(options).update(arguments)
    return run_new(root, options)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Returns a function that simulates a user who types `answers` in a terminal.

    The function returns a list, to which each question that `new` asks is added.
    """

    def _simulate(*answers: str) -> list[str]:
        questions: list[str] = []
        remaining: Iterator[str] = iter(answers)

        def ask(question: str) -> str:
            questions.append(question)
            return next(remaining)

        monkeypatch.delenv("CI", raising=False)
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setattr("builtins.input", ask)
        return questions

    return _simulate


def test_entry_has_the_given_settings_and_the_inherited_ones_as_comments(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write()
    assert run(root, "x", profile="server,small", owner="team-x", tag="1.10") == 0
    assert (root / "catalog/x.yaml").read_text() == (
        "owner: team-x\n"
        "description: x on server                # say in one sentence what it does\n"
        "profiles: [server, small]\n"
        'image: {tag: "1.10"}                    '
        "# of r/server, from catalog/_profiles/server.yaml\n"
        "\n"
        '# Inherited. To change a value, remove the "# " before it.\n'
        "# replicas: 2                           # from catalog/_defaults.yaml; 3 in prod\n"
        "# resources:\n"
        '#   requests: {cpu: "1"}                # from catalog/_profiles/small.yaml\n'
        "# env: {A: b}                           # from catalog/_profiles/server.yaml\n"
    )
    assert "valid in dev, prod" in (output := capsys.readouterr().out)
    assert "make preview ENV=dev MODEL=x" in output


def test_entry_has_no_tag_if_the_profile_sets_one(write: Write) -> None:
    root = write()
    run(root, "x", profile="server", owner="team-x")
    assert "tag" not in (root / "catalog/x.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param({}, UsageError, "new needs MODEL, PROFILE, OWNER, TAG: `make", id="all"),
        pytest.param({"model": "x", "profile": "untagged", "owner": "o"}, UsageError,
                     "needs TAG: `make new MODEL=x PROFILE=untagged OWNER=o TAG=tag`", id="tag"),
        pytest.param({"model": "x", "profile": "server"}, UsageError, "needs OWNER:", id="owner"),
        pytest.param({"model": "x", "profile": "servr", "owner": "o"}, UnknownNameError,
                     "did you mean server", id="unknown profile"),
        pytest.param({"model": "x", "profile": "server,server", "owner": "o"}, UsageError, "twice",
                     id="profile twice"),
        pytest.param({"model": "X", "profile": "server", "owner": "o"}, UsageError,
                     "at most 40 characters; use x", id="capital"),
        pytest.param({"model": "../x", "profile": "server", "owner": "o"}, UsageError,
                     "is not a valid name for a model", id="another folder"),
        pytest.param({"model": "x-canary", "profile": "server", "owner": "o"}, UsageError,
                     "canary track", id="canary"),
        pytest.param({"model": "a", "profile": "server", "owner": "o"}, UsageError,
                     "catalog/a.yaml exists already", id="existing model"),
        pytest.param({"model": "x", "profile": "server", "owner": "o", "tag": "a b"}, UsageError,
                     "not a valid image tag", id="bad tag"),
        pytest.param({"model": "x", "profile": "server", "owner": "a b"}, InvalidEditError,
                     r"catalog/x.yaml:1:8(.|\n)*owner", id="bad owner"),
        pytest.param({"model": "x", "profile": "small", "owner": "o", "tag": "v1"},
                     InvalidEditError, r"image.repository is missing(.|\n)*server", id="no image"),
    ],
)  # fmt: skip
def test_invalid_entry_is_not_written(
    arguments: dict[str, str],
    error: type[FrameworkError],
    message: str,
    write: Write,
    snapshot: Snapshot,
) -> None:
    root = write()
    before = snapshot(root)
    with pytest.raises(error, match=message):
        run(root, **arguments)
    assert snapshot(root) == before


def test_new_asks_for_missing_arguments_in_a_terminal(
    write: Write, answer: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    root = write()
    questions = answer("A", "x", "9", "3 2", "team-x", "v 1", "v1")
    assert run(root) == 0
    text = (root / "catalog/x.yaml").read_text()
    assert text.startswith("owner: team-x\n")
    assert "profiles: [untagged, small]\nimage: {tag: v1} " in text
    output = capsys.readouterr().out
    assert '"A" is not a valid name for a model' in output
    assert "  1  server    Serves anything.\n  2  small     One core.\n" in output
    assert "owners so far: team-a, team-b\n" in output
    assert questions[4:] == ["owner: ", "image tag: ", "image tag: "]


def test_new_does_not_ask_for_given_arguments(
    write: Write, answer: Callable[..., list[str]]
) -> None:
    questions = answer()
    assert run(write(), "x", profile="server", owner="team-x") == 0
    assert questions == []


@pytest.mark.parametrize("stop", [EOFError, KeyboardInterrupt])
def test_unanswered_question_writes_nothing(
    stop: type[BaseException], write: Write, snapshot: Snapshot,
    answer: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    root = write()
    before = snapshot(root)
    answer()

    def end(question: str) -> str:
        raise stop

    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(FrameworkError, match="Nothing was written"):
        run(root, "x")
    assert snapshot(root) == before


def test_new_does_not_ask_in_ci(
    write: Write, answer: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = answer("x")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(UsageError, match="needs MODEL"):
        run(write())
    assert questions == []


@pytest.mark.parametrize(
    "profiles", ["mlserver,cpu-small", "triton,s3-artifact,gpu-l4", "vllm,gpu-l4"]
)
def test_entry_with_every_setting_uncommented_means_the_same(
    profiles: str, make_project: Callable[..., object], tmp_path: Path
) -> None:
    make_project("churn")
    root = tmp_path / "project"
    assert run(root, "x", profile=profiles, owner="team-x", tag="v1") == 0
    path = root / "catalog/x.yaml"
    before = load_catalog(root, Stack.of("dev"), models={"x"}).models[0].settings
    path.write_text(re.sub(r"(?m)^# (?=[ a-z])", "", path.read_text()))
    assert load_catalog(root, Stack.of("dev"), models={"x"}).models[0].settings == before
    assert all(len(line) <= 100 for line in path.read_text().splitlines())


def test_no_secret_of_a_profile_is_copied(write: Write) -> None:
    assert "hunter2" not in render_entry(Draft(write(), "x", ("server",), "o", "v1"))
