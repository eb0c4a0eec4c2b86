"""Parses the command line, runs one verb and returns its exit code.

This module and what it imports at the top load neither pydantic nor OmegaConf nor Pulumi, so that
`--help` and a mistyped verb answer at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from framework.cli.streams import LostOutput, keep_going_without_output
from framework.cli.verbs import GROUPS, OPTIONS, VERBS, Verb
from framework.core.commands import make_command
from framework.core.errors import FrameworkError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.project_root import find_project_root
from framework.core.suggestions import near_misses

# The name that the user typed: the console script `modelcatalog`, or the module.
_PROGRAM = "modelcatalog" if Path(sys.argv[0]).name == "modelcatalog" else "python -m framework"
ROOT = find_project_root()
_PRINTING = tuple(Path(__file__).resolve().parents[1] / name for name in ("cli", "output"))
_EPILOG = (
    f"`{_PROGRAM} VERB --help` shows the options of a verb. Every verb is also a make target:\n"
    f"`{_PROGRAM} up dev --model sentiment` is `make up ENV=dev MODEL=sentiment`.\n\n"
    "exit codes: 0 done, or no differences; 1 error; 2 wrong usage; 3 a rollout failed;\n"
    "16 differences found (drift, and diff or affected with --exit-code)"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if "required: ENV" in message:
            from framework.files import list_environments

            verb = self.prog.rpartition(" ")[2]
            known = ", ".join(list_environments(ROOT)) or "none; see README.md"
            raise UsageError(f"{verb} needs an environment: `make {verb} ENV=...`; known: {known}")
        if "required: VERB" in message:
            raise UsageError(f"name a verb; `{self.prog} --help` lists them")
        if match := re.match("argument VERB: invalid choice: '(.*?)' ", message):
            raise _unknown_verb(match[1])
        if match := re.match(r"argument --([a-z-]+): invalid choice: '(.*?)' \(choose", message):
            # make's spelling: most people run the verbs by make.
            variable = _spell(match[1], dashed=False)
            verb = self.prog.rpartition(" ")[2]
            choices = " or ".join(f"{variable}{choice}" for choice in self._choices(match[1]))
            raise UsageError(f"{verb} takes no {variable}{match[2]}; use {choices}")
        if match := re.match("argument (--[a-z-]+): expected one argument", message):
            message = f"{match[1]} needs a value"
        elif match := re.match("argument (--[a-z-]+): ignored explicit argument", message):
            message = f"{match[1]} takes no value"
        raise UsageError(f"{self.prog}: {message}; `{self.prog} --help` lists its options")

    def _choices(self, name: str) -> list[str]:
        return next(list(a.choices or ()) for a in self._actions if f"--{name}" in a.option_strings)


class _MainParser(_Parser):
    """The parser above the verbs: its help lists them in the groups that `make` shows."""

    def format_help(self) -> str:
        width = max(len(verb.name) for verb in VERBS)
        lines = [f"usage: {self.prog} VERB [ENV] [options]", "", str(self.description)]
        for group, verbs in GROUPS.items():
            lines += ["", group, *(f"  {verb.name:<{width}}  {verb.help}" for verb in verbs)]
        completion = 'shell completion: eval "$(modelcatalog --completion bash)", or zsh'
        return "\n".join([*lines, "", str(self.epilog), "", completion]) + "\n"


def build_parser(program: str = _PROGRAM) -> argparse.ArgumentParser:
    """Builds the parser from the table of verbs; `program` is the name that its help shows."""
    parser = _MainParser(
        prog=program,
        description="Model catalog on Pulumi",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--completion",
        choices=("bash", "zsh"),
        action=_PrintCompletion,
        help="print the completion script of a shell",
    )
    commands = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=_Parser
    )
    for verb in VERBS:
        command = commands.add_parser(
            verb.name,
            help=verb.help,
            description=f"{verb.help[0].upper()}{verb.help[1:]}.",
            epilog=f"example: {verb.example}" if verb.example else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            # Without this `--y` would be accepted for `--yes`, and agree to deletions.
            allow_abbrev=False,
        )
        _add_options(command, verb)
    return parser


def _add_options(command: argparse.ArgumentParser, verb: Verb) -> None:
    # Every verb accepts ENV and --model. Where they have no meaning, the help does not show them,
    # and `_check` refuses them with the reason, which argparse does not know.
    takes_files = verb.environment == "files"
    environment = command.add_argument(
        "environment",
        metavar="FILE|ENV" if takes_files else "ENV",
        nargs={"required": None, "files": "*"}.get(verb.environment, "?"),
        help={
            "required": "the environment, a folder of environments/",
            "optional": "the environment, a folder of environments/ "
            f"(default: {verb.without_environment})",
            "files": "files, or environments with their folder of manifests: prod=rendered/prod",
            "none": argparse.SUPPRESS,
        }[verb.environment],
    )
    _complete(environment, "environments")
    if "model" not in verb.options:
        command.add_argument("--model", help=argparse.SUPPRESS)
    for name in verb.options:
        option = OPTIONS[name]
        if not option.metavar:
            command.add_argument(f"--{name}", action="store_true", help=option.help)
            continue
        default = f" (default: {option.default})" if option.default else ""
        action = command.add_argument(
            f"--{name}",
            # Without a metavar, argparse shows the choices.
            metavar=None if option.choices else option.metavar,
            choices=(verb.formats if name == "format" and verb.formats else option.choices) or None,
            default=option.default,
            help=f"{option.help}{default}",
        )
        _complete(action, {"model": "models", "to": "environments"}.get(name, ""))


def _complete(action: argparse.Action, names: str) -> None:
    """Makes shell completion offer the names of the environments or of the models."""
    if names:
        # shtab reads this attribute: the shell function that lists the words, by shell.
        action.complete = dict.fromkeys(("bash", "zsh"), f"_modelcatalog_{names}")  # type: ignore[attr-defined]


class _PrintCompletion(argparse.Action):
    """Prints the completion script of a shell and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> NoReturn:
        from framework.cli.completion import render_completion

        print(render_completion(values), end="")
        parser.exit()


def _check(options: argparse.Namespace, rest: Sequence[str], verb: Verb) -> None:
    """Raises UsageError for words that the verb does not take; argparse left `rest` over."""
    if verb.environment == "files":
        # `prod=folder` is an environment. `FILE=x` is make's spelling of --file, and `modle=` is
        # what make passes on of a variable that it does not know.
        given = " ".join(options.environment).split()
        pairs = [word.partition("=") for word in given if "=" in word]
        words = [*rest, *("".join(p) for p in pairs if p[0].isupper() or not p[2])]
    else:
        words = [options.environment or "", *rest]
    for word in words:
        if word.startswith("-") or "=" in word:
            raise _unknown_option(verb, word)
    if options.environment == "":
        raise UsageError(f"ENV is empty; name an environment: `make {verb.name} ENV=dev`")
    if verb.environment != "files":
        _check_names(options, rest, verb)
    if verb.environment == "none" and options.environment is not None:
        why = (
            "one local cluster serves every environment"
            if _is_of_cluster(verb)
            else "it concerns the catalog"
        )
        raise UsageError(f"{verb.name} takes no ENV: {why}")
    if options.model is not None and "model" not in verb.options:
        raise _takes_no_model(verb)
    if options.model is not None and (not options.model or "," in options.model):
        shown = f'"{options.model}", a list' if options.model else "empty"
        raise UsageError(
            f"MODEL is {shown}; expected one name, a glob such as 'sent*', or a label such as "
            "owner=team-nlp"
        )


def _is_of_cluster(verb: Verb) -> bool:
    return verb.name.startswith("cluster-")


def _takes_no_model(verb: Verb) -> UsageError:
    scope = "the whole environment" if verb.environment == "required" else "the whole catalog"
    scope = "the whole local cluster" if _is_of_cluster(verb) else scope
    message = f"{verb.name} does not accept MODEL: it always applies to {scope}"
    if verb.name == "destroy":
        message += (
            "; to delete one model, remove its file, or set `enabled: false` in the environment's "
            "file for it, then run `make up`"
        )
    return UsageError(message)


def _check_names(options: argparse.Namespace, rest: Sequence[str], verb: Verb) -> None:
    """Raises UsageError for names other than one environment: `explain churn dev`."""
    name = options.environment
    is_environment = name is None or (ROOT / "environments" / name).is_dir()
    if is_environment and not rest and (name is None or verb.environment != "none"):
        return
    from framework.cli.usage import suggest_command
    from framework.files import find_catalog

    words = [*([] if name is None else [name]), *rest]
    if "model" not in verb.options and {*words} & {*find_catalog(ROOT).models}:
        raise _takes_no_model(verb)
    command = suggest_command(_PROGRAM, verb, words, vars(options), ROOT)
    takes = "no name" if verb.environment == "none" else "one name, the environment"
    if command:
        raise UsageError(f"{verb.name} takes {takes}; write {command}")
    if rest:
        help_ = f"`{_PROGRAM} {verb.name} --help` lists its options"
        raise UsageError(f"{verb.name} takes {takes}: remove {' '.join(rest)}; {help_}")


def _unknown_verb(name: str) -> UsageError:
    # The cutoff is high enough that "deploy" does not suggest "destroy".
    near = near_misses(name, [verb.name for verb in VERBS], cutoff=0.7)
    hint = f"did you mean {near[0]}? " if near else ""
    return UsageError(f'no verb is called "{name}"; {hint}`{_PROGRAM} --help` lists them')


def _unknown_option(verb: Verb, word: str) -> UsageError:
    """Builds the error for an unknown option: `--modle`, or as make passes it on, `MODLE=`.

    The error uses the spelling of the word, and suggests one of:

        ENV=dev     ENV=; write only the name: dev
        MODEL=x     MODEL=; write --model x
        --modle     --modle; did you mean --model?
        --zzz       --zzz; it takes --model, --engine
    """
    given, dashed = word.partition("=")[0], word.startswith("-")
    name = given.lstrip("-").lower().replace("_", "-")
    known = list(verb.options)
    if not dashed and verb.environment != "none":
        known.insert(0, "env")
    if given.isupper() and name in known:
        # `python -m framework up ENV=dev`: make's spelling of what this command takes otherwise.
        value = shlex.quote(word.partition("=")[2])
        if name == "env":
            hint = f"write only the name: {value};"
        else:
            hint = f"write --{name}{f' {value}' if OPTIONS[name].metavar else ''};"
    elif name in known:
        # `make up env=dev`: make passes the variable on, which differs in its case alone.
        hint = f"did you mean {_spell(name, dashed=dashed)}?"
    elif near := near_misses(name, known):
        hint = f"did you mean {_spell(near[0], dashed=dashed)}?"
    else:
        names = ", ".join(_spell(option, dashed=dashed) for option in known)
        hint = f"it takes {names or 'none'};"
    shown = given if dashed else f"{given}="
    if dashed and name in OPTIONS:
        # An option of other verbs: named as in the Makefile, too.
        shown += f" ({_spell(name, dashed=False)})"
    help_ = f"`{_PROGRAM} {verb.name} --help` lists its options"
    return UsageError(f"{verb.name} takes no {shown}; {hint} {help_}")


def _spell(name: str, *, dashed: bool) -> str:
    return f"--{name}" if dashed else f"{name.upper().replace('-', '_')}="


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    """Runs one verb and returns its exit code."""
    _replace_unencodable()
    with contextlib.ExitStack() as streams:
        return _parse_and_run(arguments, streams)


def _parse_and_run(
    arguments: Sequence[str] | None, streams: contextlib.ExitStack[bool | None]
) -> ExitCode:
    lost = LostOutput()
    interrupted = "Interrupted."
    try:
        options, rest = build_parser().parse_known_args(arguments)
        verb = next(verb for verb in VERBS if verb.name == options.verb)
        _check(options, rest, verb)
        if not verb.read_only:
            # Until the last message is printed, also those of the errors below.
            lost = streams.enter_context(keep_going_without_output())
        if "yes" in verb.options and verb.environment == "required":
            model = getattr(options, "model", None)
            command = make_command(verb.name, options.environment, model)
            interrupted = f"Interrupted. What had finished is recorded; `{command}` continues."
        return _report_loss(_run(verb, options), lost)
    except FrameworkError as error:
        from framework.output.text import render_paragraphs

        print(render_paragraphs(str(error)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        return ExitCode.FAILED
    except Exception as error:
        from framework.core.crash_report import describe_crash

        print(describe_crash(error), file=sys.stderr)
        return ExitCode.FAILED


def _report_loss(code: ExitCode, lost: LostOutput) -> ExitCode:
    """Returns the exit code of a verb that continued although its output was lost."""
    if lost.error is None:
        return code
    # A script that keeps the output must not take an incomplete file for a success.
    final = code or ExitCode.FAILED
    print(
        f"the output could not be written ({lost.error.strerror}); the command continued without "
        f"output. Its own exit code was {int(code)}; it exits with {int(final)}",
        file=sys.stderr,
    )
    return final


def _replace_unencodable() -> None:
    """Lets output that the terminal's encoding does not have become `?`, not an exception."""
    for stream in (sys.stdout, sys.stderr):
        # Tests put other objects here.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _run(verb: Verb, options: argparse.Namespace) -> ExitCode:
    module, function = verb.run.split(":")
    run: Callable[[Path, argparse.Namespace], ExitCode] = getattr(
        import_module(f"framework.cli.{module}"), function
    )
    # The exit code if the reader closes the pipe early, as `| head` does, and the verb only reads.
    # It is 1 with --exit-code: whether there are differences is not known.
    code = ExitCode.FAILED if getattr(options, "exit_code", False) else ExitCode.DONE
    try:
        code = run(ROOT, options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The others continue without a reader (`keep_going_without_output`), so this pipe is not
        # their output.
        if not verb.read_only:
            raise
        _discard_output()
    except OSError as error:
        if error.errno != errno.ENOSPC or not _failed_on_output(error):
            raise
        _discard_output()
        raise FrameworkError(f"the output cannot be written: {error.strerror}") from error
    return code


def _failed_on_output(error: OSError) -> bool:
    """Returns True if the failed write was to stdout, not to a file.

    An OSError of `print` does not name stdout. But it is raised in the frame that prints, and only
    cli, output and rich print; their writes to files fail inside pathlib, or name the file.
    """
    if error.filename or error.__traceback__ is None:
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    module = Path(frame.f_code.co_filename)
    return any(map(module.is_relative_to, _PRINTING)) or "rich" in module.parts


def _discard_output() -> None:
    # Python flushes stdout once more at exit, which would fail again and print a traceback.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
