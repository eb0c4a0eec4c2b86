"""The verbs that write files of the repository: new, bump, schema."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

from framework.catalog import list_models, load_catalog
from framework.cli.prompts import is_terminal, split_words
from framework.core.errors import FrameworkError, UnknownNameError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.stack import Stack
from framework.edits.bump import bump_tag, check_tag
from framework.edits.new import (
    Draft,
    add_model,
    check_name,
    check_profiles,
    list_owners,
    list_profiles,
)
from framework.files import list_environments
from framework.output.edits import render_bumps, render_new
from framework.output.text import render_table, render_wrapped, screen_width
from framework.plan.selection import ModelPattern, unknown_label

# A list in indented JSON that contains neither lists nor mappings.
_INNERMOST_LIST = re.compile(r"\[\n[^\[\]{}]*\n *\]")


def run_bump(root: Path, options: argparse.Namespace) -> ExitCode:
    """Sets the image tag of models, in their own files or in those of one environment."""
    _require("bump", {"MODEL": options.model, "TAG": options.tag})
    environment: str | None = options.environment
    known = list_environments(root)
    if environment is not None and environment not in known:
        raise UnknownNameError("environment", environment, known)
    tag = check_tag(options.tag)
    names = _select_names(root, options.model, (environment,) if environment else known)
    bumps = bump_tag(root, names, tag, environment)
    if options.json:
        from framework.output.catalog_documents import Bump
        from framework.output.json import render_json

        print(render_json(Bump(tag, tuple(bumps))))
    else:
        print(render_bumps(bumps, tag, options.model, known))
    return ExitCode.DONE


def run_new(root: Path, options: argparse.Namespace) -> ExitCode:
    """Adds a model to the catalog; in a terminal it prompts for options that are missing."""
    try:
        draft = _complete_draft(root, options)
    except (KeyboardInterrupt, EOFError):
        # Ctrl-C or Ctrl-D at a question, so before the file is written, which main() cannot know.
        raise FrameworkError("\nNothing was written.") from None
    environments = add_model(draft)
    print(render_new(draft.path, environments))
    return ExitCode.DONE


def run_schema(root: Path, options: argparse.Namespace) -> ExitCode:
    """Writes every file that is generated from the settings classes, and lists which changed."""
    rows = []
    for path, text in build_files().items():
        file = root / path
        before = file.read_text(encoding="utf-8") if file.is_file() else None
        if before != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        rows.append((path, "new" if before is None else "same" if before == text else "changed"))
    print(render_table(rows))
    return ExitCode.DONE


def build_files() -> dict[str, str]:
    """Returns the text of each generated file by its path."""
    from framework.output.documents import build_output_schemas
    from framework.settings.json_schema import build_schemas
    from framework.settings.reference import render_reference

    outputs = {
        f"schemas/output/{name}": render_generated(schema)
        for name, schema in build_output_schemas().items()
    }
    schemas = {
        f"schemas/{name}": render_generated(schema) for name, schema in build_schemas().items()
    }
    return {**schemas, **outputs, "docs/settings.md": render_reference()}


def render_generated(value: Any) -> str:
    """Returns indented JSON with innermost lists on one line, which keeps diffs of it short."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _INNERMOST_LIST.sub(lambda match: re.sub(r"\n *", " ", match[0]), text) + "\n"


def _select_names(root: Path, pattern: str, environments: Iterable[str]) -> list[str]:
    """Returns the models that a pattern selects, in whichever environment they run.

    Errors: UnknownNameError.
    """
    known = list_models(root)
    selected = ModelPattern(pattern)
    if not selected.is_label:
        names = selected.filter_names(known)
        if not names:
            raise UnknownNameError("model", pattern, known)
        return sorted(names)
    models = [
        model
        for environment in environments
        for model in load_catalog(root, Stack.of(environment)).models
    ]
    names = frozenset(m.name for m in models if selected.matches(m.name, m.labels))
    if not names:
        pairs = {f"{key}={text}" for model in models for key, text in model.labels.items()}
        raise unknown_label(pattern, pairs)
    return sorted(names)


def _require(verb: str, options: Mapping[str, str | None]) -> None:
    missing = [name for name, value in options.items() if not value]
    if missing:
        example = " ".join(f"{name}={value or name.lower()}" for name, value in options.items())
        raise UsageError(f"{verb} needs {', '.join(missing)}: `make {verb} {example}`")


def _complete_draft(root: Path, options: argparse.Namespace) -> Draft:
    """Checks the given options, then prompts for the missing ones.

    Errors: UsageError for a wrong option, and for a missing one if there is no terminal.
    """
    name: str | None = options.model
    if name is not None:
        check_name(root, name)
    if options.tag is not None:
        check_tag(options.tag)
    profiles = split_words(options.profile) if options.profile is not None else None
    if profiles is not None:
        check_profiles(root, profiles)
    if not is_terminal() or os.environ.get("CI"):
        draft = Draft(root, name or "", profiles or (), options.owner, options.tag)
        needed = {"MODEL": name, "PROFILE": ",".join(profiles or ())}
        # The profiles may provide the owner and the tag; then neither is needed.
        for key, value in {"owner": draft.owner, "tag": draft.tag}.items():
            if value or key in draft.missing:
                needed[key.upper()] = value
        _require("new", needed)
        return draft
    if name is None:
        name = _ask_until_valid("name of the model", lambda answer: check_name(root, answer))
    draft = Draft(root, name, profiles or _ask_profiles(root), options.owner, options.tag)
    owner, tag = draft.owner, draft.tag
    if "owner" in draft.missing:
        owners = ", ".join(list_owners(root)) or "none"
        print(render_wrapped(f"owners so far: {owners}", then="  "))
        owner = _ask_until_valid("owner", lambda answer: None)
    if "tag" in draft.missing:
        tag = _ask_until_valid("image tag", check_tag)
    return Draft(root, draft.name, draft.profiles, owner, tag)


def _ask_profiles(root: Path) -> tuple[str, ...]:
    known = list_profiles(root)
    room = screen_width() - 8 - max(map(len, known), default=0)
    print(
        render_table(
            [
                [str(number), name, shorten(text, room, placeholder="...")]
                for number, (name, text) in enumerate(known.items(), 1)
            ],
            indent="  ",
        )
    )
    numbers = {str(number): name for number, name in enumerate(known, 1)}

    def choose(answer: str) -> tuple[str, ...]:
        return tuple(numbers.get(part, part) for part in split_words(answer))

    answer = _ask_until_valid(
        "profiles, by number or name, the later ones win (a server, then a size)",
        lambda answer: check_profiles(root, choose(answer)),
    )
    return choose(answer)


def _ask_until_valid(question: str, check: Callable[[str], object]) -> str:
    """Asks until `check` accepts the answer; it raises UsageError to refuse one."""
    while True:
        answer = input(f"{question}: ").strip()
        if not answer:
            continue
        try:
            check(answer)
        except UsageError as error:
            print(error)
            continue
        return answer
