"""Plans, executors and reports, over tiny rendered faces."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import TINY, plan_in

from odnbench.errors import OdnbenchError
from odnbench.metrics.intervals import mean_interval
from odnbench.metrics.nme import nme_per_face
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.protocols import Protocol
from odnbench.plan.registry import Registry
from odnbench.plan.trials import Coverage
from odnbench.reports.markdown import write_markdown
from odnbench.reports.read import read_report
from odnbench.reports.rescoring import protocols_for, rescore
from odnbench.results.plans import plan_files
from odnbench.scoring.prediction_files import read_prediction_file
from odnbench.sweep.inline import run_inline
from odnbench.sweep.plan import Places, Plan, make_plan
from odnbench.sweep.run import run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Plan]:
    plan = plan_in(tmp_path_factory.mktemp("runs"), cache, "variant=mean-shape,brnet,odn")
    assert run(plan, run_inline, []).complete
    yield plan


def test_a_plan_without_data_says_that_faces_are_rendered(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache)
    assert len(plan.trials) == 10  # nine variants and the mean shape
    assert any("300w is not on this machine" in note for note in plan.notes)
    assert all(trial.rendered for trial in plan.trials)
    assert {str(c) for c in plan.trials[0].coverage} == {"rendered, 24 faces", "rendered, 6 faces"}


def test_a_plan_that_has_changed_says_so_and_reuses_what_it_can(
    finished: Plan, cache: Path
) -> None:
    storage = finished.storage
    assert not plan_in(storage, cache, "variant=mean-shape,brnet,odn").change
    other = plan_in(storage, cache, "variant=brnet,odn", "seed=0,1")
    assert "2 of its 3 trials are in this one, 2 are new" in other.change
    assert [plan_in(storage, cache, "variant=odn").folder(t).finished for t in other.trials] == [
        True, False, True, False,
    ]  # fmt: skip


def test_the_content_id_follows_the_numbers_and_nothing_else(tmp_path: Path, cache: Path) -> None:
    def identity(*overrides: str, storage: Path = tmp_path) -> str:
        return plan_in(storage, cache, "variant=odn", *overrides).trials[0].id

    assert identity() == identity(storage=tmp_path / "elsewhere")
    assert identity() != identity("loss.beta=1e-5")
    assert identity() != identity("seed=1")
    assert identity() != identity("data.rendered_test=7")


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
    assert "### Against BRNet+GM+LM+DM (ODN)" in text
    assert "One seed: holds for these runs, not for the variants" in text
    assert "7.21" in text  # the paper's BRNet, Table 4
    lines = text.splitlines()
    headers = [i for i, line in enumerate(lines) if line.startswith("| model |")]
    lengths = (len(report.rows), len(report.rows) - 1, 1, 1)  # results, comparisons, P, M
    for header, rows in zip(headers, lengths, strict=True):
        table = lines[header : lines.index("", header)]
        assert len(table) == 2 + rows  # a blank line would end the table
        assert len({line.count("|") for line in table}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ablation-ced.png",
        "ablation-examples.jpg",
        "ablation-training.png",
        "ablation.md",
    ]


def test_several_seeds_become_one_row_with_their_deviation(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=brnet", "seed=0,1,2", "train.epochs=1")
    run(plan, run_inline, [])
    (row,) = read_report(plan.file, plan.registry).rows
    values = [trial.scores["300w/full"].nme_percent for trial in row.trials]
    assert row.seeds == 3
    errors = np.stack([trial.scores["300w/full"].nme for trial in row.trials])
    interval = mean_interval(errors)
    assert row.nme("300w/full") == (
        f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f} "
        f"({100 * interval.low:.2f}–{100 * interval.high:.2f})"
    )


def test_another_tools_predictions_become_a_row_and_a_curve(finished: Plan, tmp_path: Path) -> None:
    trial = next(t for t in finished.trials if t.spec.variant == "odn")
    source = finished.folder(trial).path / "predictions.parquet"
    file = read_prediction_file(Path(shutil.copy(source, tmp_path / "foreign.parquet")))
    report = read_report(finished.file, finished.registry, [file])
    row, ours = report.foreign[0], report.rows[2]
    assert (row.title, row.parameters) == ("foreign", "–")
    for column in report.columns:
        assert row.nme(column) == ours.nme(column)
    assert report.comparisons["300w/full"]["foreign"].text == "no detectable difference"
    text = write_markdown(report, tmp_path / "report").read_text()
    assert "| foreign | – |" in text
    assert "foreign: predictions of other tools, on pictures that they cropped" in text


def test_predictions_of_other_faces_are_refused_by_name(finished: Plan, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("face," + ",".join(f"x{i},y{i}" for i in range(68)) + "\nme" + ",1" * 136)
    with pytest.raises(OdnbenchError, match=r"other\.csv: it holds no face of 300w/common"):
        read_report(finished.file, finished.registry, [read_prediction_file(path)])


def test_effects_of_modules_are_told_where_all_their_combinations_were_run(
    tmp_path: Path, cache: Path
) -> None:
    variants = "brnet,gm,dm,lm,gm-dm,dm-lm,gm-lm,odn"
    plan = plan_in(tmp_path, cache, f"variant={variants}", "train.epochs=1")
    run(plan, run_inline, [])
    report = read_report(plan.file, plan.registry)
    effects = {e.modules: e for e in report.factorial["300w/full"]}
    assert len(effects) == 7
    mean = {row.variant: row.errors("300w/full").mean() for row in report.rows}  # type: ignore[union-attr]
    with_gm = [mean[v] for v in ("gm", "gm-dm", "gm-lm", "odn")]
    without = [mean[v] for v in ("brnet", "dm", "lm", "dm-lm")]
    by_hand = np.mean(with_gm) - np.mean(without)
    assert effects["GM",].interval.estimate == pytest.approx(by_hand)
    assert "| DM × GM × LM |" in report.markdown([])
    part = dataclasses.replace(report, rows=report.rows[1:])
    assert part.factorial == {}


def test_published_figures_of_another_protocol_are_marked(finished: Plan) -> None:
    report = read_report(finished.file, finished.registry)
    assert "†" not in report.markdown([])
    unlike = dict.fromkeys(report.pipeline.published, "over inter-pupil, not inter-ocular")
    text = dataclasses.replace(report, unlike=unlike).markdown([])
    assert "paper 300w/challenging†" in text
    assert "follow another protocol: over inter-pupil, not inter-ocular" in text


def test_rescoring_ranks_the_variants_under_each_protocol(finished: Plan) -> None:
    report = read_report(finished.file, finished.registry)
    protocols = protocols_for(report, finished.registry, None, everything=True)
    assert {"300w-paper", "300w-pupil", "300w-eq10"} <= {p.name for p in protocols}
    assert {p.box for p in protocols} == {report.protocol.box}
    for rescored in rescore(report, protocols, finished.registry):
        own = [p.name for p in rescored.protocols].index("300w-paper")
        for row, nme in zip(report.rows, rescored.nme_percent, strict=True):
            mean = np.mean([s.nme_percent for s in row.scores_of(rescored.column)])
            assert nme[own] == pytest.approx(mean)
        assert sorted(ranks[own] for ranks in rescored.ranks) == [1, 2, 3]
    with pytest.raises(OdnbenchError, match="protocol 'wflw' has 98 points, the run 68"):
        protocols_for(report, finished.registry, ["wflw"], everything=False)


def test_unlike_protocols_do_not_share_a_report(finished: Plan, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    first = finished.trials[0]
    other = dataclasses.replace(
        first, id="other", protocol=dataclasses.replace(first.protocol, normaliser="inter-pupil")
    )
    plan = dataclasses.replace(finished, storage=storage, trials=(first, other))
    plan.save()
    for trial in plan.trials:
        folder = plan.folder(trial)
        folder.start(trial)
        folder.finish(finished.folder(first).result, finished.folder(first).predictions)
    with pytest.raises(OdnbenchError, match="unlike protocols"):
        read_report(plan.file, plan.registry)


def test_no_results_are_told_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(OdnbenchError, match="odnbench run ablation"):
        plan_files(tmp_path, [])


def test_a_weights_file_is_found_from_any_folder(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's workers do not stand in the folder in which the command was given."""
    monkeypatch.chdir(tmp_path)
    np.savez("start.npz", **{"conv1.weight": np.zeros((16, 3, 7, 7), np.float32)})
    overrides = ("variant=brnet", "model.pretrained=start.npz", "train.epochs=1")
    plan = plan_in(tmp_path / "runs", cache, *overrides)
    assert plan.trials[0].spec.model.pretrained == str(tmp_path / "start.npz")
    monkeypatch.chdir(cache)
    assert run(plan, run_inline, []).complete


def test_trials_that_differ_in_a_weight_are_told_apart_by_their_titles(
    tmp_path: Path, cache: Path
) -> None:
    pipeline = dataclasses.replace(
        load_pipeline("ablation"), axes={"variant": ["odn"], "loss.eta": [0.0, 1e-6]}
    )
    plan = make_plan(pipeline, Registry.load(), Places(tmp_path, cache), overrides=TINY)
    assert len({trial.title for trial in plan.trials}) == 2


def test_what_no_column_shows_is_told(tmp_path: Path, cache: Path) -> None:
    plan = plan_in(tmp_path, cache, "variant=brnet", "data.test=300w/common,300w/private")
    assert "300w/private is tested on, but no column of the report shows it" in plan.notes


def test_a_column_is_rendered_where_its_own_faces_are(finished: Plan) -> None:
    trial = finished.trials[0]
    real = Coverage("cofw68/test", 507, 507, False)
    mixed = dataclasses.replace(trial, coverage=(*trial.coverage, real))
    assert mixed.rendered
    assert mixed.tested_on_rendered("300w/common")
    assert not mixed.tested_on_rendered("cofw68/test")


def test_a_protocol_of_visible_points_needs_a_data_set_that_knows_them(finished: Plan) -> None:
    report = read_report(finished.file, finished.registry)
    visible = finished.registry.get(Protocol, "cofw68-pupil-visible")
    assert list(rescore(report, [visible], finished.registry)) == []
    with pytest.raises(OdnbenchError, match="300w does not say which points are occluded"):
        resolve(
            load_pipeline("ablation"), finished.registry,
            overrides=["data.protocol=cofw68-pupil-visible"],
        )  # fmt: skip
