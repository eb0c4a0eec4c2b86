"""Measures the duration of whole commands, on the shipped and on generated catalogs.

Prints each figure beside its target, and what `kubectl apply` and plain Pulumi need for the same
manifests. If there is a pulumi CLI, installed or built by `make setup-pulumi`, the CLI engine is
measured as well. Uses a local cluster of its own, which is stopped and deleted at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.alternatives import (
    build_kubectl,
    naive_command,
    pulumi_command,
    write_kustomize_tree,
)
from bench.generate import write_catalog
from framework.cluster.local import LocalCluster
from framework.core.user_cache import cache_directory
from framework.engines.pulumi_cli import PulumiCli, find_pulumi
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
        cli = find_pulumi(ROOT)
        if isinstance(cli, PulumiCli):
            self.engines.append("cli")
            path = os.pathsep.join([str(cli.command.parent), cli.search_path])
            self._environment["PATH"] = path
        self.kubectl = build_kubectl()
        self.peak_mib = 0

    def time(self, project: Path, *arguments: str) -> float:
        """Returns the duration of one verb in seconds, the whole process."""
        return self.time_command([sys.executable, "-m", "framework", *arguments], project)

    def time_command(self, command: Sequence[str], folder: Path | None = None) -> float:
        """Returns the duration of a command in seconds; keeps its memory in `peak_mib`.

        Prints its output and raises CalledProcessError if it fails.
        """
        started = time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            # `wait4` and not `wait`, because only it returns the memory of this one command, or of
            # the largest process that it has started.
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            self.peak_mib = usage.ru_maxrss // 1024
            if process.returncode:
                output.seek(0)
                print(output.read().decode())
                raise subprocess.CalledProcessError(process.returncode, command)
        return seconds

    def render(self, project: Path) -> Path:
        """Renders the environment dev of a project; returns the YAML file."""
        path = project.with_suffix(".yaml")
        command = [sys.executable, "-m", "framework", "render", "dev"]
        with path.open("w") as file:
            subprocess.run(command, cwd=project, env=self._environment, stdout=file, check=True)
        return path

    def run_kubectl(self, *arguments: str) -> float:
        """Returns the duration of a kubectl command on the cluster in seconds."""
        return self.time_command(
            [str(self.kubectl), "--kubeconfig", str(self.cluster.kubeconfig), *arguments]
        )

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
        bench.show("kubectl kustomize", bench.run_kubectl("kustomize", str(tree)))


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
    """Measures up, preview, drift, updates of all models and of one, and `destroy`."""
    print(f"\n{engine} engine, {size} generated models, a Deployment and a Service each")
    namespace = f"ml-{engine}-{size}"
    project = bench.make(f"{engine}-{size}", size)
    chosen = ("--engine", engine)
    is_large = size == SIZES[-1]
    bench.show("first up", bench.time(project, "up", "dev", *chosen))
    print(f"    peak memory {bench.peak_mib} MiB")
    unchanged = min(bench.time(project, "preview", "dev", *chosen) for _ in range(2))
    bench.show("preview, nothing to do", unchanged, 25.0 if is_large else None)
    # With the CLI engine this includes `pulumi refresh --preview-only`, whose verdict it shows.
    bench.show("drift", bench.time(project, "drift", "dev", *chosen), 4.0 if is_large else None)
    model = project / "catalog/model-0005.yaml"
    model.write_text(model.read_text().replace('"v1"', '"v2"'))
    one = bench.time(project, "up", "dev", "--model", "model-0005", *chosen)
    bench.show("up of one model, its image changed", one, 3.0 if engine == "embedded" else None)
    # At 1,000 models these two take as long as the first `up`, and say no more.
    if not is_large:
        write_catalog(project, size, namespace, tag="v3")
        bench.show("up, every image changed", bench.time(project, "up", "dev", *chosen))
        bench.show("destroy", bench.time(project, "destroy", "dev", "--yes", *chosen))


def measure_plain(bench: Bench, size: int) -> None:
    """Measures kubectl, and plain Pulumi for up to 100 models, with the manifests of a catalog."""
    print(f"\nplain tools, the same manifests of {size} models")
    project = bench.make(f"plain-{size}", size)
    rendered = bench.render(project)
    namespace = f"ml-plain-{size}"
    bench.run_kubectl("create", "namespace", namespace)
    seconds = bench.run_kubectl("apply", "--server-side", "-f", str(rendered))
    seconds += bench.run_kubectl(
        *("wait", "deployment", "--all", "--for=condition=Available", "-n", namespace),
        f"--timeout={_LIMIT_SECONDS}s",
    )
    bench.show("kubectl apply --server-side, until all are available", seconds)
    bench.run_kubectl("delete", "namespace", namespace)
    if "cli" in bench.engines and size < SIZES[-1]:
        for components in (False, True):
            _measure_pulumi(bench, rendered, namespace, components)
            bench.run_kubectl("delete", "namespace", namespace)


def _measure_pulumi(bench: Bench, rendered: Path, namespace: str, components: bool) -> None:
    """Measures Pulumi by hand. In a terminal `pulumi up` shows a preview before it asks."""
    kind = "a component for each model" if components else "without components"
    print(f"  pulumi --parallel 128 by hand, {kind}")
    kubeconfig = bench.cluster.kubeconfig

    def measure(verb: str) -> float:
        return bench.time_command(
            pulumi_command(verb, kubeconfig, rendered, namespace, components=components)
        )

    def show_up(label: str) -> None:
        preview, up = measure("preview"), measure("up")
        bench.show(f"  {label}, with its preview", preview + up)
        bench.show("    of that, with --skip-preview", up)

    text = rendered.read_text()
    show_up("first up")
    bench.show("  preview, nothing to do", measure("preview"))
    bench.show("  refresh --preview-only", measure("refresh"))
    rendered.write_text(text.replace("mlserver:v1", "mlserver:v2", 1))
    show_up("up of one changed image")
    rendered.write_text(text.replace("mlserver:v1", "mlserver:v3"))
    show_up("up, every image changed")
    rendered.write_text(text)


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
        for size in SIZES:
            measure_plain(bench, size)
            for engine in bench.engines:
                # The CLI engine takes an hour for 1,000 models.
                if engine == "embedded" or size < SIZES[-1]:
                    measure_engine(bench, engine, size)
    finally:
        bench.cluster.down()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
