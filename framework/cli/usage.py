"""What is wrong with a command line, and the nearest that is right.

Kept apart from parsing: argparse knows neither make's spelling of an option nor which one is meant.
"""

from __future__ import annotations

from framework.cli.verbs import OPTIONS, VERBS, Verb
from framework.core.errors import UsageError
from framework.core.suggestions import near_misses

_OPTION_NAMES = frozenset(option.name for option in OPTIONS)


def unknown_verb(name: str) -> UsageError:
    """The error for a verb that there is not."""
    # Far enough that "deploy" is never taken for "destroy".
    near = near_misses(name, [verb.name for verb in VERBS], cutoff=0.7)
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(f'no verb is called "{name}"; {hint}`python -m framework --help` lists them')


def unknown_option(verb: Verb, word: str) -> UsageError:
    """The error for a word that is no option of a verb: `--modle`, or as make has it `MODLE=`."""
    given, dashed = word.partition("=")[0], word.startswith("-")
    name = given.lstrip("-").lower().replace("_", "-")
    known = [*(["model"] if verb.model else []), *verb.options]
    if not dashed and verb.environment != "none":
        known.insert(0, "env")
    if given.isupper() and name in known:
        # As make has it; make itself passes it on with dashes.
        hint = "here it is the name alone" if name == "env" else f"here it is --{name}"
    elif near := near_misses(name, known):
        hint = f"did you mean {_spell(near[0], dashed=dashed)}?"
    else:
        listed = ", ".join(_spell(one, dashed=dashed) for one in known)
        hint = f"it takes {listed or 'none'};"
    shown = _spell(name, dashed=False) if name in _OPTION_NAMES else ""
    told = f"{given} ({shown})" if dashed and shown else given if dashed else f"{given}="
    help_ = f"`python -m framework {verb.name} --help` lists its options"
    return UsageError(f"{verb.name} takes no {told}; {hint} {help_}")


def _spell(name: str, *, dashed: bool) -> str:
    return f"--{name}" if dashed else f"{name.upper().replace('-', '_')}="
