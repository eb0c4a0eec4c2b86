"""Posts a Markdown report as a comment on a pull request, or updates the comment of an earlier run.

If it cannot comment, as in a pull request from a fork, it writes the report to the summary of the
run, and the run does not fail. It uses only the standard library, because its step runs outside of
.venv. It reads the variables GITHUB_API_URL, GITHUB_EVENT_PATH, GITHUB_REPOSITORY,
GITHUB_STEP_SUMMARY, GITHUB_TOKEN and, for a link, GITHUB_SERVER_URL and GITHUB_RUN_ID.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MARKER = "<!-- modelcatalog: what this pull request changes -->"
# Limits of GitHub.
MAX_COMMENT_CHARACTERS = 65_536
MAX_SUMMARY_BYTES = 1_000_000
_PAGE = 100
_SECONDS = 20


def request(method: str, path: str, body: dict[str, str] | None = None) -> Any:
    """Calls the GitHub API. Raises OSError, or ValueError for a response that is not JSON."""
    call = urllib.request.Request(
        os.environ["GITHUB_API_URL"].rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "Content-Type": "application/json",
            "User-Agent": "modelcatalog",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    with urllib.request.urlopen(call, timeout=_SECONDS) as response:
        return json.load(response)


def find_comment(issue: str) -> int | None:
    """Returns the id of the comment of an earlier run, or None."""
    page = 1
    while True:
        comments = request("GET", f"{issue}/comments?per_page={_PAGE}&page={page}")
        for comment in comments:
            # People may quote our comment with its marker. `user` is null for a deleted account.
            by_bot = (comment["user"] or {}).get("type") == "Bot"
            if by_bot and (comment["body"] or "").startswith(MARKER):
                return int(comment["id"])
        if len(comments) < _PAGE:
            return None
        page += 1


def post(text: str) -> None:
    """Updates the comment, or creates it."""
    repository = f"/repos/{os.environ['GITHUB_REPOSITORY']}"
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    issue = f"{repository}/issues/{event['pull_request']['number']}"
    comment_id = find_comment(issue)
    if comment_id is None:
        request("POST", f"{issue}/comments", {"body": text})
    else:
        request("PATCH", f"{repository}/issues/comments/{comment_id}", {"body": text})


def shorten(text: str, limit: int) -> str:
    """Cuts the text to `limit` characters, after a whole section, and links to the full report."""
    if len(text) <= limit:
        return text
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    run = f"{server}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    note = f"\n\n*The report is too long for a comment. See [the summary of the run]({run}).*\n"
    shortened = text[: limit - len(note)]
    end = shortened.rfind("\n</details>")
    return (shortened[: end + len("\n</details>")] if end > 0 else shortened) + note


def write_summary(report: str) -> None:
    """Adds the report to the summary page of the run."""
    fitting = report.encode()[:MAX_SUMMARY_BYTES].decode(errors="ignore")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(fitting)


def main(path: str) -> int:
    """Posts the report at `path`. Returns 0, also if it could not comment."""
    report = Path(path).read_text(encoding="utf-8")
    full = f"{MARKER}\n{report}"
    text = shorten(full, MAX_COMMENT_CHARACTERS)
    try:
        post(text)
    except Exception as error:
        write_summary(report)
        # Print the status only: the request contains the token.
        reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else error
        sys.stdout.write(f"::notice::no comment ({reason}); the report is in the run's summary\n")
        return 0
    if text != full:
        write_summary(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
