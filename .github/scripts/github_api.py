"""Calls the GitHub API, and fits reports into its limits. Uses only the standard library.

It reads the variables GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_STEP_SUMMARY, GITHUB_TOKEN and, for
a link, GITHUB_SERVER_URL and GITHUB_RUN_ID.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Limits of GitHub. An issue and a comment have the same one.
MAX_CHARACTERS = 65_536
MAX_SUMMARY_BYTES = 1_000_000
_FOLD = re.compile(
    r"^<details><summary>(?P<title>.*?)</summary>.*?^</details>$", re.DOTALL | re.MULTILINE
)
_FENCE = re.compile(r"^`{3,}", re.MULTILINE)
_LONGEST_FENCE = 100
_PAGE = 100
_SECONDS = 30


def request(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Calls the API with a path below the repository.

    Raises OSError, or ValueError for a response that is not JSON.
    """
    root = os.environ["GITHUB_API_URL"].rstrip("/")
    url = f"{root}/repos/{os.environ['GITHUB_REPOSITORY']}{path}"
    return json.loads(fetch(url, method, None if body is None else json.dumps(body).encode()))


def fetch(url: str, method: str = "GET", body: bytes | None = None) -> bytes:
    """Returns the response of an address of the API. Raises OSError."""
    call = urllib.request.Request(
        url,
        method=method,
        data=body,
        headers={
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
            "User-Agent": "modelcatalog",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    # Not sent on to the storage that an artifact's address redirects to: it refuses such a header.
    call.add_unredirected_header("Authorization", f"Bearer {os.environ['GITHUB_TOKEN']}")
    with urllib.request.urlopen(call, timeout=_SECONDS) as response:
        return bytes(response.read())


def list_all(path: str, **query: str) -> Iterator[dict[str, Any]]:
    """Yields the items of every page."""
    page = 1
    options = "".join(f"&{key}={value}" for key, value in query.items())
    while True:
        items = request("GET", f"{path}?per_page={_PAGE}&page={page}{options}")
        yield from items
        if len(items) < _PAGE:
            return
        page += 1


def is_ours(item: Mapping[str, Any], marker: str) -> bool:
    """Returns whether an issue or a comment is one that these scripts wrote.

    People may quote it with its marker. `user` is null for a deleted account.
    """
    by_bot = (item["user"] or {}).get("type") == "Bot"
    return by_bot and (item["body"] or "").startswith(marker)


def link_run() -> str:
    """Returns the address of the run."""
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    return f"{server}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{os.environ['GITHUB_RUN_ID']}"


def shorten(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Shortens a report to `limit` characters: its longest folded parts are left out first.

    So one long value does not remove what comes after it, such as another environment.
    """
    if len(text) <= limit:
        return text
    note = f"\n\n*The report is too long for GitHub. See [the summary of the run]({link_run()}).*\n"
    room = limit - len(note)
    for fold in sorted(_FOLD.finditer(text), key=lambda fold: len(fold[0]), reverse=True):
        if len(text) <= room:
            return text + note
        left_out = f"<details><summary>{fold['title']} (left out)</summary></details>"
        text = text.replace(fold[0], left_out, 1)
    return (text if len(text) <= room else _cut(text, room)) + note


def _cut(text: str, room: int) -> str:
    """Cuts a text after a line, and closes the block of code that the cut may be in."""
    kept = text[: room - _LONGEST_FENCE].rpartition("\n")[0]
    is_open, fence = False, ""
    for mark in _FENCE.findall(kept):
        if not is_open or len(mark) >= len(fence):
            is_open, fence = not is_open, mark
    return f"{kept}\n{fence}" if is_open else kept


def write_summary(report: str) -> None:
    """Adds the report to the summary page of the run."""
    fitting = report.encode()[:MAX_SUMMARY_BYTES].decode(errors="ignore")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(fitting)


def describe_error(error: Exception) -> str:
    """Returns the reason of a failed call. The request itself contains the token."""
    return f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
