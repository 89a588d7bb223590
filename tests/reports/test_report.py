"""Reports of tiny trials: values, Markdown and figures."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import REGISTRY, plan_in
from made_results import Faces, Made, page_of, report_of, spread_errors

from odnbench.errors import OdnbenchError
from odnbench.metrics.intervals import mean_interval
from odnbench.metrics.nme import nme_per_face
from odnbench.metrics.significance import compare
from odnbench.plan.disturbances import Disturbance
from odnbench.plan.entries import Published, PublishedRow
from odnbench.plan.protocols import Protocol
from odnbench.reports.document import Block, Paragraph, Section, Table, plain
from odnbench.reports.markdown import write_markdown
from odnbench.reports.paper_tables import paper_tables
from odnbench.reports.read import read_report
from odnbench.reports.report import caveat_of
from odnbench.reports.sections import document_of
from odnbench.reports.texts import with_interval
from odnbench.results.plans import PLAN
from odnbench.scoring.prediction_files import read_prediction_file
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Plan
from odnbench.sweep.run import run


def test_the_report_scores_the_predictions_on_disk(finished: Plan, tmp_path: Path) -> None:
    report = read_report(finished.file, finished.registry)
    assert [row.variant for row in report.rows] == ["mean-shape", "brnet", "odn"]
    trial = finished.trials[2]
    predictions = finished.folder(trial).predictions
    challenging = np.array(predictions.parts) == "300w/ibug"
    by_hand = nme_per_face(
        predictions.predicted[challenging],
        predictions.true[challenging],
        trial.protocol,
        trial.scheme,
    )
    assert report.rows[2].trials[0].scores["300w/challenging"].nme_percent == pytest.approx(
        100 * by_hand.mean()
    )
    text = write_markdown(report, tmp_path).read_text()
    assert "(rendered, 6 faces)" in text
    assert f"{100 * by_hand.mean():.2f} (" in text
    assert "Difference: of the mean NME from that of **BRNet+GM+LM+DM (ODN)**" in text
    assert "**One seed: holds for these runs, not for the variants.**" in text
    assert "7.21" in text  # the paper's BRNet, Table 4
    lines = text.splitlines()
    headers = [i for i, line in enumerate(lines) if line.startswith("| model |")]
    tables = [lines[header : lines.index("", header)] for header in headers]
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
    # The summary and a table for each column; a blank line would end a table.
    assert [len(table) - 2 for table in tables[:4]] == 4 * [len(report.rows)]
    assert tables[0][0].count("|") <= 6  # it fits the width of a page on GitHub
    named = {figure for line in lines for figure in re.findall(r"\]\(([^)]+)\)", line)}
    assert {"ablation-ced.png", "ablation-training.png", "ablation-examples.jpg"} <= named
    assert {path.name for path in tmp_path.iterdir()} == {*named, "ablation.md"}


def test_a_report_shows_the_examples_that_are_left(finished: Plan, tmp_path: Path) -> None:
    """People may remove them, which take most of the room beside the weights."""
    storage = Path(shutil.copytree(finished.file.parent, tmp_path / "runs" / "ablation"))
    pictures = sorted(storage.glob("*/examples.jpg"))
    removed, last = [path for path in pictures if path != pictures[0]], pictures[0]
    for path in removed:
        path.unlink()
    report = read_report(storage / "plan.json", finished.registry)
    assert write_markdown(report, tmp_path / "one").with_name("ablation-examples.jpg").is_file()
    assert report.exemplar is not None and report.exemplar.folder.path == last.parent
    last.unlink()
    report = read_report(storage / "plan.json", finished.registry)
    text = write_markdown(report, tmp_path / "none").read_text()
    assert "examples.jpg" not in text and "Test faces of" not in text
    assert "<summary><b>Published figures</b></summary>" in text


def test_several_seeds_become_one_row_with_their_deviation(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=brnet", "seed=0,1,2", "train.epochs=1")
    run(plan, run_inline, [])
    (row,) = read_report(plan.file, plan.registry).rows
    values = [trial.scores["300w/full"].nme_percent for trial in row.trials]
    assert len(row.trials) == 3
    errors = np.stack([trial.scores["300w/full"].nme for trial in row.trials])
    interval = mean_interval(errors)
    assert with_interval(row.number("nme", "300w/full")) == (
        f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f} "
        f"({100 * interval.low:.2f}–{100 * interval.high:.2f})"
    )


def test_another_tools_predictions_become_a_row_and_a_curve(finished: Plan, tmp_path: Path) -> None:
    trial = next(t for t in finished.trials if t.spec.variant == "odn")
    source = finished.folder(trial).path / "predictions.parquet"
    file = read_prediction_file(Path(shutil.copy(source, tmp_path / "foreign.parquet")))
    report = read_report(finished.file, finished.registry, [file])
    row, ours = report.foreign[0], report.rows[2]
    assert (row.title, row.parameters) == ("foreign", None)
    for column in report.columns:
        assert row.number("nme", column) == ours.number("nme", column)
    assert report.comparisons["300w/full"]["foreign"].text == "no detectable difference"
    path = write_markdown(report, tmp_path / "report")
    text = path.read_text()
    value = f"{row.number('nme', '300w/full').mean:.2f}"
    (bars,) = re.findall(rf"!\[NME in percent on 300w/full: .*; foreign {value}\.\]\((.*)\)", text)
    assert (path.parent / bars).is_file()
    assert "(not comparable as they stand: foreign: box rule the tool's own, not landmarks)" in text
    (mark,) = set(re.findall(r"\| foreign \| – \| [^|]*\) (.) \| no detectable difference", text))
    assert f"\n{mark} box rule the tool's own, not landmarks\n" in text
    assert "foreign: predictions of other tools, on pictures that they cropped" in text


def text_of(block: Block) -> str:
    """The paragraphs of a block and the captions and notes of its tables."""
    if isinstance(block, Section):
        return " ".join(map(text_of, block.blocks))
    if isinstance(block, Table):
        return " ".join(map(plain, (block.caption, *block.notes)))
    return plain(block.phrase) if isinstance(block, Paragraph) else ""


def with_seeds(variant: str, count: int, **others: Any) -> list[Made]:
    """Trials of a variant with so many seeds."""
    return [
        Made(variant, Faces(spread_errors(0.05, seed=seed)), seed, **others)
        for seed in range(count)
    ]


def test_a_caveat_is_that_of_the_row_with_the_fewest_seeds(tmp_path: Path) -> None:
    made = [made for v, n in {"odn": 3, "dm": 3, "brnet": 1}.items() for made in with_seeds(v, n)]
    report = report_of(tmp_path, *made)
    rows = (PublishedRow("A", 2019, {"challenging": 6.5}),)
    table = Published("t", "T", "S", "NME", "300w", "300w-paper", ("challenging",), True, rows)
    report = dataclasses.replace(report, published=(table,))
    assert report.caveat == "one seed: holds for these runs, not for the variants"
    document = document_of(report)
    assert document.summary is not None
    results = next(block for block in document.sections if block.title == "Results")
    for block in (document.summary, results, paper_tables(report)["published-t"]):
        assert "One seed: holds for these runs" in text_of(block)
        assert "Three seeds" not in text_of(block)


def test_a_file_beside_rows_with_many_seeds_limits_only_the_tables_that_it_is_in(
    tmp_path: Path,
) -> None:
    hidden = Faces(spread_errors(0.08))
    others = {"pasted": hidden, "disturbed": {Disturbance("occluders", 0.3): hidden}}
    made = [made for v in ("cut", "dm") for made in with_seeds(v, 4, **others)]
    bench = {"occluders": (0.0, 0.3)}
    report = report_of(tmp_path, *made, reference="dm", disturbances=bench)
    assert report.caveat == ""
    source = report.trials[0].folder.path / "predictions.parquet"
    file = read_prediction_file(Path(shutil.copy(source, tmp_path / "tool.parquet")))
    document = document_of(read_report(tmp_path / PLAN, REGISTRY, [file]))
    told = {block.title: text_of(block) for block in document.sections}
    assert document.summary is not None
    for text in (text_of(document.summary), told["Results"]):
        assert "One seed: holds for these runs" in text
    for title in (
        "Effects of the modules",
        "With occluders pasted on the test faces",
        "Disturbed test faces",
    ):
        assert told[title] and "One seed" not in told[title]


def test_effects_have_their_own_caveat(tmp_path: Path) -> None:
    report = report_of(tmp_path, *with_seeds("cut", 1), *with_seeds("dm", 1), reference="")
    assert report.comparisons == {}
    told = {block.title: text_of(block) for block in document_of(report).sections}
    assert "One seed: holds for these runs" in told["Effects of the modules"]


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_few_seeds_are_told_in_the_words_of_a_comparison(seeds: int) -> None:
    errors = np.random.default_rng(0).random((2, seeds, 20))
    (one,) = compare(dict(zip("ab", errors, strict=True)), "a", draws=100)
    assert caveat_of([one, None]) == one.caveat


def test_predictions_of_other_faces_are_refused_by_name(finished: Plan, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("face," + ",".join(f"x{i},y{i}" for i in range(68)) + "\nme" + ",1" * 136)
    with pytest.raises(OdnbenchError, match=r"other\.csv: it holds no face of 300w/common"):
        read_report(finished.file, finished.registry, [read_prediction_file(path)])


def test_published_figures_of_another_protocol_are_marked(finished: Plan) -> None:
    report = read_report(finished.file, finished.registry)
    assert "follow another protocol" not in page_of(report)
    unlike = dict.fromkeys(report.pipeline.published, "over inter-pupil, not inter-ocular")
    text = page_of(dataclasses.replace(report, unlike=unlike))
    assert "**Published figures** of 300w/challenging, 300w/common, 300w/full follow" in text
    assert "follow another protocol: over inter-pupil, not inter-ocular" in text
    # Beside ours it is marked, by what keeps it from being compared.
    marks = set(re.findall(r"\| 6\.67 ([†‡§¶]+) \|", text))
    told = "of real faces, not of rendered ones; over inter-pupil, not inter-ocular"
    assert any(f"\n{mark} {told}\n" in text for mark in marks)


def test_published_figures_of_another_normaliser_than_the_protocols_are_marked(
    finished: Plan,
) -> None:
    report = read_report(finished.file, finished.registry)
    text = page_of(report)
    assert "| CFSS | 2015 | 4.73 ‡ | 5.99 ‡ | inter-pupil | secondary |" in text
    assert "| TSR | 2017 | 4.36 † | 4.99 † | not stated here | secondary |" in text
    assert "| ODN | 2019 | **3.56** | **4.17** | inter-ocular | primary |" in text
    assert "‡ over inter-pupil, not inter-ocular as protocol 300w-paper: not comparable" in text
    assert "CFSS: its authors' code" in text
    # No row of Table 4 states a normaliser.
    assert "| method | year | challenging | source |" in text
    pupils = finished.registry.get(Protocol, "300w-pupil")
    *others, own = report.rows
    trial = own.trials[0]
    trial = dataclasses.replace(trial, trial=dataclasses.replace(trial.trial, protocol=pupils))
    rows = (*others, dataclasses.replace(own, trials=(trial,)))
    text = page_of(dataclasses.replace(report, rows=rows))
    assert "| CFSS | 2015 | 4.73 | 5.99 | inter-pupil | secondary |" in text
    assert "| ODN | 2019 | 3.56 ‡ | 4.17 ‡ | inter-ocular | primary |" in text
