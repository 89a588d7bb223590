"""Studies in databases: several drivers on one study, from folders of their own and from one."""

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import NO_MLFLOW, TINY
from postgres import postgres_server
from searches import branin, design, run, train

from odnbench.results.searches import SearchRecord, SearchSettings
from odnbench.sweep.study import open_study

SMALL = [text for each in TINY for text in ("-s", each)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    # The folders of pytest may be entered by its own user alone.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with postgres_server(Path(folder)) as url:
            yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    return str(request.getfixturevalue("postgres"))


@pytest.mark.slow
def test_drivers_with_folders_of_their_own_share_a_study(url: str, tmp_path: Path) -> None:
    of = design(settings=SearchSettings("random", "none"), trials=9, name="shared")
    with open_study(of, tmp_path / "a", url) as one, open_study(of, tmp_path / "b", url) as other:
        for study in itertools.cycle((one, other)):
            if (asked := study.ask()) is None:
                break
            train(study, asked, branin)
        points = one.points
        assert points == other.points
    assert {point.state for point in points} == {"complete"}
    assert len({tuple(point.point.values()) for point in points}) == 9


@pytest.mark.slow
def test_a_killed_driver_leaves_its_point_to_the_next_one(url: str, tmp_path: Path) -> None:
    """The driver's process ends without a word, in the same folder as the next one."""
    of = design(trials=5, name="killed")
    with open_study(of, tmp_path / "undisturbed", f"sqlite:///{tmp_path / 'other.db'}") as study:
        run(study, branin)
        expected = study.points
    if (child := os.fork()) == 0:
        with open_study(of, tmp_path / "a", url) as study:
            run(study, branin, 2)
            study.ask()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with open_study(of, tmp_path / "a", url) as study:
        run(study, branin)
        found = study.points
    assert found == expected


@pytest.mark.slow
@pytest.mark.parametrize("place", ["journal", "postgres"])
def test_two_commands_work_on_one_search(
    place: str, tmp_path: Path, user_environment: dict[str, str], request: pytest.FixtureRequest
) -> None:
    study = ["--study", request.getfixturevalue("postgres")] if place == "postgres" else []
    command = [
        sys.executable, "-m", "odnbench", "tune", "--executor", "inline", *SMALL, "-s", "epochs=3",
        "--trials", "10", "--confirm", "2", "--best", "1", *study,
    ]  # fmt: skip
    processes = [
        subprocess.Popen(
            command, cwd=tmp_path, env={**user_environment, **NO_MLFLOW}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    outputs = [process.communicate(timeout=400)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    record = SearchRecord.load(tmp_path / "runs" / "tune")
    assert len(record.points) == 10
    assert {point.state for point in record.points} <= {"complete", "pruned"}
    trained = [identity for point in record.points for identity in point.trials]
    assert len(trained) == len(set(trained)) == 10
    if place == "journal":
        journal = (tmp_path / "runs" / "tune" / "study.journal").read_text()
        attributes = [json.loads(line).get("user_attr", {}) for line in journal.splitlines()]
        drivers = {one["odnbench.driver"] for one in attributes if "odnbench.driver" in one}
        assert len(drivers) == 2  # both have trained
