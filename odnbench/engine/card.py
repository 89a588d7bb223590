"""The model card of a trained network: README.md in the folder of its trial.

Markdown with a header in YAML, as model hubs read it (Mitchell et al., Model cards for model
reporting, FAT* 2019). It says what the network is, on which faces it was trained, its numbers with
their protocol and intervals, what they do not say, and under which terms the faces were given.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from odnbench import __version__
from odnbench.errors import one_line
from odnbench.plan.entries import Dataset, Slot, Variant
from odnbench.plan.protocols import FLIP_TEST
from odnbench.plan.registry import Registry
from odnbench.plan.specs import NONE
from odnbench.plan.trials import Coverage, Trial
from odnbench.results.predictions import Predictions
from odnbench.results.records import Result
from odnbench.scoring.scores import Score, scores

_SPECIAL = str.maketrans({character: f"\\{character}" for character in r"\`*_[]<>|#"})


def card_of(trial: Trial, result: Result, predictions: Predictions, registry: Registry) -> str:
    """The card of the network of `trial`, which has predicted its test faces."""
    found = scores(predictions, trial, registry, trial.spec.data.test)
    boxes = "--detector centerface" if _is_fitted(trial) else "--boxes boxes.csv"
    trained, split = trial.coverage[0], _plain(trial.coverage[0].split)
    epochs = trial.spec.train.epochs
    training = f"{epochs} epochs, of which epoch {result.best_epoch} was kept"
    sections = {
        f"# {_plain(trial.title)}": [_network(trial, result, registry)],
        "## Training": [
            f"{trained.faces} faces of {split}{_which(trained)}; "
            f"{training if epochs else 'no weight was trained on them'}; seed {trial.spec.seed}. "
            f"The spec stands in trial.json beside this card; its content id is {trial.id}. Made "
            f"by odnbench {__version__} with torch {result.torch}, on {result.device} in "
            f"{result.precision}."
        ],
        "## Numbers": [_table(found), *_of_numbers(trial, result)],
        "## Limits": [f"- {limit}" for limit in _limits(trial)],
        "## Terms": [f"{split}: {licence_of(trained, registry)}."] * bool(epochs)
        + [*_of_weights(trial, result)],
        "## Use": [
            "```console\n"
            f"$ odnbench predict THIS_FOLDER photos/ {boxes}\n"
            "$ odnbench export THIS_FOLDER --out network.onnx\n"
            "```"
        ],
    }
    header = _header(trial, found)
    texts = ["\n".join(["---", *(f"{key}: {header[key]}" for key in header), "---"])]
    for title, paragraphs in sections.items():
        texts += [title, ("\n" if title == "## Limits" else "\n\n").join(paragraphs)]
    return "\n\n".join(texts) + "\n"


def licence_of(trained: Coverage, registry: Registry) -> str:
    """What is known of the terms under which the faces of `trained` may be used."""
    if trained.rendered:
        return "the faces were rendered by odnbench: no terms of a data set apply"
    name = trained.split.partition("/")[0]
    known = registry.all(Dataset)
    stated = known[name].licence if name in known else ""
    return stated or "not recorded: ask those who publish the data set before passing this file on"


def _network(trial: Trial, result: Result, registry: Registry) -> str:
    """What the network is and takes."""
    model, data = trial.spec.model, trial.spec.data
    filled = [model.module(slot) for slot in registry.all(Slot) if model.module(slot) != NONE]
    parts = (
        f"backbone {_plain(model.backbone)} to {_plain(model.attach)}, modules "
        f"{_plain(', '.join(filled)) or 'none'}, head {_plain(model.head)}"
    )
    target = registry.get(Variant, trial.spec.variant).network
    return (
        f"A network that predicts {trial.scheme.points} facial landmarks (scheme "
        f"{trial.scheme.name}) from a crop of {data.input_size} pixels: {trial.box.describe()}. "
        f"Variant {_plain(trial.spec.variant)}: "
        f"{parts if target == Variant.network else _plain(target)}; {result.parameters:,} "
        "parameters."
    )


def _table(found: list[Score]) -> str:
    lines = ["| faces | number | NME, % | 95 % interval |", "| --- | --- | --- | --- |"]
    for score in found:
        interval = score.interval
        ends = "–" if interval is None else f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"
        cells = (_plain(score.column), score.coverage, f"{score.nme_percent:.3f}", ends)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _of_numbers(trial: Trial, result: Result) -> Iterator[str]:
    """How the numbers came about."""
    yield f"Protocol {trial.protocol.name}: {trial.protocol.describe()}."
    predicted = FLIP_TEST if trial.spec.data.flip_test else "each face was predicted once"
    chosen = {
        "validation": "on validation faces, which are part of the training split",
        "last": "as the last one",
        "test": "ON THE TEST FACES, so that the numbers are too low",
    }[trial.spec.train.select]
    yield (
        f"Predicted: {predicted}. The epoch was chosen {chosen}; validation NME "
        f"{result.validation_nme_percent:.3f} %. Intervals are over the faces, for this one "
        "network: how much networks of other seeds differ is not part of them."
    )


def _limits(trial: Trial) -> Iterator[str]:
    """What the numbers do not say."""
    trained, *tested = trial.coverage
    if trained.rendered and trial.spec.train.epochs:
        yield "Trained on rendered faces: it is a demonstration, and of no use on photographs."
    share = trial.spec.data.train_fraction
    if share < 1 and trial.spec.train.epochs:
        yield f"Of the training faces that were not validated on, {share:.1%} were trained on."
    if any(split.rendered for split in tested):
        yield "Tested on rendered faces: the errors say nothing of photographs."
    if any(not split.rendered and split.official not in (0, split.faces) for split in tested):
        yield "Tested on a part of a split: the errors are not those of the whole split."
    yield "Boxes of another kind than it was trained with move its points" + (
        "; `odnbench predict` brings a detector's box to it." if _is_fitted(trial) else "."
    )
    yield "Errors were not measured by age, sex or skin colour, which no annotation here tells."
    yield "Confidence and P, where the network has them, rank its points and are not calibrated."


def _is_fitted(trial: Trial) -> bool:
    """Whether a detector's box can be brought to its box rule."""
    return trial.box.source == "landmarks"


def _of_weights(trial: Trial, result: Result) -> Iterator[str]:
    """What the network has of others."""
    pretrained = trial.spec.model.pretrained
    name = _plain(PurePath(pretrained).name if "/" in pretrained else pretrained)
    if not result.parameters:  # the mean shape
        yield "The network has no weights."
    elif pretrained != NONE and trial.spec.train.epochs:
        yield f"Training began from the weights {name}, which have terms of their own."
    elif pretrained != NONE:
        yield f"The network is that of {name}; its terms are not known here."


def _header(trial: Trial, found: list[Score]) -> Mapping[str, str]:
    """Key → value of the header; JSON is YAML."""
    results = [
        {
            "task": {"type": "keypoint-detection", "name": "facial landmark detection"},
            "dataset": {
                "type": score.column.partition("/")[0],
                "name": f"{score.column} ({score.coverage})",
            },
            "metrics": [
                {
                    "type": "nme",
                    "name": f"NME in percent, {trial.protocol.name}",
                    "value": round(score.nme_percent, 4),
                }
            ],
        }
        for score in found
    ]
    values: dict[str, Any] = {
        "library_name": "odnbench",
        "pipeline_tag": "keypoint-detection",
        "tags": ["facial-landmark-detection"],
        "model-index": [{"name": one_line(trial.title), "results": results}],
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}


def _which(trained: Coverage) -> str:
    if trained.rendered:
        return " (rendered)"
    return f" (of {trained.official})" if trained.official not in (0, trained.faces) else ""


def _plain(text: str) -> str:
    """`text` for Markdown, in one line, as it is."""
    return one_line(text).translate(_SPECIAL)
