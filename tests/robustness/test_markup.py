"""Text from outside is shown and never read: on terminals, in Markdown, figures and MLflow."""

import json
import re
import shutil
from pathlib import Path

import pytest
from helpers import Run, trial_of
from made_results import Faces, Made, report_of, spread_errors
from prediction_files import predicted, score_arguments, truth, write_csv

from odnbench.arrays import Floats

SPLIT = "300w/lfpw-test"
# What rich, Markdown, matplotlib or a terminal would read as something else.
NASTY = (
    "[/b]",
    "[lr=0.1]",
    r"\[b]",
    "[red]x[/red]",
    ":smile:",
    "a|b",
    "*x*_y_`z`",
    "$x^$",
    "_u",
    "<b>",
    "顔",
)


def points() -> Floats:
    """Predictions for SPLIT."""
    return predicted(truth(SPLIT))


def score(odnbench: Run, *files: str) -> str:
    """What the command prints for files in the current folder."""
    done = odnbench(*score_arguments(SPLIT, *files))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_file_names_are_shown_as_they_are(odnbench: Run, tmp_path: Path) -> None:
    files = [f"{name}.csv" for name in NASTY]
    for file in files:
        write_csv(tmp_path / file, truth(SPLIT).face_ids, points())
    told = score(odnbench, *files)
    for name in NASTY:
        assert f"\n {name.rpartition('/')[2]} " in told  # "[" is a folder


def test_file_names_are_shown_as_they_are_in_breakdowns(odnbench: Run, tmp_path: Path) -> None:
    for name in ("a[/b]", "[red]x"):
        file = write_csv(tmp_path / name / "[/c].csv", truth(SPLIT).face_ids, points())
        done = odnbench(*score_arguments(SPLIT, file), "--breakdown")
        assert done.returncode == 0, done.stderr
        assert " c]\n" in re.sub(" +\n", "\n", done.stdout)


def test_names_that_differ_between_brackets_stay_apart(odnbench: Run, tmp_path: Path) -> None:
    names = ["pred [lr=0.1].csv", "pred [lr=0.01].csv"]
    for name in names:
        write_csv(tmp_path / name, truth(SPLIT).face_ids, points())
    told = score(odnbench, *names)
    assert "pred [lr=0.1]   rendered" in told
    assert "pred [lr=0.01]  rendered" in told


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        (["x/d1[/b].csv", "y/d1[/b].csv"], ["x/d1[/b]", "y/d1[/b]"]),
        (["a.csv", "a.tsv"], ["a.csv", "a.tsv"]),
        (["p/m/a.csv", "q/m/a.csv", "b.csv"], ["p/m/a", "q/m/a", "b"]),
        (["p/a.csv", "p/a.tsv", "q/a.csv"], ["p/a", "a.tsv", "q/a"]),
    ],
)
def test_files_of_one_name_have_the_shortest_names_that_differ(
    odnbench: Run, tmp_path: Path, paths: list[str], shown: list[str]
) -> None:
    for path in paths:
        separator = "\t" if path.endswith(".tsv") else ","
        write_csv(tmp_path / path, truth(SPLIT).face_ids, points(), separator=separator)
    done = odnbench(*score_arguments(SPLIT, *paths), "--json")
    assert [record["file"] for record in json.loads(done.stdout)] == shown, done.stderr
    told = score(odnbench, *paths)
    assert all(f" {name} " in told for name in shown)


def test_a_file_that_is_given_twice_is_told(odnbench: Run, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", truth(SPLIT).face_ids, points())
    done = odnbench(*score_arguments(SPLIT, "a.csv", "./a.csv"))
    assert done.returncode == 2
    assert "a.csv: the file is given twice" in done.stderr


def test_characters_that_are_not_printed_are_escaped(odnbench: Run, tmp_path: Path) -> None:
    name = "a\nb\x1b[31m\u202ec"
    write_csv(tmp_path / f"{name}.csv", truth(SPLIT).face_ids, points())
    told = score(odnbench, f"{name}.csv")
    assert r"a\nb\x1b[31m\u202ec  rendered" in told
    done = odnbench("score", f"{name}.json", "--dataset", SPLIT)
    assert done.stderr == "error: a\\nb\\x1b[31m\\u202ec.json: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["score", "[/b].csv", "--dataset", SPLIT], "error: [/b].csv: No such file"),
        (["score", "a.csv", "--dataset", "[red]"], "unknown dataset '[red]'"),
        (["data", "prepare", "300w", "--protocol", r"\[b]"], r"unknown protocol '\[b]'"),
        (["registry", "show", "[/b]", "x"], "unknown family '[/b]'"),
        (["[/b]"], "[/b]"),
        (["status", "--storage", "[/b]"], "no results below [/b]"),
        (["run", "[/b]"], "[/b]"),
    ],
)
def test_an_error_shows_what_was_given(
    odnbench: Run, tmp_path: Path, arguments: list[str], told: str
) -> None:
    write_csv(tmp_path / "a.csv", truth(SPLIT).face_ids, points())
    done = odnbench(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_names_of_faces_are_shown_as_they_are(odnbench: Run, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [f"[/b]{i}" for i in range(8)], points())
    done = odnbench(*score_arguments(SPLIT, "a.csv"))
    assert done.returncode == 2
    assert "it names faces like '[/b]0', the ground truth like" in done.stderr


def test_titles_of_the_registry_are_shown_as_they_are(odnbench: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "protocols.toml").write_text(
        '["[bold]"]\ntitle = "[/x] :smile:\\u001b"\nscheme = "68"\nnormaliser = "inter-ocular"\n'
        'visibility = "all"\naveraging = "face"\nbox = "landmarks"\nthresholds_percent = [8.0]\n'
    )
    done = odnbench("registry", "list", "protocols", "--registry", "mine")
    assert done.returncode == 0, done.stderr
    assert "[bold]" in done.stdout
    assert r"[/x] :smile:\x1b" in done.stdout
    write_csv(tmp_path / "a.csv", truth(SPLIT).face_ids, points())
    done = odnbench(*score_arguments(SPLIT, "a.csv"), "--protocol", "[bold]", "--registry", "mine")
    assert f"{SPLIT} under [bold]: error" in done.stdout, done.stderr


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of two trials and a failed one, of which title, reason and notes hold markup."""
    made = [
        Made("odn", Faces(spread_errors(0.05))),
        Made("dm", Faces(spread_errors(0.06, seed=1))),
    ]
    folder = tmp_path / "runs" / "made"
    report_of(folder, *made, failed=["gm"])
    plan = folder / "plan.json"
    record = json.loads(plan.read_text())
    record["titles"] = [f"{title} [/b] a|b" for title in record["titles"]]
    record["notes"] = ["# [/b] *all* of <b>it</b>\n![x](y)"]
    record["pipeline"]["title"] = "A [title](http://x) | `of` [/b]"
    plan.write_text(json.dumps(record))
    (folder / "gm" / "status.json").write_text(
        json.dumps({"state": "failed", "reason": "KeyError: '[/b]' | \x1b[2J\nsecond line"})
    )
    return tmp_path


def test_titles_and_reasons_are_shown_as_they_are_by_status(odnbench: Run, results: Path) -> None:
    done = odnbench("status")
    assert done.returncode == 1
    assert "[/b] a|b" in done.stdout
    assert r"KeyError: '[/b]' | \x1b[2J\nsecond line" in done.stdout


def test_a_report_shows_text_from_outside_and_keeps_its_tables(
    odnbench: Run, results: Path
) -> None:
    trial = next((results / "runs" / "made").glob("*/predictions.parquet"))
    foreign = [f"{name.replace('/', '')} $z$.parquet" for name in NASTY]
    for name in foreign:
        shutil.copy(trial, results / name)
    with_files = [word for name in foreign for word in ("--with", name)]
    done = odnbench("report", "--out", "out", *with_files)
    assert done.returncode == 0, done.stderr
    text = (results / "out" / "made.md").read_text()
    for name in foreign:
        shown = re.sub(r"\\([\\`*\[\]<>|~$_])", r"\1", text)  # as a reader of Markdown sees it
        assert f"| {name.removesuffix('.parquet')} | –" in shown
    lines = text.splitlines()
    for start in (i for i, line in enumerate(lines) if line.startswith("| model |")):
        table = lines[start : lines.index("", start)]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert r"# A \[title\](http://x) \| \`of\` \[/b\]" in text
    assert r"- \# \[/b\] \*all\* of \<b\>it\</b\>\\n!\[x\](y)" in text
    assert r"KeyError: '\[/b\]' \| \\x1b\[2J\\nsecond line" in text


def test_mlflows_note_shows_text_from_outside(tmp_path: Path) -> None:
    from odnbench.results.plans import PlanRecord
    from odnbench.tracking.entries import plan_tags

    report_of(tmp_path, Made("odn", Faces(spread_errors(0.05))))
    record = json.loads((tmp_path / "plan.json").read_text())
    record["notes"] = ["*all* of <b>it</b>"]
    (tmp_path / "plan.json").write_text(json.dumps(record))
    tags = plan_tags(PlanRecord.load(tmp_path / "plan.json"), trial_of())
    assert r"\*all\* of \<b\>it\</b\>" in tags["mlflow.note.content"]
