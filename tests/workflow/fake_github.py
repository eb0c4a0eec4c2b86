"""A fake GitHub on loopback, and the environment in which GitHub runs a step."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PAGE = r"\?per_page=100&page=(\d+)"


@dataclass
class GitHub:
    """The comments of one pull request, and issues. `refuses` is the status of failing writes.

    `merged` maps commits of the main branch to the head commits of their pull requests.
    `artifacts` maps names to the files in them; those in `expired` cannot be fetched any more. The
    run that attached them was for the commit `head`, or for the one in their names.
    """

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    refuses: int = 0
    calls: list[str] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, dict[str, str]] = field(default_factory=dict)
    head: str = ""
    expired: set[str] = field(default_factory=set)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.calls.append(f"{method} {path}")
        if self.refuses and method != "GET":
            return self.refuses, {"message": "Resource not accessible by integration"}
        path = path.removeprefix("/repos/o/r")
        listed = {r"/issues/7/comments": self.comments, r"/issues": self.issues}
        for pattern, items in listed.items():
            if method == "GET" and (page := re.match(pattern + _PAGE, path)):
                start = (int(page[1]) - 1) * 100
                return 200, items[start : start + 100]
        if method == "POST" and path == "/issues/7/comments":
            self.add(body["body"], "Bot")
            return 201, self.comments[-1]
        if method == "PATCH" and (changed := re.fullmatch(r"/issues/comments/(\d+)", path)):
            self.comments[int(changed[1])]["body"] = body["body"]
            return 200, {}
        if pulls := re.fullmatch(r"/commits/(\w+)/pulls", path):
            return 200, self._list_pulls(pulls[1])
        if named := re.fullmatch(r"/actions/artifacts\?name=([\w-]+)&per_page=100", path):
            return 200, {"artifacts": self._list_artifacts(named[1])}
        return self._answer_for_issue(method, path, body)

    def _list_pulls(self, commit: str) -> list[dict[str, Any]]:
        # GitHub also lists open pull requests that contain the commit.
        found: list[dict[str, Any]] = [
            {"merged_at": None, "merge_commit_sha": None, "head": {"sha": "open"}}
        ]
        if commit in self.merged:
            merged: dict[str, Any] = {
                "merged_at": "2026-11-26T05:00:00Z",
                "merge_commit_sha": commit,
            }
            found.append({**merged, "head": {"sha": self.merged[commit]}})
        return found

    def _list_artifacts(self, name: str) -> list[dict[str, Any]]:
        if name not in self.artifacts:
            return []
        kept = {
            "created_at": "2026-11-26T05:00:00Z",
            "expired": name in self.expired,
            "workflow_run": {"head_sha": self.head or name.rpartition("-")[2]},
        }
        return [{**kept, "name": name, "archive_download_url": f"{self.url}/archive/{name}"}]

    def build_archive(self, name: str) -> bytes:
        """Returns the zip file of an artifact."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for file, text in self.artifacts[name].items():
                archive.writestr(file, text)
        return content.getvalue()

    def _answer_for_issue(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "POST" and path == "/issues":
            self.add_issue(body["body"], title=body["title"], labels=body["labels"])
            return 201, self.issues[-1]
        if found := re.fullmatch(r"/issues/(\d+)(/comments)?", path):
            (issue,) = [issue for issue in self.issues if issue["number"] == int(found[1])]
            if method == "POST" and found[2]:
                issue["comments"].append(body["body"])
                return 201, {}
            if method == "PATCH":
                issue.update(body)
                return 200, issue
        return 404, {"message": "Not Found"}

    def add(self, body: str, kind: str) -> None:
        self.comments.append({"id": len(self.comments), "body": body, "user": {"type": kind}})

    def add_issue(self, body: str | None, kind: str = "Bot", **fields: Any) -> None:
        issue = {"number": 100 + len(self.issues), "body": body, "user": {"type": kind}}
        self.issues.append({"state": "open", "comments": [], **issue, **fields})


@contextmanager
def serve_github() -> Iterator[GitHub]:
    """Serves a fake on loopback, for the token `sesame`."""
    github = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            if self.path.startswith(("/archive/", "/storage/")):
                self._send_archive()
                return
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or "{}")
            allowed = self.headers["Authorization"] == "Bearer sesame"
            status, reply = github.answer(self.command, self.path, body) if allowed else (401, {})
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        def _send_archive(self) -> None:
            """GitHub redirects a client to a storage that refuses the token of GitHub."""
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/archive/"):
                self.send_response(302)
                self.send_header("Location", f"{github.url}/storage/{name}")
                self.end_headers()
                return
            self.send_response(400 if "Authorization" in self.headers else 200)
            self.end_headers()
            self.wfile.write(github.build_archive(name))

        do_GET = do_POST = do_PATCH = _handle

        def log_message(self, format: str, *args: Any) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    github.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def build_environment(folder: Path, github: GitHub) -> dict[str, str]:
    """Returns the environment of each step, with the expressions of the workflow resolved."""
    # Without the variables of `make test`, or the make of a step would run as its sub-make.
    left = ("GITHUB_", "GIT_", "COV_", "MAKE", "MFLAGS")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(left)}
    return kept | {
        "GITHUB_API_URL": github.url,
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_RUN_ID": "1",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_TOKEN": "sesame",
        "NO_PROXY": "127.0.0.1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "RUNNER_TEMP": str(folder),
    }


def run_step(
    command: str, root: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs the command of a step, as GitHub runs a step without `shell`."""
    return subprocess.run(
        ["bash", "-e", "-c", command],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
