"""`odnbench report` in several formats at once, and with templates of the user's."""

from pathlib import Path

import pytest
from helpers import Run
from made_results import Faces, Made, report_of, spread_errors

FAILING = """
from odnbench.errors import OdnbenchError

def refuse(report, folder):
    raise OdnbenchError("this format takes no report; choose another")

def crash(report, folder):
    raise RuntimeError("a bug")
"""


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """Results of one trained network, and a registry with formats that fail."""
    report_of(tmp_path / "runs" / "made", Made("odn", Faces(spread_errors(0.05))))
    (tmp_path / "failing.py").write_text(FAILING)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "formats.toml").write_text(
        '[refuses]\ntitle = ""\ntarget = "failing:refuse"\n'
        '[crashes]\ntitle = ""\ntarget = "failing:crash"\n'
    )
    return str(tmp_path / "runs")


def formats(*names: str) -> list[str]:
    return [text for name in names for text in ("--format", name)]


def test_several_formats_are_written_at_once(odnbench: Run, storage: str, tmp_path: Path) -> None:
    done = odnbench("report", "--storage", storage, *formats("csv", "json", "csv"))
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (tmp_path / "reports" / "out").iterdir()}
    assert written == {"made.csv", "made-trials.csv", "made.json"}
    assert done.stdout.count("made.csv") == 1


def test_what_keeps_a_format_from_being_written_keeps_no_other(
    odnbench: Run, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    own = ("--registry", str(tmp_path / "own"))
    done = odnbench("report", "--storage", storage, *own, *formats("refuses", "csv"))
    assert done.returncode == 2
    assert "made: not written as refuses: this format takes no report" in done.stdout
    assert "this format takes no report; choose another" in done.stderr
    assert (tmp_path / "reports" / "out" / "made.csv").is_file()
    with pytest.raises(RuntimeError, match="a bug"):
        odnbench("report", "--storage", storage, *own, *formats("crashes", "json"))
    assert (tmp_path / "reports" / "out" / "made.json").is_file()


def test_an_unknown_format_is_told_before_anything_is_read(odnbench: Run, storage: str) -> None:
    done = odnbench("report", "--storage", storage, *formats("csv", "latx"))
    assert done.returncode == 2 and "did you mean 'latex'" in done.stderr
    assert "made" not in done.stdout


def test_templates_of_a_user_are_taken_and_their_faults_told(
    odnbench: Run, storage: str, tmp_path: Path
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "report.md.j2").write_text("{{ document.title }} of mine\n")
    command = ("report", "--storage", storage, "--templates", str(folder))
    done = odnbench(*command, *formats("markdown", "json"))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "reports" / "out" / "made.md").read_text()
    assert text == "Made results of mine\n"
    (folder / "report.md.j2").write_text("\n{{ document.titel }}")
    done = odnbench(*command)
    assert done.returncode == 2
    assert f"{folder / 'report.md.j2'}: line 2: " in done.stderr
    (folder / "report.txt").touch()
    done = odnbench(*command)
    assert done.returncode == 2 and "unknown template 'report.txt'" in done.stderr


def test_rows_are_compared_with_the_row_that_is_named(odnbench: Run, tmp_path: Path) -> None:
    made = [
        Made(variant, Faces(spread_errors(error, 40, seed)), seed)
        for variant, error in (("odn", 0.05), ("cut", 0.06))
        for seed in (0, 1)
    ]
    report_of(tmp_path / "runs" / "made", *made, reference="brnet")
    for reference, loser in (("cut", ""), ("odn", "worse")):
        done = odnbench("report", "--reference", reference, "--out", reference)
        assert done.returncode == 0, done.stderr
        text = (tmp_path / reference / "made.md").read_text(encoding="utf-8")
        (row,) = [line for line in text.splitlines() if line.startswith("| cut")][:1]
        assert ("worse" in row) == bool(loser) and ("reference" in row) != bool(loser)
    done = odnbench("report", "--reference", "cot")
    assert done.returncode == 2
    assert 'variant = "cot" is none of the rows' in done.stderr and "cut" in done.stderr
