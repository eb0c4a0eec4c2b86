"""Fetches the plan file of the pull request that a commit of the main branch merged.

The pull-request workflow attached it to its run as an artifact, `plan-<environment>-<commit>`, by
the head commit of the pull request. A squash merge makes another commit, so the pull request is
looked up. Usage: fetch-plan.py ENVIRONMENT FILE. Exits with 1 and one line where there is no plan.

It uses only the standard library. It reads the variable GITHUB_SHA besides those of github_api.py.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

from github_api import describe_error, fetch, request


def find_head(commit: str) -> str:
    """Returns the head commit of the pull request that was merged as a commit. LookupError."""
    for pull in request("GET", f"/commits/{commit}/pulls"):
        if pull["merged_at"] and pull["merge_commit_sha"] == commit:
            return str(pull["head"]["sha"])
    raise LookupError(f"commit {commit[:7]} is not the merge of a pull request")


def find_artifact(name: str, head: str) -> dict[str, Any]:
    """Returns the newest artifact of a name, of a run for a commit. LookupError without one.

    Any run may give an artifact this name, so the commit of the run counts too.
    """
    found = request("GET", f"/actions/artifacts?name={name}&per_page=100")
    kept = [
        artifact
        for artifact in found["artifacts"]
        if not artifact["expired"] and (artifact.get("workflow_run") or {}).get("head_sha") == head
    ]
    if not kept:
        raise LookupError(f"no run has attached {name}, or it has expired")
    newest: dict[str, Any] = max(kept, key=lambda artifact: str(artifact["created_at"]))
    return newest


def main(environment: str, path: str) -> int:
    """Writes the plan of an environment to `path`. Returns the exit code."""
    try:
        head = find_head(os.environ["GITHUB_SHA"])
        artifact = find_artifact(f"plan-{environment}-{head}", head)
        archive = zipfile.ZipFile(io.BytesIO(fetch(artifact["archive_download_url"])))
        Path(path).write_bytes(archive.read("plan.json"))
    except (LookupError, OSError, ValueError, zipfile.BadZipFile) as error:
        reason = describe_error(error)
        sys.stdout.write(f"no plan of {environment} was reviewed: {reason}\n")
        return 1
    sys.stdout.write(f"{artifact['name']}, attached {artifact['created_at']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
