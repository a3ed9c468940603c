"""Claim: a cold start takes at most a quarter of the usual time for a trigger, and at most half for other functions.

    make bench BENCH=coldstart

Our functions load only the modules that a call's path needs. Each sample is a separate process, measured from the start
of a bare interpreter to the end of the handler's first call, with Postgres and a fake AWS on this machine. "Ours" is
the code as it is shipped, with .pyc files that are never checked against their sources. "Usual" (bench/eager.py) is the
same code as `sam build` ships it, without .pyc files, and with every module and client that the function could need
loaded at import. The standard library is compiled on both sides. Both sides only see the packages of
layers/dependencies. The interpreter is this one, or BENCH_PYTHON, which must have those packages.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

from bench.first_calls import Answer, Events, call, environment, serve_aws
from local.ports import free_port
from local.postgres import Postgres
from nightshift.base.settings import Settings
from nightshift.database.migrations import create_first_partitions, migrate
from nightshift.database.queries import Database

SAMPLES = int(os.environ.get("BENCH_SAMPLES", "9"))
PYTHON = os.environ.get("BENCH_PYTHON", sys.executable)
LIMITS = {
    "api_trigger": 0.25,
    "worker": 0.5,
    "schedule": 0.5,
    "notify": 0.5,
    "announce": 0.5,
    "deliver": 0.5,
    "sweep": 0.5,
    "operate": 0.5,
    "setup": 0.5,
    "migrate": 0.5,
}

# A script that copies the files of the packages in requirements.txt (argument 1) to a folder (argument 2).
COPY_PACKAGES = """
import importlib.metadata, pathlib, shutil, sys
for line in open(sys.argv[1]):
    name, pinned, _ = line.partition("==")
    if pinned and not name.startswith(("#", " ")):
        for file in importlib.metadata.distribution(name).files:
            target = pathlib.Path(sys.argv[2], file)
            if ".." not in file.parts and file.suffix != ".pyc":
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target)
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        server = Postgres(Path(folder) / "postgres", free_port())
        server.start(fsync="off")
        try:
            ours, baseline = _shipped(Path(folder, "ours")), _shipped(Path(folder, "baseline"))
            copy("bench/eager.py", baseline / "layer")
            compile_all = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(ours)]
            subprocess.run([PYTHON, *compile_all], check=True)
            _compare(server, ours=ours, baseline=baseline)
        finally:
            server.stop("immediate")


def _shipped(target: Path) -> Path:
    """Lay out the functions' code and the layer as `sam build` does, without .pyc files."""
    copytree("functions", target / "functions", ignore=ignore_patterns("__pycache__"))
    requirements = Path("layers/dependencies/requirements.txt")
    subprocess.run([PYTHON, "-c", COPY_PACKAGES, str(requirements), str(target / "layer")], check=True)
    return target


def _compare(server: Postgres, *, ours: Path, baseline: Path) -> None:
    owner = Database(
        Settings(
            database_host="127.0.0.1", database_port=server.port, database_name="postgres", database_user="postgres"
        )
    )
    migrate(owner)
    events = Events(owner)
    create_first_partitions(owner, today=owner.query("current_month")[0]["month"])
    version = subprocess.run([PYTHON, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{version}, medians of {SAMPLES}")
    with serve_aws() as (url, asked):
        for name, limit in LIMITS.items():
            taken: dict[Path, list[Answer]] = {ours: [], baseline: []}
            function = name.split("_")[0]
            variables = environment(function, port=server.port, database="postgres", aws_url=url)
            for sample in range(SAMPLES + 1):
                for tree in taken:
                    asked.clear()
                    event = events.of(name)
                    answered = call(
                        event,
                        function=function,
                        path=[tree / "functions", tree / "layer"],
                        environment=variables,
                        # -S: no site-packages. -B: write no .pyc files.
                        command=[PYTHON, "-S", "-B"],
                        eager=function if tree is baseline else None,
                    )
                    if sample:  # skip the first sample, which reads from disk; the others read from memory
                        taken[tree].append(answered)
            mine, usual = (statistics.median(answer.ms for answer in taken[tree]) for tree in (ours, baseline))
            cpu = [statistics.median(answer.cpu_ms for answer in taken[tree]) for tree in (ours, baseline)]
            verdict = "" if mine <= limit * usual else f"  more than {limit}"
            calls = f"  AWS: {', '.join(asked)}" if asked else ""
            print(
                f"{name:>12}: ours {mine:5.0f} ms, usual {usual:5.0f} ms, ratio {mine / usual:.2f}"
                f" (CPU {cpu[0]:.0f}, {cpu[1]:.0f}, {cpu[0] / cpu[1]:.2f}){verdict}{calls}"
            )
    owner.close()


if __name__ == "__main__":
    main()
