"""Posts a Markdown report as the one comment of a pull request, or updates it.

Where it may not comment, as in a pull request from a fork, the report goes to the run's summary;
commenting never fails a run. Only the standard library: the runner has nothing else. Reads
GITHUB_API_URL, GITHUB_EVENT_PATH, GITHUB_REPOSITORY, GITHUB_STEP_SUMMARY, GITHUB_TOKEN and, for a
link, GITHUB_SERVER_URL and GITHUB_RUN_ID.
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
# What GitHub takes: characters of a comment, bytes of a summary.
MOST_OF_COMMENT = 65_536
MOST_OF_SUMMARY = 1_000_000
_PAGE = 100
_SECONDS = 20


def request(method: str, path: str, body: dict[str, str] | None = None) -> Any:
    """One call of GitHub's API. Errors: OSError, of which urllib's are; ValueError for no JSON."""
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
    with urllib.request.urlopen(call, timeout=_SECONDS) as answer:
        return json.load(answer)


def find_comment(issue: str) -> int | None:
    """The comment posted before. People may quote the marker; only a bot's comment is ours."""
    page = 1
    while True:
        found = request("GET", f"{issue}/comments?per_page={_PAGE}&page={page}")
        for comment in found:
            # No user: an account that is no more.
            by_bot = (comment["user"] or {}).get("type") == "Bot"
            if by_bot and (comment["body"] or "").startswith(MARKER):
                return int(comment["id"])
        if len(found) < _PAGE:
            return None
        page += 1


def post(text: str) -> None:
    """Update our comment; make it where there is none."""
    repository = f"/repos/{os.environ['GITHUB_REPOSITORY']}"
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    issue = f"{repository}/issues/{event['pull_request']['number']}"
    known = find_comment(issue)
    if known is None:
        request("POST", f"{issue}/comments", {"body": text})
    else:
        request("PATCH", f"{repository}/issues/comments/{known}", {"body": text})


def shorten(text: str, most: int) -> str:
    """The text as far as it fits, cut after a whole section, and where the rest is."""
    if len(text) <= most:
        return text
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    run = f"{server}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/"
    note = (
        f"\n\n*Too long to show whole: [the run's summary]({run}{os.environ['GITHUB_RUN_ID']}).*\n"
    )
    kept = text[: most - len(note)]
    end = kept.rfind("\n</details>")
    return (kept[: end + len("\n</details>")] if end > 0 else kept) + note


def write_summary(report: str) -> None:
    """Add the report to the run's own page."""
    fitting = report.encode()[:MOST_OF_SUMMARY].decode(errors="ignore")
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(fitting)


def main(path: str) -> int:
    """Post the report at `path`. Returns the exit code, which is 0 whether it could or not."""
    report = Path(path).read_text(encoding="utf-8")
    whole = f"{MARKER}\n{report}"
    text = shorten(whole, MOST_OF_COMMENT)
    try:
        post(text)
    except Exception as error:
        write_summary(report)
        # Of a failed call the status, never the request: it carries the token.
        reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else error
        sys.stdout.write(f"::notice::no comment ({reason}); the report is in the run's summary\n")
        return 0
    if text != whole:
        write_summary(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
