"""Posts a Markdown report as a comment on a pull request, or updates the comment of an earlier run.

If it cannot comment, as in a pull request from a fork, it writes the report to the summary of the
run, and the run does not fail. It uses only the standard library, because its step runs outside of
.venv. It also reads the variable GITHUB_EVENT_PATH.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from github_api import describe_error, is_ours, list_all, request, shorten, write_summary

MARKER = "<!-- modelcatalog: what this pull request changes -->"


def find_comment(issue: str) -> int | None:
    """Returns the id of the comment of an earlier run, or None."""
    comments = list_all(f"{issue}/comments")
    return next((int(comment["id"]) for comment in comments if is_ours(comment, MARKER)), None)


def post(text: str) -> None:
    """Updates the comment, or creates it."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    issue = f"/issues/{event['pull_request']['number']}"
    comment_id = find_comment(issue)
    if comment_id is None:
        request("POST", f"{issue}/comments", {"body": text})
    else:
        request("PATCH", f"/issues/comments/{comment_id}", {"body": text})


def main(path: str) -> int:
    """Posts the report at `path`. Returns 0, also if it could not comment."""
    report = Path(path).read_text(encoding="utf-8")
    full = f"{MARKER}\n{report}"
    text = shorten(full)
    try:
        post(text)
    except Exception as error:
        write_summary(report)
        reason = describe_error(error)
        sys.stdout.write(f"::notice::no comment ({reason}); the report is in the run's summary\n")
        return 0
    if text != full:
        write_summary(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
