"""Content ids: the same for the same numbers, over versions of odnbench too."""

import pytest

from odnbench.plan.ids import trial_id
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import Registry

REGISTRY = Registry.load()


@pytest.mark.parametrize(
    ("variant", "identity"),
    [
        ("mean-shape", "c148b6c073eec1ec"),
        ("brnet", "11e8850f43ba9601"),
        ("lm", "497a7bdef3bd6094"),
        ("odn-without-l1", "7f691182bcb4e0a1"),
        ("odn", "638fcb1f23ed3ffa"),
    ],
)
def test_ids_of_specs_that_were_there_before_stay(variant: str, identity: str) -> None:
    """As commit 5e91834 gave them, where slots, heads and words for layers were not yet known."""
    overrides = [f"variant={variant}", "pretrained=none"]
    (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
    assert trial_id(spec, REGISTRY, "faces") == identity


@pytest.mark.parametrize("word", ["whole", "last-unit", "stride-8", "stride-16", "stride-32"])
def test_a_word_and_the_layer_that_it_means_have_one_id(word: str) -> None:
    layers = {
        "whole": "layer4", "last-unit": "layer4.0", "stride-8": "layer2", "stride-16": "layer3",
        "stride-32": "layer4",
    }  # fmt: skip
    ids = []
    for attach in (word, layers[word]):
        overrides = ["variant=odn", "pretrained=none", f"attach={attach}"]
        (spec,) = resolve(load_pipeline("ablation"), REGISTRY, overrides=overrides)
        ids.append(trial_id(spec, REGISTRY, "faces"))
    assert ids[0] == ids[1]
