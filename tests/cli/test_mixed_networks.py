"""Backbones of two libraries with weights of their own, several heads and seeds, in one run."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import Run

RESNET, LITE = "resnet18-imagenet-conv1-layer3.npz", "efficientnet-lite0-imagenet.safetensors"
PIPELINE = """
title = "Two backbones and three heads"
reference = {{ "model.backbone" = "resnet18", "model.head" = "regression" }}
columns = ["300w/helen-test"]

[base]
model.attach = "stride-16"
data.train = "300w/afw"
data.test = ["300w/helen-test"]
data.input_size = 64
train.epochs = 1

[axes]
variant = ["cut"]
start = [
    {{ backbone = "resnet18", pretrained = "{resnet}" }},
    {{ backbone = "timm:tf_efficientnet_lite0", pretrained = "{lite}" }},
]
model.head = ["regression", "local", "soft-argmax"]
seed = [0, 1]
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
@pytest.mark.usefixtures("without_mlflow")
def test_backbones_of_two_libraries_and_three_heads_are_one_run_with_one_report(
    shared_data: Path, tmp_path: Path, odnbench: Run
) -> None:
    weights = shared_data / "weights"
    written = PIPELINE.format(resnet=weights / RESNET, lite=weights / LITE)
    (tmp_path / "mixed.toml").write_text(written)
    ran = odnbench(
        "run", "mixed.toml", "--executor", "inline", "--require-data", "--allow-partial",
        "--data-root", str(shared_data / "300w-subset"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    results = list((tmp_path / "runs/mixed").glob("*/result.json"))
    assert len(results) == 12
    assert len({json.loads(path.read_text())["parameters"] for path in results}) == 6
    told = odnbench("report", "mixed")
    assert told.returncode == 0, told.stdout + told.stderr
    report = (tmp_path / "reports/out/mixed.md").read_text()
    for backbone in ("resnet18", "timm:tf_efficientnet_lite0"):
        for head in ("regression", "local", "soft-argmax"):
            assert any(backbone in line and head in line for line in report.splitlines())
