"""A number that is infinite or not a number is refused as that, wherever people can write one."""

import re
from pathlib import Path

import pytest
from helpers import Run


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("learning_rate", "inf"),
        ("learning_rate", "1e400"),
        ("train.learning_rate", "nan"),
        ("alpha", "-inf"),
        ("zeta", "nan"),
        ("margin", "inf"),
        ("augment.scale", "Infinity"),
        ("validation_fraction", "nan"),
    ],
)
def test_an_override_must_be_finite(odnbench: Run, key: str, value: str) -> None:
    done = odnbench("run", "ablation", "--dry-run", "-s", f"{key}={value}")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert re.search(rf"-s \w+\.{key.rpartition('.')[2]}: must be a finite number", line)
    assert line.endswith(f", got '{value}'")


@pytest.mark.parametrize("value", ["inf", "nan", "1e400", "-inf"])
def test_a_number_of_a_settings_file_must_be_finite(
    odnbench: Run, tmp_path: Path, value: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f"[train]\nlearning_rate = {value}\n")
    done = odnbench("run", "ablation", "--dry-run", "--settings", str(file))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    shown = value.replace("1e400", "inf")
    assert line.endswith(f"{file}: learning_rate must be a finite number, got {shown}")


@pytest.mark.parametrize(
    ("family", "text", "key"),
    [
        ("weights", '[omega]\ntitle = "t"\nsymbol = "w"\ndefault = 1\nhigh = inf', "high"),
        ("weights", '[omega]\ntitle = "t"\nsymbol = "w"\ndefault = nan', "default"),
        ("protocols", '[mine]\ntitle = "t"\nscheme = "68"\nfailure = inf', "failure"),
    ],
)
def test_a_number_of_a_registry_or_a_search_range_must_be_finite(
    odnbench: Run, tmp_path: Path, family: str, text: str, key: str
) -> None:
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / f"{family}.toml"
    file.write_text(text + "\n")
    done = odnbench("registry", "list", family, "--registry", str(tmp_path / "mine"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {file}: {key} must be a finite number, got ")


def test_a_number_of_a_pipeline_must_be_finite(odnbench: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('title = "t"\n[set]\n"train.learning_rate" = inf\n')
    done = odnbench("run", str(file), "--dry-run")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == f"error: {file}: train.learning_rate must be a finite number, got inf"


def test_a_whole_number_is_asked_for_where_one_belongs(odnbench: Run) -> None:
    for value in ("inf", "1e400", "nan"):
        done = odnbench("run", "ablation", "--dry-run", "-s", f"epochs={value}")
        assert done.returncode == 2
        assert done.stderr.endswith(f"train.epochs: expected a whole number, got '{value}'\n")
