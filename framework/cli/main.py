"""Parses the command line, runs one verb, turns its outcome into an exit code.

Exit codes: 0 done or clean; 1 fault; 2 usage; 3 a rollout failed; 16 differences found.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from framework.cli.verbs import OPTIONS, VERBS, Verb
from framework.core.errors import FrameworkError, UsageError
from framework.core.project_root import find_project_root

_PRINTING = tuple(Path(__file__).resolve().parents[1] / name for name in ("cli", "output"))
ROOT = find_project_root()
_LEARN = "Every verb is also a make target: `python -m framework up dev` is `make up ENV=dev`."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if "required: ENV" in message:
            from framework.files import environment_names

            verb = self.prog.rpartition(" ")[2]
            known = ", ".join(environment_names(ROOT)) or "none; see README.md"
            raise UsageError(f"{verb} needs an environment: `make {verb} ENV=...`; known: {known}")
        if found := re.match("argument VERB: invalid choice: '(.*?)' ", message):
            from framework.cli.usage import unknown_verb

            raise unknown_verb(found[1])
        raise UsageError(f"{self.prog}: {message}; `{self.prog} --help` lists what it takes")


def build_parser() -> argparse.ArgumentParser:
    """The parser of `python -m framework`, from the table of verbs."""
    parser = _Parser(
        prog="python -m framework",
        description="Model catalog on Pulumi",
        epilog=_LEARN,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        # Not abbreviated: `--y` must not agree to deletions.
        command = commands.add_parser(
            verb.name, help=verb.help, description=verb.help, allow_abbrev=False
        )
        _add_options(command, verb)
    return parser


def _add_options(command: argparse.ArgumentParser, verb: Verb) -> None:
    # Known to every verb, so that one that takes no ENV or cannot narrow says so rather than do
    # more than asked.
    count = None if verb.environment == "required" else "?"
    environment_help = "dev, staging, prod" if verb.environment != "none" else argparse.SUPPRESS
    command.add_argument("environment", metavar="ENV", nargs=count, help=environment_help)
    model_help = "name, glob or label=value" if verb.model else argparse.SUPPRESS
    command.add_argument("--model", metavar="MODEL", help=model_help)
    for option in OPTIONS:
        if option.name not in verb.options:
            continue
        if not option.metavar:
            command.add_argument(f"--{option.name}", action="store_true", help=option.help)
            continue
        command.add_argument(
            f"--{option.name}",
            metavar=option.metavar,
            choices=option.choices or None,
            default=option.default,
            help=option.help,
        )


def _check(options: argparse.Namespace, rest: Sequence[str], verb: Verb) -> None:
    """UsageError for words that the verb does not take; `rest` are those that argparse left."""
    for word in (options.environment or "", *rest):
        if word.startswith("-") or "=" in word:
            from framework.cli.usage import unknown_option

            raise unknown_option(verb, word)
    if rest:
        help_ = f"`python -m framework {verb.name} --help` lists what it takes"
        raise UsageError(f"{verb.name} takes no second name: {' '.join(rest)}; {help_}")
    if options.environment == "":
        raise UsageError(f"ENV is empty; name an environment: `make {verb.name} ENV=dev`")
    local = verb.name.startswith("cluster-")
    if verb.environment == "none" and options.environment is not None:
        why = "one local cluster serves every environment" if local else "it concerns the catalog"
        raise UsageError(f"{verb.name} takes no ENV: {why}")
    if options.model is not None and not verb.model:
        whole = "the whole environment" if verb.environment == "required" else "the whole catalog"
        whole = "the whole local cluster" if local else whole
        raise UsageError(f"{verb.name} takes no MODEL: it always concerns {whole}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb. Returns the exit code."""
    told = "Interrupted."
    try:
        options, rest = build_parser().parse_known_args(arguments)
        verb = next(verb for verb in VERBS if verb.name == options.verb)
        _check(options, rest, verb)
        if "yes" in verb.options:
            again = f"make {verb.name} ENV={options.environment}"
            told = f"Interrupted. What had finished is recorded; `{again}` goes on from there."
        return _run(verb, options)
    except FrameworkError as error:
        from framework.output.text import render_paragraphs

        print(render_paragraphs(str(error)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"\n{told}", file=sys.stderr)
        return 1
    except Exception as error:
        from framework.core.crash_report import describe_crash

        print(describe_crash(error), file=sys.stderr)
        return 1


def _run(verb: Verb, options: argparse.Namespace) -> int:
    """The verb's exit code, whether or not somebody read all of its output to the end."""
    module, function = verb.run.split(":")
    run: Callable[[Path, argparse.Namespace], int] = getattr(
        import_module(f"framework.cli.{module}"), function
    )
    # What a reader that leaves early means, as `| head` does: half done, unless nothing is done.
    code = 0 if verb.reads and not getattr(options, "exit_code", False) else 1
    try:
        code = run(ROOT, options)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        if error.errno != errno.ENOSPC or not _failed_on_output(error):
            raise
        _discard_output()
        raise FrameworkError(f"the output cannot be written: {error.strerror}") from error
    return code


def _failed_on_output(error: OSError) -> bool:
    """Whether stdout could not be written: only this package and rich print, and nothing of it
    writes a file without help from a module that stands elsewhere."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    code = Path(frame.tb_frame.f_code.co_filename) if frame else Path()
    return not error.filename and (
        any(code.is_relative_to(folder) for folder in _PRINTING) or "rich" in code.parts
    )


def _discard_output() -> None:
    """Python flushes what is left when it ends, and would fail on it once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
