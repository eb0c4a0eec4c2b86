"""The verbs that edit the catalog: new, bump."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import shorten

from framework.catalog import list_environments, list_models, load_catalog
from framework.core.errors import FrameworkError, UnknownNameError, UsageError
from framework.edits.bump import bump_tag, check_tag
from framework.edits.new import (
    Draft,
    add_model,
    check_name,
    check_profiles,
    list_owners,
    list_profiles,
)
from framework.output.edits import describe_bumps, render_bumps, render_new
from framework.output.text import WIDTH, render_table, render_wrapped


def run_bump(root: Path, options: argparse.Namespace) -> int:
    """Set the image tag of one model or several, in their files or in one environment's."""
    _refuse_missing("bump", {"MODEL": options.model, "TAG": options.tag})
    environment: str | None = options.environment
    known = list_environments(root)
    if environment is not None and environment not in known:
        raise UnknownNameError("environment", environment, known)
    tag = check_tag(options.tag)
    names = _select_names(root, options.model, (environment,) if environment else known)
    bumps = bump_tag(root, names, tag, environment)
    if options.json:
        print(json.dumps(describe_bumps(bumps, tag), indent=2))
    else:
        print(render_bumps(bumps, tag, options.model))
    return 0


def run_new(root: Path, options: argparse.Namespace) -> int:
    """Add a model; asks in a terminal for what it was not told."""
    try:
        draft = _complete_draft(root, options)
    except (KeyboardInterrupt, EOFError):
        # A question was left unanswered: nothing is begun, and nothing goes on from there.
        raise FrameworkError("\nNothing was written.") from None
    environments = add_model(draft)
    print(render_new(draft.path, environments))
    return 0


def _select_names(root: Path, pattern: str, environments: Iterable[str]) -> list[str]:
    """The models a pattern means, wherever they run. Errors: UnknownNameError."""
    known = list_models(root)
    if "=" not in pattern:
        found = [name for name in known if fnmatchcase(name, pattern)]
        if not found:
            raise UnknownNameError("model", pattern, known)
        return found
    label, _, value = pattern.partition("=")
    models = [model for one in environments for model in load_catalog(root, one).models]
    names = {model.name for model in models if model.labels.get(label) == value}
    if not names:
        pairs = {f"{key}={text}" for model in models for key, text in model.labels.items()}
        raise UnknownNameError("label", pattern, pairs)
    return sorted(names)


def _refuse_missing(verb: str, given: Mapping[str, str | None]) -> None:
    missing = [name for name, value in given.items() if not value]
    if missing:
        example = " ".join(f"{name}={value or name.lower()}" for name, value in given.items())
        raise UsageError(f"{verb} needs {', '.join(missing)}: `make {verb} {example}`")


def _may_ask() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def _complete_draft(root: Path, options: argparse.Namespace) -> Draft:
    """What was told, checked as far as it goes, then what is missing: asked for, or refused."""
    name, listed = options.model, options.profile
    if name is not None:
        check_name(root, name)
    if options.tag is not None:
        check_tag(options.tag)
    profiles = _split(listed) if listed is not None else None
    if profiles is not None:
        check_profiles(root, profiles)
    if not _may_ask():
        draft = Draft(root, name or "", profiles or (), options.owner, options.tag)
        given = {"MODEL": name, "PROFILE": ",".join(profiles or ())}
        told = {"owner": draft.owner, "tag": draft.tag}
        given |= {k.upper(): v for k, v in told.items() if v or k in draft.missing}
        _refuse_missing("new", given)
        return draft
    if name is None:
        name = _ask("name of the model", lambda answer: check_name(root, answer))
    profiles = profiles or _ask_profiles(root)
    draft = Draft(root, name, profiles, options.owner, options.tag)
    return _ask_rest(draft)


def _split(listed: str) -> tuple[str, ...]:
    return tuple(filter(None, re.split(r"[,\s]+", listed)))


def _ask(question: str, check: Callable[[str], object]) -> str:
    """The first answer that is not refused."""
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


def _ask_profiles(root: Path) -> tuple[str, ...]:
    known = list_profiles(root)
    room = WIDTH - 8 - max(map(len, known), default=0)
    rows = [
        [str(number), name, shorten(text, room, placeholder="...")]
        for number, (name, text) in enumerate(known.items(), 1)
    ]
    print(render_table(rows, indent="  "))
    names = list(known)

    def choose(answer: str) -> tuple[str, ...]:
        parts = _split(answer)
        numbers = {str(number): name for number, name in enumerate(names, 1)}
        return tuple(numbers.get(part, part) for part in parts)

    answer = _ask(
        "profiles, by number or name, the later ones win (a server, then a size)",
        lambda answer: check_profiles(root, choose(answer)),
    )
    return choose(answer)


def _ask_rest(draft: Draft) -> Draft:
    owner, tag = draft.owner, draft.tag
    if "owner" in draft.missing:
        owners = ", ".join(list_owners(draft.root)) or "none"
        print(render_wrapped(f"owners so far: {owners}", then="  "))
        owner = _ask("owner", lambda answer: None)
    if "tag" in draft.missing:
        tag = _ask("image tag", check_tag)
    return Draft(draft.root, draft.name, draft.profiles, owner, tag)
