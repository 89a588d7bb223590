"""Benchmark of commands that only show something, compared with Python's own start."""

import subprocess
import sys

from odnbench.bench.timing import Benchmark, in_turns, machine

PYTHON, HELP, REGISTRY = "python -c pass", "odnbench --help", "odnbench registry list"


def bench_startup(*, repeats: int) -> Benchmark:
    """Times whole processes, from the call to the exit."""

    def odnbench(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "odnbench", *arguments]

    def run(command: list[str]) -> None:
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

    contenders = {
        PYTHON: lambda: run([sys.executable, "-c", "pass"]),
        HELP: lambda: run(odnbench("--help")),
        REGISTRY: lambda: run(odnbench("registry", "list")),
    }
    timings = in_turns(contenders, repeats)
    return Benchmark("startup", machine(), timings, dict.fromkeys((HELP, REGISTRY), PYTHON), {})
