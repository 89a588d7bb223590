"""docs/extending.md: every example does what the page says of it."""

import re
from pathlib import Path

import pytest
import torch
from extending import PAGE, write_examples

from odnbench.plan.entries import Criterion
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.registry import FAMILIES, Registry, import_target
from odnbench.testing.contracts import check_added


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples, whose package can be imported."""
    write_examples(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_every_entry_of_the_page_keeps_its_contract(project: Path) -> None:
    folder = project / "mylab" / "registry"
    findings = list(check_added(Registry.load([folder]), [folder]))
    assert not [finding for finding in findings if finding.fault]
    assert {finding.family for finding in findings} == {
        "backbones", "slots", "modules", "heads", "criteria", "augmentations", "datasets",
        "metrics", "formats",
    }  # fmt: skip


def test_the_pipeline_of_the_page_has_a_row_for_each_combination(project: Path) -> None:
    registry = Registry.load([project / "mylab" / "registry"])
    pipeline = load_pipeline(str(project / "mine.toml"))
    assert len(resolve(pipeline, registry)) == 2 * 2 * 3


def test_log_cosh_is_what_it_is_called(project: Path) -> None:
    entry = Registry.load([project / "mylab" / "registry"]).get(Criterion, "log-cosh")
    true, predicted = torch.zeros(1, 2, 2), torch.tensor([[[0.02, -0.06], [0.0, 0.1]]])
    found = import_target(entry.target)(predicted, true, **entry.options)
    expected = torch.cosh(predicted / 0.02).log().sum()
    torch.testing.assert_close(found, expected[None])


def test_the_page_names_every_family_that_can_be_extended_in_code() -> None:
    named = set(re.findall(r"`(\w+)\.toml`", PAGE.read_text(encoding="utf-8")))
    assert named <= FAMILIES.keys()
    assert {"backbones", "heads", "modules", "criteria", "augmentations", "datasets"} <= named
