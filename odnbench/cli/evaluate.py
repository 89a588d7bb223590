"""`odnbench evaluate`: a trained network on the faces of another split."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from odnbench.cli.models import ModelArgument, model_of
from odnbench.cli.options import DataRootOption, RegistryOption, StorageOption
from odnbench.cli.places import check_writable
from odnbench.cli.score import DigitsOption, print_scores, whole_split
from odnbench.cli.terminal import cache_folder, data_root_of, load_registry, plain, say
from odnbench.errors import OdnbenchError


def evaluate_command(
    model: ModelArgument,
    dataset: Annotated[
        list[str], typer.Option(help="Split to predict, as 300w/helen-test; may be repeated.")
    ],
    protocol: Annotated[
        list[str] | None, typer.Option(help="Protocol; may be repeated. Default: the trial's.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for predictions, a Parquet file for each split.")
    ] = Path("evaluated"),
    rendered: Annotated[
        int | None, typer.Option(help="Faces to render where a data set is absent.", min=1)
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option(help="Go on where faces of a split are missing.")
    ] = False,
    digits: DigitsOption = 3,
    storage: StorageOption = "runs",
    data_root: DataRootOption = None,
    registry_folders: RegistryOption = None,
) -> None:
    """Predict the faces of a split with a trained network, and score the predictions.

    The split must have the points that the network predicts. The file of predictions is one that
    `odnbench score` and `odnbench report --with` read.
    """
    from odnbench.plan.protocols import Protocol
    from odnbench.results.predictions import write_predictions
    from odnbench.scoring.prediction_files import read_prediction_file
    from odnbench.scoring.score import score_files
    from odnbench.scoring.truth import truth_in_predictions

    folder = model_of(model, storage)
    registry = load_registry(registry_folders)
    trial = folder.trial
    rules = [registry.get(Protocol, name) for name in protocol or ()] or [trial.protocol]
    for rule in rules:
        if rule.scheme != trial.scheme.name:
            raise OdnbenchError(
                f"protocol '{rule.name}' has the points of scheme {rule.scheme}, and the network "
                f"predicts those of scheme {trial.scheme.name}; name a protocol of that scheme"
            )
    check_writable(out, "--out")
    splits = list(dict.fromkeys(whole_split(name, registry, say) for name in dataset))
    for split in splits:
        registry.split(split)

    from odnbench.sweep.trained import evaluate, faces_for  # torch takes seconds

    for split in splits:
        tested = faces_for(
            trial, split, registry, data_root_of(data_root), cache_folder(), rendered
        )
        if not (tested.coverage.whole or allow_partial):
            raise OdnbenchError(
                f"{split}: faces are missing, which --allow-partial goes on without: "
                f"{'; '.join(tested.notes)}"
            )
        for note in tested.notes:
            say(note)
        predictions = evaluate(trial, folder, tested.faces, registry)
        out.mkdir(parents=True, exist_ok=True)
        file = out / f"{trial.spec.variant}-{trial.id}-{split.replace('/', '-')}.parquet"
        write_predictions(predictions, file)
        there = replace(trial, coverage=(trial.coverage[0], tested.coverage))
        truth = truth_in_predictions(split, predictions, there, registry)
        assert truth is not None
        written = read_prediction_file(file)
        for rule in rules:
            scored = score_files(
                [replace(written, title=trial.title)],
                truth,
                rule,
                registry,
                allow_partial=allow_partial,
                box=trial.box.name,
            )
            print_scores(scored, (), digits)
        say(f"{split}: {plain(str(file))}")
