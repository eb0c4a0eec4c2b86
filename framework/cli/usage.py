"""Suggests a command for names that were given without their option: `explain churn dev`."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from framework.cli.verbs import OPTIONS, Verb
from framework.core.suggestions import near_misses

# Options that a word may belong to if it is neither an environment nor a model: `affected main`,
# `bump churn 1.7.0`, `explain dev churn rollout.maxSurge`.
_OTHER_OPTIONS = ("since", "tag", "key", "model")


def suggest_command(
    program: str, verb: Verb, words: Sequence[str], given: Mapping[str, object], root: Path
) -> str:
    """Returns the command with an option before each word, as the program and make take it.

    `given` are the options on the command line. Returns "" if a word fits nowhere.
    """
    # Imported only here: a command without such words needs neither.
    from framework.files import find_catalog, list_environments

    environments, models = list_environments(root), find_catalog(root).models
    free = [
        name for name in ("to", *_OTHER_OPTIONS) if name in verb.options and not given.get(name)
    ]
    found: dict[str, str] = {}
    for index, word in enumerate(words):
        if word in environments and verb.environment != "none":
            name = "to" if "environment" in found else "environment"
        elif "model" in free and (verb.environment == "none" or _may_be_model(word, models)):
            name = "model"
        elif index == 0 and ("since" not in free or near_misses(word, environments)):
            # A misspelt environment, which the verb itself reports.
            return ""
        else:
            name = next((other for other in _OTHER_OPTIONS if other in free), "")
        if name != "environment" and name not in free:
            return ""
        found[name] = word
        free = [other for other in free if other != name]
    environment = found.pop("environment", "")
    if verb.environment == "required" and not environment:
        environment = "|".join(environments) or "..."
    spelled, variables = [], []
    for name in verb.options:
        value = found.get(name, given.get(name.replace("-", "_")))
        if value not in (None, False, OPTIONS[name].default):
            text = "" if value is True else shlex.quote(str(value))
            spelled.append(f"--{name} {text}".rstrip())
            variables.append(f"{name.upper().replace('-', '_')}={text or 1}")
    if environment:
        spelled, variables = [environment, *spelled], [f"ENV={environment}", *variables]
    return (
        f"`{' '.join([program, verb.name, *spelled])}`, or "
        f"`{' '.join(['make', verb.name, *variables])}`"
    )


def _may_be_model(word: str, models: Collection[str]) -> bool:
    is_pattern = any(sign in word for sign in "*?[")
    return word in models or is_pattern or bool(near_misses(word, models, cutoff=0.7))
