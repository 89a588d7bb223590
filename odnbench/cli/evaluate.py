"""`odnbench evaluate`: a trained network on the faces of another split."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from odnbench.cli.models import ModelArgument, model_of
from odnbench.cli.options import DataRootOption, RegistryOption, StorageOption
from odnbench.cli.places import check_writable
from odnbench.cli.score import DigitsOption, print_scores, whole_split
from odnbench.cli.terminal import cache_folder, data_root_of, load_registry, plain, say
from odnbench.errors import OdnbenchError

if TYPE_CHECKING:
    from odnbench.plan.protocols import Protocol
    from odnbench.plan.registry import Registry
    from odnbench.plan.trials import Trial


def evaluate_command(
    model: ModelArgument,
    dataset: Annotated[
        list[str], typer.Option(help="Split to predict, as 300w/helen-test; may be repeated.")
    ],
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="Protocol; may be repeated. Default: the trial's, or of other points the usual."
        ),
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

    A split of other points than the network predicts needs a map in the registry, as from WFLW's 98
    to 300W's 68. The file of predictions is one that `odnbench score` and `odnbench report --with`
    read.
    """
    from odnbench.results.predictions import write_predictions
    from odnbench.scoring.prediction_files import read_prediction_file
    from odnbench.scoring.score import score_files
    from odnbench.scoring.truth import truth_in_predictions

    folder = model_of(model, storage)
    registry = load_registry(registry_folders)
    trial = folder.trial
    check_writable(out, "--out")
    splits = list(dict.fromkeys(whole_split(name, registry, say) for name in dataset))
    rules = {split: _protocols(split, protocol or (), trial, registry) for split in splits}

    from odnbench.sweep.trained import evaluate, faces_for  # torch takes seconds

    for split in splits:
        tested = faces_for(
            trial, folder, split, registry, data_root_of(data_root), cache_folder(), rendered
        )
        if not (tested.coverage.whole or allow_partial):
            raise OdnbenchError(
                f"{split}: faces are missing, which --allow-partial goes on without: "
                f"{'; '.join(tested.notes)}"
            )
        for note in tested.notes:
            say(note)
        predictions = evaluate(trial, folder, tested, registry)
        out.mkdir(parents=True, exist_ok=True)
        file = out / f"{trial.spec.variant}-{trial.id}-{split.replace('/', '-')}.parquet"
        write_predictions(predictions, file)
        there = replace(trial, coverage=(trial.coverage[0], tested.coverage))
        truth = truth_in_predictions(split, predictions, there, registry)
        assert truth is not None
        written = read_prediction_file(file)
        box = trial.box.name if tested.map is None else f"{trial.box.name} ({tested.map.name})"
        for rule in rules[split]:
            scored = score_files(
                [replace(written, title=trial.title)],
                truth,
                rule,
                registry,
                allow_partial=allow_partial,
                box=box,
            )
            print_scores(scored, (), digits)
        say(f"{split}: {plain(str(file))}")


def _protocols(
    split: str, names: Iterable[str], trial: "Trial", registry: "Registry"
) -> "list[Protocol]":
    """The protocols `names`, or, where none is named, that of the trial for a split of its points
    and the usual one for others.

    Raises OdnbenchError for a protocol of other points than the split's, and for a split whose
    points the network's cannot be mapped to.
    """
    from odnbench.datasets.scheme_maps import map_between
    from odnbench.plan.protocols import Protocol

    entry, _ = registry.split(split)
    is_mapped = map_between(trial.scheme, entry, registry) is not None
    usual = registry.protocol_of(entry) if is_mapped else trial.protocol
    protocols = [registry.get(Protocol, name) for name in names] or [usual]
    for one in protocols:
        if one.scheme != entry.scheme:
            raise OdnbenchError(
                f"protocol '{one.name}' has the points of scheme {one.scheme}, and {split} those "
                f"of scheme {entry.scheme}; name a protocol of that scheme"
            )
    return protocols
