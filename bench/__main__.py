"""Measures the duration of whole commands, on the shipped and on generated catalogs.

Prints each figure beside its target. If `pulumi` is on PATH, the CLI engine is measured as well.
Uses a local cluster of its own, which is stopped and deleted at the end.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.alternatives import build_kustomize, naive_command, write_kustomize_tree
from bench.generate import write_catalog
from framework.cluster.local import LocalCluster
from framework.core.user_cache import cache_directory
from framework.engines import choose_engine
from tests.shipped import ROOT, copy_shipped

SIZES = (10, 100, 1000)
ENVIRONMENTS = ("dev", "staging", "prod")
_LIMIT_SECONDS = 900


class Bench:
    """One run of the measurements, with its folder and its cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cluster = LocalCluster(ROOT, directory=folder / "cluster")
        # As users do, run with compiled modules, even if Python was told not to write them here.
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._environment = {**kept, "PULUMI_CONFIG_PASSPHRASE": "bench"}
        self.engines = ["embedded"]
        if choose_engine("auto", ROOT).name == "cli":
            self.engines.append("cli")

    def time(self, project: Path, *arguments: str) -> float:
        """Returns the duration of one verb in seconds, the whole process."""
        return self.time_command([sys.executable, "-m", "framework", *arguments], project)

    def time_command(self, command: Sequence[str], folder: Path | None = None) -> float:
        """Returns the duration of a command in seconds.

        Prints its output and raises CalledProcessError if it fails.
        """
        started = time.monotonic()
        run = subprocess.run(
            command,
            cwd=folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
        if run.returncode:
            print(run.stdout)
            run.check_returncode()
        return time.monotonic() - started

    def show(self, label: str, seconds: float, target: float | None = None) -> None:
        """Prints one line of the table."""
        goal = f"target {target:6.1f} s" if target else ""
        print(f"  {label:<52} {seconds:8.2f} s   {goal}", flush=True)

    def forget_plans(self) -> None:
        """Deletes the cached plans, so that the next command starts cold."""
        (cache_directory() / "plans.sqlite").unlink(missing_ok=True)

    def make(self, name: str, models: int, environments: Sequence[str] = ("dev",)) -> Path:
        """Creates a generated project that uses the cluster of this run."""
        root = self._folder / name
        root.mkdir()
        write_catalog(root, models, f"ml-{name}", environments=environments)
        (root / ".cluster").symlink_to(self.cluster.kubeconfig.parent)
        return root


def measure_command_line(bench: Bench, shipped: Path) -> None:
    """Measures the start-up time and the shipped catalog."""
    print("\ncommand line, shipped catalog")
    bench.show("--help", min(bench.time(shipped, "--help") for _ in range(3)), 0.3)
    bench.show("up dev, first", bench.time(shipped, "up", "dev"))
    bench.show("up dev, nothing to do", bench.time(shipped, "up", "dev"))
    again = min(bench.time(shipped, "preview", "dev") for _ in range(3))
    bench.show("preview dev, nothing to do", again, 3.0)


# Targets in seconds for 1,000 models.
_TARGETS = {
    "validate dev, cold": 4.0,
    "validate, all three environments, cold": 9.0,
    "validate dev, nothing changed": 0.6,
    "validate dev, one model changed": 0.8,
    "explain one model": 0.4,
    "render one model": 0.4,
    "list one model": 0.4,
    "diff dev to prod, warm": 2.0,
}


def measure_reading(bench: Bench) -> None:
    """Measures verbs that need no cluster. The time per model should not grow with the catalog."""
    kustomize = build_kustomize()
    for size in SIZES:
        project = bench.make(f"read-{size}", size, ENVIRONMENTS)
        print(f"\ncatalog of {size} generated models (whole process)")
        for label, seconds in _measure_catalog(bench, project):
            target = _TARGETS.get(label) if size == SIZES[-1] else None
            bench.show(label, seconds, target)
            if "cold" in label:
                print(f"    {1000 * seconds / size:.2f} ms a model")
        bench.show("OmegaConf used naively, dev", bench.time_command(naive_command(project)))
        tree = write_kustomize_tree(project.with_name(f"kustomize-{size}"), size)
        bench.show("kustomize build", bench.time_command([str(kustomize), "build", str(tree)]))


def _measure_catalog(bench: Bench, project: Path) -> Iterator[tuple[str, float]]:
    model = ("--model", "model-0005")
    bench.forget_plans()
    yield "validate dev, cold", bench.time(project, "validate", "dev")
    again = min(bench.time(project, "validate", "dev") for _ in range(3))
    yield "validate dev, nothing changed", again
    with (project / "catalog/model-0005.yaml").open("a") as file:
        file.write("replicas: 3\n")
    yield "validate dev, one model changed", bench.time(project, "validate", "dev")
    bench.forget_plans()
    yield "validate, all three environments, cold", bench.time(project, "validate")
    key = ("--key", "rollout.maxSurge")
    yield "explain one model", min(_repeat(bench, project, "explain", "dev", *model, *key))
    yield "render one model", min(_repeat(bench, project, "render", "dev", *model))
    yield "list one model", min(_repeat(bench, project, "list", "dev", *model))
    yield "render dev", bench.time(project, "render", "dev")
    compared = [bench.time(project, "diff", "dev", "--to", "prod") for _ in range(2)]
    yield "diff dev to prod, first", compared[0]
    yield "diff dev to prod, warm", compared[1]


def _repeat(bench: Bench, project: Path, *arguments: str) -> list[float]:
    return [bench.time(project, *arguments) for _ in range(3)]


def measure_engine(bench: Bench, engine: str, size: int) -> None:
    """Measures the first `up`, an unchanged preview, updates of all and of one, and `destroy`."""
    print(f"\n{engine} engine, {size} generated models, a Deployment and a Service each")
    project = bench.make(f"{engine}-{size}", size)
    chosen = ("--engine", engine)
    bench.show("first up", bench.time(project, "up", "dev", *chosen), 30.0 if size == 100 else None)
    unchanged = min(bench.time(project, "preview", "dev", *chosen) for _ in range(2))
    bench.show("preview, nothing to do", unchanged, 3.0 if size == 100 else None)
    write_catalog(project, size, f"ml-{engine}-{size}", tag="v2")
    bench.show(
        "up, every image changed",
        bench.time(project, "up", "dev", *chosen),
        15.0 if size == 100 else None,
    )
    model = project / "catalog/model-0005.yaml"
    model.write_text(model.read_text().replace('"v2"', '"v3"'))
    one = bench.time(project, "up", "dev", "--model", "model-0005", *chosen)
    bench.show("up of one model, its image changed", one, 3.0 if engine == "embedded" else None)
    bench.show("destroy", bench.time(project, "destroy", "dev", "--yes", *chosen))


def main() -> None:
    """Measures everything, in the order of the README."""
    folder = Path(tempfile.mkdtemp(prefix="modelcatalog-bench-"))
    bench = Bench(folder)
    try:
        print(f"{os.cpu_count()} cores; engines: {', '.join(bench.engines)}")
        bench.cluster.up(lambda progress: None)
        shipped = folder / "shipped"
        copy_shipped(shipped)
        (shipped / ".state").mkdir()
        (shipped / ".cluster").symlink_to(bench.cluster.kubeconfig.parent)
        measure_command_line(bench, shipped)
        measure_reading(bench)
        for engine in bench.engines:
            for size in SIZES[:2]:
                measure_engine(bench, engine, size)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(f"\npeak memory of one process: {peak} MiB")
    finally:
        bench.cluster.down()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
