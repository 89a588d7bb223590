"""The leaderboard: like numbers in one table, in order, and everything else marked or apart."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from helpers import REGISTRY, Run
from made_results import COLUMN, Faces, Made, report_of, spread_errors

from odnbench.plan.entries import Published, PublishedRow
from odnbench.plan.protocols import Protocol
from odnbench.reports.document import Table, plain
from odnbench.reports.leaderboard import NOT_STATED, Board, boards_of
from odnbench.reports.leaderboard_document import document_of_boards, tables_of
from odnbench.reports.leaderboard_records import as_csv, as_json
from odnbench.reports.report import Report
from odnbench.reports.sections.leaderboard import leaderboard

FACES = 135  # of the Challenging set
NASTY = "=<script>_%|[b]\u202e“ü“" + "n" * 200


def made(variant: str, nme_percent: float, faces: int = FACES, **options: object) -> Made:
    errors = spread_errors(nme_percent / 100, faces)
    return Made(variant, Faces(errors), **options)  # type: ignore[arg-type]


def table_of(*rows: PublishedRow, protocol: str = "300w-paper") -> Published:
    return Published(
        name="mine",
        title="Mine",
        source="https://example.org/mine",
        metric="NME",
        dataset="300w",
        protocol=protocol,
        columns=("challenging", "full"),
        primary=True,
        rows=rows,
        read_on="2026-11-30",
    )


def row(method: str, nme: float, normaliser: str = "inter-ocular", **more: object) -> PublishedRow:
    source = "https://example.org" if normaliser else ""
    values = {"challenging": nme}
    return PublishedRow(
        method, 2020, values, normaliser=normaliser, normaliser_source=source, **more
    )  # type: ignore[arg-type]


def boards(reports: list[Report], *tables: Published) -> tuple[Board, ...]:
    return boards_of(reports, tables, REGISTRY.all(Protocol), [COLUMN])


def methods(board: Board) -> list[str]:
    return [entry.method for entry in board.entries]


def test_rows_of_runs_stand_among_published_ones_by_their_error(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 5.0), made("brnet", 7.0), rendered=False)
    published = table_of(row("better", 4.5), row("between", 6.0), row("worse", 8.0))
    (board,) = boards([report], published)
    odn, brnet = report.rows
    assert methods(board) == ["better", odn.title, "between", brnet.title, "worse"]
    own = board.entries[1]
    assert own.nme == pytest.approx(5.0)
    assert own.interval is not None and own.interval.low < 5.0 < own.interval.high
    assert (own.year, own.reported, own.source, own.day) == (None, "run", "made", "2019-06-16")
    (table,) = tables_of([board])
    nme = [column.title for column in table.columns].index("NME %")
    assert table.ranks(nme) == {0: "best", 1: "second"}
    assert [line.cells[1].text for line in table.lines] == ["2020", "here", "2020", "here", "2020"]


def test_another_normaliser_has_a_table_of_its_own_and_none_has_no_order(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 5.0), rendered=False)
    published = table_of(
        row("pupils", 6.0, "inter-pupil"), row("late", 1.0, ""),
        dataclasses.replace(row("early", 9.0, ""), year=2013),
    )  # fmt: skip
    ocular, pupils, unknown = boards([report], published)
    assert [board.rules.over for board in (ocular, pupils, unknown)] == [
        "inter-ocular", "inter-pupil", ""
    ]  # fmt: skip
    assert (methods(ocular), methods(pupils)) == ([report.rows[0].title], ["pupils"])
    assert methods(unknown) == ["early", "late"]
    assert {entry.unlike for entry in unknown.entries} == {NOT_STATED}
    table = tables_of([unknown])[0]
    assert not any(table.ranks(column) for column in range(len(table.columns)))
    assert "cannot be compared" in plain(table.caption)


def test_other_points_and_averages_have_tables_of_their_own(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 5.0), rendered=False)
    found = boards([report], table_of(row("letter", 0.6), protocol="300w-eq10"))
    assert [methods(board) for board in found] == [[report.rows[0].title], ["letter"]]


def test_rendered_results_are_never_beside_real_ones(tmp_path: Path) -> None:
    real = report_of(tmp_path / "real", made("odn", 5.0), rendered=False)
    rendered = report_of(tmp_path / "rendered", made("brnet", 1.0, faces=24))
    (only,) = rendered.rows  # whose trial has the id of the other report's
    (scored,) = only.trials
    scored = dataclasses.replace(scored, trial=dataclasses.replace(scored.trial, id="other"))
    rendered = dataclasses.replace(rendered, rows=(dataclasses.replace(only, trials=(scored,)),))
    first, last = boards([rendered, real], table_of(row("published", 6.0)))
    assert methods(first) == [real.rows[0].title, "published"] and not first.rules.rendered
    assert methods(last) == [rendered.rows[0].title] and last.rules.rendered
    document = document_of_boards((first, last), REGISTRY)
    assert "rendered" in plain(document.warnings[0])
    (lead,) = map(plain, document.found)  # of the real faces alone
    assert lead.startswith(f"{COLUMN} over inter-ocular: {real.rows[0].title} has 5.00 (")
    assert lead.endswith("place 1 of 2.")
    *_, table = [block for block in document.walk() if isinstance(block, Table)]
    assert "rendered faces" in plain(table.caption)
    assert any("trained on rendered" in plain(note) for note in table.notes)


def test_a_number_on_some_of_the_faces_has_no_rank(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 1.0, faces=40), rendered=False)
    (board,) = boards([report], table_of(row("whole", 6.0), row("worst", 9.0)))
    assert methods(board)[:2] == ["whole", "worst"]
    assert board.entries[2].unlike == "tested on 40 of 135 of the split's faces"
    assert tables_of([board])[0].ranks(2) == {0: "best", 1: "second"}


def test_what_the_rules_do_not_say_is_remarked(tmp_path: Path) -> None:
    report = report_of(
        tmp_path, made("odn", 5.0), made("odn", 4.0, overrides=("data.flip_test=true",)),
        rendered=False,
    )  # fmt: skip
    noted = row("noted", 6.0, note="trained on more")
    flipped, plainly, published = boards([report], table_of(noted))[0].entries
    assert "box rule: landmarks" in plainly.remarks and "box rule: landmarks" in flipped.remarks
    assert "trained on 24 of 3148 of 300w/train" not in plainly.remarks  # 24 is all that there is
    assert any("flip test" in remark for remark in flipped.remarks)
    assert not any("flip test" in remark for remark in plainly.remarks)
    assert published.remarks == ("trained on more",)
    (table,) = tables_of(boards([report], table_of(noted)))
    noted_below = [plain(note) for note in table.notes]
    for line in table.lines:
        for sign in line.cells[-1].text.split():
            assert any(note.startswith(f"{sign}: ") for note in noted_below)


def test_failures_at_another_threshold_are_marked(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 5.0), rendered=False)
    at_10 = row("at 10", 6.0, failures={"challenging": 3.0}, threshold_percent=10.0)
    (board,) = boards([report], table_of(at_10))
    assert board.threshold_percent == report.protocol.failure_percent == 8
    (table,) = tables_of([board])
    failures = [column.title for column in table.columns].index("FR@8 %")
    own, other = (line.cells[failures] for line in table.lines)
    assert (own.unlike, other.unlike) == ("", "at 10 %, not 8 %")


def test_trials_that_two_pipelines_share_stand_once(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 5.0), rendered=False)
    (board,) = boards([report, report])
    assert len(board.entries) == 1


def test_a_report_has_the_figures_of_its_own_columns(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 5.0), rendered=False)
    assert leaderboard(report) is None
    published = table_of(
        row("mine", 4.0), dataclasses.replace(row("else", 1.0), values={"full": 1})
    )
    protocols = {published.protocol: REGISTRY.get(Protocol, published.protocol)}
    section = leaderboard(dataclasses.replace(report, published=(published,), protocols=protocols))
    assert section is not None
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    assert [line.cells[0].text for line in table.lines] == ["mine", report.rows[0].title]


def test_records_hold_full_precision_and_no_formula(tmp_path: Path) -> None:
    report = report_of(tmp_path, made("odn", 5.0), rendered=False)
    found = boards([report], table_of(row(NASTY, 6.0)))
    own, published = json.loads(as_json(found))
    assert own["nme_percent"] == found[0].entries[0].nme
    assert (own["place"], published["place"]) == (1, 2)
    assert (own["over"], own["split"], published["method"]) == ("inter-ocular", COLUMN, NASTY)
    lines = list(csv.DictReader(as_csv(found).splitlines()))
    assert float(lines[0]["nme_percent"]) == own["nme_percent"]
    assert lines[1]["method"] == f"'{NASTY}"


@pytest.fixture
def own_entries(tmp_path: Path) -> Path:
    """A registry folder with a published table of nasty text and a format of documents."""
    folder = tmp_path / "entries"
    (folder / "published").mkdir(parents=True)
    (folder / "published" / "mine.toml").write_text(
        f"""
title = "Mine"
source = "https://example.org/[b]|<i>"
metric = "NME"
dataset = "300w"
protocol = "300w-paper"
columns = ["challenging"]
primary = true
[[rows]]
method = {json.dumps(NASTY)}
year = 2020
values = {{ challenging = 1.25 }}
normaliser = "inter-ocular"
normaliser_source = "https://example.org"
""",
        encoding="utf-8",
    )
    (folder / "formats.toml").write_text(
        '[shown]\ntitle = "x"\ntarget = "odnbench.reports.markdown:write_markdown"\n'
        'document = "builtins:repr"\n'
    )
    return folder


def test_the_command_shows_names_as_they_are(
    odnbench: Run, tmp_path: Path, own_entries: Path
) -> None:
    report_of(tmp_path / "runs" / "made", made("odn", 5.0), rendered=False)
    asked = ("leaderboard", "--split", COLUMN, "--registry", str(own_entries))
    done = odnbench(*asked)
    assert done.returncode == 0, done.stderr
    text = "".join(done.stdout.split())
    assert "=<script>_%|[b]\\u202e“ü“" in text and "https://example.org/[b]|<i>" in text
    assert text.index("<script>") < text.index("here")
    assert odnbench(*asked, "--format", "shown").stdout.startswith("Document(name='leaderboard'")
    records = json.loads(odnbench(*asked, "--format", "json").stdout)
    assert {record["split"] for record in records} == {COLUMN}
    assert {record["reported"] for record in records} == {"run", "primary", "secondary"}


def test_without_results_the_published_figures_are_left(odnbench: Run) -> None:
    done = odnbench("leaderboard", "--dataset", "wflw", "--split", "test")
    assert done.returncode == 0, done.stderr
    assert "no results below runs" in done.stdout
    assert "Published figures alone" in done.stdout and "ADNet" in done.stdout
    assert "300w" not in done.stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--dataset", "300v"], "unknown dataset '300v'; did you mean '300w'?"),
        (["--split", "300w/ful"], "unknown split on the leaderboard '300w/ful'; did you mean"),
        (["--dataset", "cofw68", "--split", "full"], "Known: cofw68/test"),
        (["--format", "termina"], "unknown format of the leaderboard 'termina'; did you mean"),
        (["nothere"], "no results below runs"),
        (["--with", "nothere.csv"], "nothere.csv"),
    ],
)
def test_a_wrong_name_is_refused_in_one_line(odnbench: Run, options: list[str], told: str) -> None:
    done = odnbench("leaderboard", *options)
    assert done.returncode == 2
    assert told in done.stderr and done.stderr.count("\n") == 1 and not done.stdout
