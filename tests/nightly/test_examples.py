"""The GitLab job, and the metrics for Prometheus. Their commands run here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.core.stack import Stack
from framework.drift import DriftReport
from framework.drift.run import DriftRun
from framework.output.drift_metrics import render_metrics
from tests.conftest import MakeProject
from tests.shipped import ROOT
from tests.workflow.fake_github import GitHub, build_environment, run_step

_FOLDER = ROOT / "deploy/nightly"


def _load_job() -> dict[str, Any]:
    return dict(yaml.safe_load((_FOLDER / "gitlab-ci.yaml").read_text())["drift"])


@pytest.mark.cluster
def test_gitlab_job(make_live_project: MakeProject, tmp_path: Path) -> None:
    job = _load_job()
    project = make_live_project("churn")
    project.succeed("up", "dev", "--yes")
    root = project.root
    (root / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (root / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    for name in ("Makefile", "requirements.lock"):
        (root / name).symlink_to(ROOT / name)
    (root / ".venv/ready").touch()
    (tmp_path / "kubeconfig").write_text("apiVersion: v1")
    environment = build_environment(tmp_path, GitHub()) | {
        "ENVIRONMENT": "dev",
        "HOME": str(tmp_path),
        "KUBECONFIG_FILE": str(tmp_path / "kubeconfig"),
        "PULUMI_BACKEND_URL": "",
    }
    # GitLab runs the lines in one shell, and stops at the first that fails.
    done = run_step("\n".join(job["script"]), root, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / "drift/dev/report.md").is_file()
    (root / "catalog/churn.yaml").write_text("no: model")
    shutil.rmtree(root / ".state")
    failed = run_step("\n".join(job["script"]), root, environment)
    assert failed.returncode == 1
    # Drift is a warning. A check that failed must fail the job.
    assert job["allow_failure"] == {"exit_codes": [16]}
    assert job["artifacts"]["when"] == "always"


def test_gitlab_saves_its_caches_also_with_drift() -> None:
    # A job that finds drift has failed, and by default its caches are not saved.
    assert [cache["when"] for cache in _load_job()["cache"]] == ["always", "always"]


def test_image_has_no_file_of_the_machine_that_builds_it() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    ignored = {line for line in lines if line and not line.startswith("#")}
    assert {"environments/Pulumi.*.yaml", "**/.*", "**/__pycache__"} == ignored
    # Nothing that the image needs is ignored.
    copied = re.findall(r"(?m)^COPY --chown=drift ([^\n]+) \S+$", _read_containerfile())
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        hidden = [path for path in (ROOT / name).rglob(".*") if path.suffix in (".py", ".yaml")]
        assert hidden == [], name


def _read_containerfile() -> str:
    return (_FOLDER / "Containerfile").read_text()


def test_gitlab_reads_every_environment_that_ships() -> None:
    (matrix,) = _load_job()["parallel"]["matrix"]
    shipped = {path.name for path in (ROOT / "environments").iterdir() if path.is_dir()}
    assert set(matrix["ENVIRONMENT"]) <= shipped


def _find_commands(word: str) -> str:
    """Returns the command of docs/nightly.md that has a word, with its line joined."""
    text = (ROOT / "docs/nightly.md").read_text()
    blocks = re.findall(r"(?m)(?:^ {6}\S.*\n(?: {6,}.*\n)*)", text)
    return next(str(block) for block in blocks if word in block)


def test_metrics_reach_the_pushgateway(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    received: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            length = int(self.headers["Content-Length"])
            received.append((self.path, self.rfile.read(length).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Prints nothing."""

    (tmp_path / "drift/prod").mkdir(parents=True)
    (tmp_path / "drift/prod/report.prom").write_text("modelcatalog_drift_success 1\n")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        subprocess.run(
            ["bash", "-e", "-c", _find_commands("curl")],
            cwd=tmp_path,
            env={**build_environment(tmp_path, GitHub()), "PUSHGATEWAY": url},
            check=True,
            capture_output=True,
        )
        thread.join()
    path = "/metrics/job/modelcatalog_drift/environment/prod"
    assert received == [(path, "modelcatalog_drift_success 1\n")]


def test_metrics_reach_the_textfile_collector(tmp_path: Path) -> None:
    (tmp_path / "drift/prod").mkdir(parents=True)
    (tmp_path / "drift/prod/report.prom").write_text("modelcatalog_drift_success 1\n")
    (tmp_path / "collector").mkdir()
    command = _find_commands("mv ").replace("/var/lib/node_exporter", str(tmp_path / "collector"))
    subprocess.run(["bash", "-e", "-c", command], cwd=tmp_path, check=True)
    assert [path.name for path in (tmp_path / "collector").iterdir()] == ["drift-prod.prom"]


def test_alerts_name_metrics_that_exist() -> None:
    (group,) = yaml.safe_load((_FOLDER / "prometheus-rules.yaml").read_text())["groups"]
    run = DriftRun("prod", datetime.now(UTC), (DriftReport(Stack.of("prod"), ()),))
    text = render_metrics(run)
    for rule in group["rules"]:
        (metric,) = re.findall(r"modelcatalog_\w+", rule["expr"])
        samples = [line for line in text.splitlines() if line.startswith(f"{metric}{{")]
        assert samples, metric
        labels = re.findall(r'\w+="\w+"', rule["expr"])
        used = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
        assert all(label in sample for sample in samples[:1] for label in used)
        assert any(all(label in sample for label in labels) for sample in samples), rule["alert"]
