"""Finds passwords among the arguments of commands: in a list of arguments, and in a script.

The name of a long option shows what its value is: `--api-key x`. That of a short one does not: `-p`
is the password for mysqldump, a port for ssh, and a profile elsewhere. So the short options are
listed here by client. `-p` of a command that is not listed is not a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from framework.core.secret_names import is_secret_name


class SecretArgument(NamedTuple):
    """A secret within an argument: the index of the item, and the part of it that is secret."""

    item: int
    start: int
    end: int


class _Option(NamedTuple):
    """A short option for a password: `-p x` if it may be `apart`, `-px` if it may be `joined`."""

    name: str
    apart: bool = True
    joined: bool = True


_CLIENTS = {
    # For `-p x`, mysql prompts for a password and opens the database x.
    # https://dev.mysql.com/doc/refman/8.4/en/connection-options.html
    _Option("-p", apart=False): """
        mysql mysqldump mysqladmin mysqlcheck mysqlimport mysqlshow mysqlpump mysqlslap mariadb
        mariadb-dump mariadb-admin mariadb-check mariadb-import mariadb-show 7z 7za 7zr rar unrar
    """,
    _Option("-p"): """
        mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop sshpass
        cqlsh cypher-shell rabbitmqadmin
    """,
    _Option("-a", joined=False): "redis-cli redis-benchmark valkey-cli valkey-benchmark",
    _Option("-w"): "ldapsearch ldapadd ldapmodify ldapdelete ldapwhoami ldappasswd ldapcompare",
    _Option("-P"): "sqlcmd bcp osql zip unzip",
    _Option("-u", apart=False): "curl",
}
_OPTIONS = {client: option for option, names in _CLIENTS.items() for client in names.split()}
# `docker login -u user -p x`, `helm registry login`
_LOGIN_OPTION = _Option("-p", joined=False)
_LOGIN_COMMANDS = frozenset({"docker", "podman", "nerdctl", "buildah", "registry", "az", "oc"})
# Options that take `user:password`, or `user:group`, with any command.
_USERS = ("-u", "-U", "--user", "--proxy-user")
# `-p$DB_PASSWORD` names a secret too, but no value follows it.
_LONG = re.compile(r"--?[A-Za-z][\w.-]*")
_USER = re.compile(r"(?P<user>[^\s:]{1,100}):(?!//)(?P<password>\S+)")
_GROUPS = re.compile(r"\d+|nogroup|root|wheel|users|staff|daemon")
# A word of a script, which may have quoted parts such as `-p"a b"`, or the end of a command. A
# backslash before the line break continues it.
_TOKEN = re.compile(
    r"(?P<word>(?:\"[^\"\n]*\"|'[^'\n]*'|\\[^\n]|[^\s\"';|&\\])+)|(?P<end>(?<!\\)\n|[;|&])"
)
# The name of a client or an option of `_USERS`: anywhere, and where a command with one begins. `re`
# compiles these texts on first use.
_CLIENT_OR_OPTION = rf"(?<![\w-])(?:{'|'.join((*_OPTIONS, 'login', *_USERS))})(?![\w-])"
_START_OF_COMMAND = (
    rf"(?<![\w.-])(?:{'|'.join((*_OPTIONS, *_LOGIN_COMMANDS))})(?=[ \t])"
    rf"|(?<!\S)(?=(?:{'|'.join(_USERS)})[ =])"
)
# Without a limit, a file that is one long line would be read again for each command in it.
_LONGEST_COMMAND = 2000


def find_in_arguments(arguments: Sequence[object]) -> Iterator[SecretArgument]:
    """Yields the secrets in a list of arguments, which may begin with the command itself."""
    client: _Option | None = None
    before, option = "", ""
    for index, argument in enumerate(arguments):
        word = argument if isinstance(argument, str) else ""
        if option and not word.startswith("-"):
            yield from _find_in_value(index, option, word)
        option = ""
        name = word.rpartition("/")[2]
        if name == "login" and before in _LOGIN_COMMANDS:
            client = _LOGIN_OPTION
        client, before = _OPTIONS.get(name, client), name
        if not word.startswith("-"):
            continue
        long, sign, _ = word.partition("=")
        if sign:
            if long in _USERS:
                yield from _find_in_value(index, long, word, len(long) + 1)
        elif client and client.joined and re.match(rf"{client.name}.", word):
            yield from _find_in_value(index, client.name, word, len(client.name))
        elif (
            word in _USERS
            or (client and client.apart and word == client.name)
            or (_LONG.fullmatch(word) and is_secret_name(word))
        ):
            option = word


def _find_in_value(index: int, option: str, word: str, start: int = 0) -> Iterator[SecretArgument]:
    """Yields the secret in the value of an option, which begins at `start` of the word."""
    if option not in _USERS:
        if word[start:]:
            yield SecretArgument(index, start, len(word))
    elif match := _USER.fullmatch(word, start):
        # `docker run -u 1000:1000` has a user and a group.
        password = match["password"].rstrip("\"'")
        if password != match["user"].lstrip("\"'") and not _GROUPS.fullmatch(password):
            yield SecretArgument(index, *match.span("password"))


def find_in_script(text: str) -> Iterator[tuple[int, int]]:
    """Yields the start and the end of each password in the commands of a script."""
    start_of_command, position = re.compile(_START_OF_COMMAND), 0
    while match := start_of_command.search(text, position):
        words: list[re.Match[str]] = []
        position = match.end() + 1
        for token in _TOKEN.finditer(text, match.start(), match.start() + _LONGEST_COMMAND):
            position = max(position, token.end())
            if token["end"]:
                break
            words.append(token)
        for found in find_in_arguments([word[0] for word in words]):
            start = words[found.item].start()
            value = text[start + found.start : start + found.end]
            left = len(value) - len(value.lstrip("\"'"))
            right = len(value) - len(value.rstrip("\"'"))
            yield start + found.start + left, start + found.end - right


def names_client(text: str) -> bool:
    """Returns whether a text has the name of a client, or an option that takes `user:password`.

    Without one, a list of arguments has no secrets but those of long options.
    """
    return bool(re.search(_CLIENT_OR_OPTION, text))
