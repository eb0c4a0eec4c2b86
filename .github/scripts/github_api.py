"""Calls the GitHub API, and fits reports into its limits. Uses only the standard library.

It reads the variables GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_STEP_SUMMARY, GITHUB_TOKEN and, for
a link, GITHUB_SERVER_URL and GITHUB_RUN_ID.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Limits of GitHub. An issue and a comment have the same one.
MAX_CHARACTERS = 65_536
MAX_SUMMARY_BYTES = 1_000_000
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
    """Cuts the text to `limit` characters, after a whole section, and links to the full report."""
    if len(text) <= limit:
        return text
    note = f"\n\n*The report is too long for GitHub. See [the summary of the run]({link_run()}).*\n"
    shortened = text[: limit - len(note)]
    end = shortened.rfind("\n</details>")
    return (shortened[: end + len("\n</details>")] if end > 0 else shortened) + note


def write_summary(report: str) -> None:
    """Adds the report to the summary page of the run."""
    fitting = report.encode()[:MAX_SUMMARY_BYTES].decode(errors="ignore")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(fitting)


def describe_error(error: Exception) -> str:
    """Returns the reason of a failed call. The request itself contains the token."""
    return f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else str(error)
