"""How a trained network is named: by a folder, a checkpoint, or as the best of a pipeline."""

import shutil
from pathlib import Path

import pytest

from odnbench.errors import OdnbenchError
from odnbench.results.models import find_model
from odnbench.sweep.plan import Plan


def test_the_best_network_is_that_of_the_lowest_validation_nme(finished: Plan) -> None:
    nmes = {
        finished.folder(trial).result.validation_nme_percent: finished.folder(trial).path
        for trial in finished.trials
    }
    found = find_model("best:ablation", finished.storage)
    assert found.path == nmes[min(nmes)]
    assert len(nmes) > 1


def test_a_folder_and_its_checkpoint_name_the_same_network(finished: Plan) -> None:
    folder = finished.folder(finished.trials[0])
    assert find_model(str(folder.path), Path("elsewhere")) == folder
    assert find_model(str(folder.checkpoint), Path("elsewhere")) == folder


def test_what_names_no_network_is_told(finished: Plan, tmp_path: Path) -> None:
    folder = finished.folder(finished.trials[0])
    pipeline = folder.path.parent
    bare = tmp_path / "bare"
    shutil.copytree(folder.path, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    unfinished = tmp_path / "runs" / "ablation"
    unfinished.mkdir(parents=True)
    shutil.copy(pipeline / "plan.json", unfinished)
    for model, storage, told in (
        (str(tmp_path / "no"), finished.storage, "neither the folder of a trial nor"),
        (str(pipeline), finished.storage, f"or say best:{pipeline.name}"),
        (str(bare), finished.storage, "holds no weights"),
        ("best:ablatoin", finished.storage, "there are results of ablation"),
        ("best:../x", finished.storage, "the name of a pipeline must begin"),
        ("best:ablation", tmp_path / "runs", "none of its trials is finished yet"),
    ):
        with pytest.raises(OdnbenchError, match=told):
            find_model(model, storage)
