"""Files for people who join, cite or build: they agree with the code and with each other."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from pages import CHECKOUT, parse

from odnbench import __version__
from odnbench.cli.app import app

GITHUB = CHECKOUT / ".github"
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = dict(
    re.findall(r"^([\w.-]+)==(.+)$", (CHECKOUT / "constraints.txt").read_text(), re.MULTILINE)
)
WORKFLOW = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text(encoding="utf-8"))

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
STAGES = [
    [line.split(maxsplit=1) for line in stage.splitlines() if line and line[0] not in "# "]
    for stage in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]
]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_direct_dependency_is_pinned() -> None:
    pinned = {normal(name) for name in CONSTRAINTS}
    extras = PROJECT["optional-dependencies"].values()
    for requirement in (*PROJECT["dependencies"], *(one for extra in extras for one in extra)):
        assert normal(re.split(r"[\[<>=]", requirement)[0]) in pinned, requirement


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    (paper,) = citation["references"]
    assert paper["year"] == 2019 and len(paper["authors"]) == 4


def test_the_workflow_runs_all_checks_and_every_python_that_is_promised() -> None:
    jobs = WORKFLOW["jobs"]
    assert {"run": ".ci/run"} in jobs["all"]["steps"]
    setup: Any = next(step for step in jobs["all"]["steps"] if "setup-python" in str(step))
    tried = [setup["with"]["python-version"], *jobs["newer"]["strategy"]["matrix"]["python"]]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert tried == promised


def test_commands_of_the_workflow_exist() -> None:
    program = typer.main.get_command(app)
    steps = [
        step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step
    ]
    commands = [step for step in steps if "bin/odnbench" in step]
    assert len(commands) == 2
    for command in commands:
        parse(program, shlex.join(shlex.split(command)))
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    ci = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    for target in re.findall(r"^\s*make (\S+)", "\n".join([*steps, ci]), re.MULTILINE):
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    "path", sorted(GITHUB.glob("ISSUE_TEMPLATE/*.yml")), ids=lambda path: path.stem
)
def test_forms_of_issues_have_what_github_asks_for(path: Any) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"] and form["description"]
    fields = form["body"]
    assert len({field["id"] for field in fields}) == len(fields)
    for field in fields:
        assert field["type"] in ("input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]


def copied(stage: list[list[str]]) -> Iterator[tuple[str, str]]:
    """(source, destination) of what a stage copies from the checkout."""
    for instruction, rest in stage:
        if instruction == "COPY" and not rest.startswith("--from="):
            *sources, destination = rest.split()
            yield from ((source, destination) for source in sources)


def test_the_image_is_of_the_pinned_versions_and_of_a_user_without_rights() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for stage in STAGES:
        assert stage[0][1].startswith("python:3.11-"), "the tests run on 3.11"
        for source, _ in copied(stage):
            assert (CHECKOUT / source).exists(), source
            assert f"!{source.rstrip('/')}" in ignored, source
        for instruction, rest in stage:
            if instruction == "RUN" and "pip install" in rest:
                assert re.search(r"-c \S*constraints\.txt", rest) and "==" not in rest
    last = STAGES[-1]
    names = [instruction for instruction, _ in last]
    assert {rest for instruction, rest in last if instruction == "USER"} == {"odnbench"}
    assert names.index("USER") < names.index("ENTRYPOINT")
    (entry,) = (json.loads(rest) for instruction, rest in last if instruction == "ENTRYPOINT")
    assert entry[0] in PROJECT["scripts"]


@pytest.mark.slow
def test_what_the_image_copies_makes_the_whole_wheel(tmp_path: Path) -> None:
    for source, destination in copied(STAGES[0]):
        origin, target = CHECKOUT / source, tmp_path / "src" / destination
        if origin.is_dir():
            shutil.copytree(origin, target)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, target)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*build, str(tmp_path), str(tmp_path / "src")], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("odnbench-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("registry", "pipelines", "reports/templates"):
        for path in (CHECKOUT / folder).rglob("*.*"):
            assert f"odnbench/_shipped/{path.relative_to(CHECKOUT).as_posix()}" in names
