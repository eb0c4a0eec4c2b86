"""Finds the secrets within a text by their form: a token, `password = x`, the password in a URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from framework.core.secret_arguments import find_in_script
from framework.core.secret_names import is_secret_name

# Settings that are lists of the names of Secrets.
LISTS_OF_NAMES = frozenset({"imagePullSecrets", "pullSecrets", "secrets"})
# What a configuration file switches something on or off with: `auth = off`.
_SWITCH = re.compile(r"true|false|none|null|yes|no|on|off|\d", re.IGNORECASE)
# Directives of nginx for the server that requests are passed to.
_UPSTREAMS = frozenset(
    {"proxy_pass", "fastcgi_pass", "grpc_pass", "uwsgi_pass", "scgi_pass", "memcached_pass"}
)
# Directives of redis.conf.
_DIRECTIVES = frozenset({"requirepass", "masterauth"})
# A reference to a variable, a template or a store of secrets, a path below a folder where files are
# mounted, and the sign before a block of YAML.
_NOT_SECRET = re.compile(
    r"[|>][-+\d]{0,2}|\$[({]?[\w.:-]+[)}]?|\{\{.*\}\}|%\(\w+\)s|<[\w .-]+>|\[secret\]"
    r"|(vault:|op://|ref\+\w+://|arn:aws:)\S+"
    r"|(~|\.{1,2})?/?(etc|run|var|mnt|opt|home|usr|tmp|srv|root|data|models|secrets|certs|app|"
    r"workspace|vault)(/[\w.@-]+)+/?"
)
_QUOTED = r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'"


# These patterns are texts, which `re` compiles on first use and keeps: a command that prints no
# value needs none of them.

# Prefixes that providers give their tokens, as listed in gitleaks.toml (see secret_names):
# Hugging Face, OpenAI and Anthropic, Stripe, GitHub, GitLab, Slack, AWS, Google, NVIDIA,
# npm, PyPI, Vault, Groq, SendGrid; JSON Web Tokens ("eyJ" is Base64 for `{"`); PEM keys.
_TOKEN = (
    r"(?s)(?<![A-Za-z0-9])(?:hf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6,}|hf_[a-z]{20,}"
    r"|sk-[A-Za-z0-9_-]*[A-Za-z0-9]{16,}|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}"
    r"|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|(?<=hooks\.slack\.com/services/)[A-Za-z0-9/+]{20,}"
    r"|xox[abeprs]-[\w-]{10,}|xapp-[\w-]{10,}|(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{12,}"
    r"|AIza[\w-]{30,}|nvapi-[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{40,}"
    r"|hvs\.[\w-]{20,}|gsk_[A-Za-z0-9]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_URL_PASSWORD = r"://[^/\s:@\"']*:(?P<value>[^/\s\"']+)@"
_HEADER = r"\b(?:Bearer|Basic)\s+(?P<value>[\w.~+/=-]{8,})"
# `password = x`, `"password": "x"`, `db.password=x`, `?api_key=x`. The value is only looked
# at, since it may have a name and a value in it itself: `url: http://h/?api_key=x`. Without
# limits, one long line of a file would take time that grows with the square of its length.
_ASSIGNMENT = (
    r"(?<![A-Za-z0-9_])(?P<quote>[\"']?)(?P<name>[A-Za-z_][\w.-]{0,99})(?P=quote)"
    r"(?P<sign>[ \t]*(?:=>|:=|[=:])[ \t]*)"
    rf"(?=(?P<value>{_QUOTED}|[^\s,;&}}\])\"'<>][^\s,;&}}\]\"'<>]{{0,1000}}))"
)
# A variable in YAML or JSON, on one line or on two: `- name: API_TOKEN`, `value: x`.
_ITEM = (
    r"(?<![\w.-])(?P<key>[\"']?)(?:name|key)(?P=key)[ \t]*:[ \t]*"
    r"(?P<quote>[\"']?)(?P<name>[A-Za-z_][\w.-]{0,99})(?P=quote)(?:[ \t]*,)?[ \t]*"
    r"(?:(?:#[^\n]{0,200})?\r?\n[ \t]*){0,9}[\"']?value[\"']?(?P<sign>[ \t]*:[ \t]*)"
    rf"(?=(?P<value>{_QUOTED}|[^\s,;&}}\])\"'<>|#][^\s,;&}}\]\"'<>]{{0,1000}}))"
)
_ELEMENT = r"<(?P<name>[A-Za-z_][\w.-]*)>(?P<value>[^<\n]+)</"
# `<add key="Password" value="x"/>`
_ATTRIBUTE = (
    r"\b(?:key|name)=\"(?P<name>[A-Za-z_][\w.:-]{0,99})\""
    r"[ \t]+value=\"(?P<value>[^\"\n]+)\""
)
# The line of a YAML key with its value on the lines below: `password: |`, `password:`.
_BLOCK = (
    r"(?m)^(?P<indent>[ \t]*)(?P<quote>[\"']?)(?P<name>[A-Za-z_][\w.-]{0,99})(?P=quote):"
    r"[ \t]*(?:[|>][-+0-9]{0,2}[ \t]*(?:#[^\n]*)?\r?\n"
    r"|\r?\n(?=(?P=indent)[ \t]+(?P<next>[^\s:\-#\[{][^\s:]*)[ \t]*\r?(?:\n|\Z)))"
)
# A line of `.netrc`.
_LOGIN = r"(?<!\S)login[ \t]\S{1,100}[ \t]password[ \t](?P<value>\S+)"
# A line of a properties file, of nginx, of a Dockerfile: the name and the value, separated
# by spaces. In a properties file, the value goes to the end of the line.
_LINE = (
    r"(?m)^[ \t]*(?:(?:ENV|ARG|set|setenv|SetEnv|env|fastcgi_param|proxy_set_header|add_header)"
    r"[ \t]+)?(?P<name>[A-Za-z_][\w.-]{0,99})[ \t]+"
    r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s=:\"'{\[(#][^\n]{0,1000}?)[ \t;]*\r?$"
)
_OPTION = (
    r"(?<!\S)--?(?P<name>[A-Za-z][\w.-]*)[ \t]+"
    r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s\"'-]\S*)"
)


def can_be_secret(value: Any) -> bool:
    """Returns False for booleans, empty values and references, which reveal nothing."""
    if isinstance(value, str):
        return bool(value) and not _NOT_SECRET.fullmatch(value)
    return not isinstance(value, bool) and bool(value)


def can_be_secret_text(value: str) -> bool:
    """Returns False for a value in a text that reveals nothing, such as in `auth = off`."""
    return can_be_secret(value) and not _SWITCH.fullmatch(value)


def find_by_form(text: str) -> list[tuple[int, int]]:
    """Returns the first and last index of each secret within a text, in any order."""
    spans = [match.span() for match in re.finditer(_TOKEN, text)]
    if any(sign in text for sign in ":= <"):
        for pattern in (_URL_PASSWORD, _HEADER):
            spans += [match.span("value") for match in re.finditer(pattern, text)]
        spans += [*_find_assigned(text), *_find_blocks(text)]
        spans += [*_find_logins(text), *_find_lines(text)]
    return spans


def _find_assigned(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_ASSIGNMENT, _ITEM, _ELEMENT, _ATTRIBUTE, _OPTION):
        for match in re.finditer(pattern, text):
            if not is_secret_name(match["name"]) or _is_list_of_names(match):
                continue
            start, end = match.span("value")
            if match["value"][0] in "\"'":
                start, end = start + 1, end - 1
            elif pattern in (_ASSIGNMENT, _ITEM):
                end = _find_end_of_value(text, match)
            value = text[start:end]
            is_scheme = value.lower() in ("bearer", "basic")
            if can_be_secret_text(value) and not is_scheme:
                yield start, end


def _is_list_of_names(match: re.Match[str]) -> bool:
    """Returns whether a match is a list of the names of Secrets: `imagePullSecrets: [{name: x}]`.

    The keys of its items are looked at by themselves.
    """
    is_list = match["value"].startswith("[{" if match["name"] == "secrets" else "[")
    return match["name"] in LISTS_OF_NAMES and is_list


def _find_blocks(text: str) -> Iterator[tuple[int, int]]:
    end = 0
    for match in re.finditer(_BLOCK, text):
        # What is within a block that is redacted needs no search.
        if match.start() < end or not is_secret_name(match["name"]):
            continue
        end = match.end("next") if match["next"] else _find_end_of_block(text, match)
        value = text[match.end() : end].strip()
        if can_be_secret_text(value):
            start = text.index(value, match.end())
            yield start, start + len(value)


def _find_end_of_block(text: str, match: re.Match[str]) -> int:
    """Returns the index after the lines below a key that are indented further, or empty."""
    indent, end = len(match["indent"]), match.end()
    while end < len(text):
        stop = text.find("\n", end) + 1 or len(text)
        line = text[end:stop]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        end = stop
    return end


def _find_logins(text: str) -> Iterator[tuple[int, int]]:
    """Yields the passwords in lines of `.netrc`, and in the commands of scripts."""
    spans = [match.span("value") for match in re.finditer(_LOGIN, text)]
    for start, end in (*spans, *find_in_script(text)):
        value = text[start:end]
        if can_be_secret_text(value):
            yield start, end


def _find_lines(text: str) -> Iterator[tuple[int, int]]:
    """Yields the values of lines such as `spring.datasource.password x`.

    A line of prose may begin with such a name, too: "password required", "token limits apply". So
    only a name with a dot has a value of several words, and a value of letters alone is a secret
    only if its name has several words.
    """
    for match in re.finditer(_LINE, text):
        name, value = match["name"], match["value"].strip("\"'")
        if not is_secret_name(name) or (" " in value and "." not in name) or name in _UPSTREAMS:
            continue
        is_compound = not name.isalpha() or name in _DIRECTIVES
        if (is_compound or not value.isalpha()) and can_be_secret_text(value):
            start = match.start("value") + match["value"].index(value)
            yield start, start + len(value)


def _find_end_of_value(text: str, match: re.Match[str]) -> int:
    """Returns the index after an unquoted value.

    A value that has a line of its own goes to the end of it, without a comment: `password = a b`.
    """
    # A value that begins its line has no more than an indentation and `export` before its name.
    before = text[max(0, match.start() - 100) : match.start()].rpartition("\n")[2]
    if before.strip() not in ("", "-", "export") or not match["sign"].endswith((" ", "\t")):
        return match.end("value")
    start, end = match.start("value"), text.find("\n", match.start("value"))
    line = text[start : end if end >= 0 else len(text)]
    return start + len(re.split(r"\s+[#;]", line)[0].rstrip(" ,;\r"))
