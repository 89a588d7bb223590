"""500 configurations: what a person writes into config.toml, a pipeline's file and -s is taken as
it is meant, or refused in one line that names the file and the key.
"""

import json
from pathlib import Path

import pytest
from helpers import REGISTRY, Run, fuzz
from hypothesis import given
from hypothesis import strategies as st

from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1")
ODD_VALUES = (
    "inf", "-inf", "nan", "1e400", "", " ", "0x10", "1_000", "true", "-1", "-0", "3.5", "1e-3", "é",
    "[x]", "[/b]", "a\\", "{}", "1,2", "\t", "none", "'", '"', "=", "9" * 400, "½", "٣",
)  # fmt: skip
KEYS = (
    "alpha", "beta", "lambda", "zeta", "criterion", "unit", "epochs", "batch_size", "learning_rate",
    "optimizer", "input_size", "margin", "validation_fraction", "rendered_train", "pasted_test",
    "rotation_deg", "flip", "occluders", "seed", "variant", "backbone", "head", "geometry",
    "train.epocs", "test",
)  # fmt: skip
TOML_VALUES = st.one_of(
    st.sampled_from(("inf", "nan", "1e400", "true", "[]", "{}", "[[1]]", "-1", "0", '""', "x", "")),
    st.sampled_from(ODD_VALUES).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.integers(-(10**30), 10**30).map(str),
)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a letter in its name that encodings write differently."""
    folder = tmp_path_factory.mktemp("faces-é")
    render_layout(REGISTRY.get(Dataset, "cofw"), folder / "cofw", count=1, size=48, seed=0)
    return folder


@given(
    key=st.sampled_from(("data_root", "data_root", "data_rot", "dataroot", "root.data_root")),
    value=st.none() | TOML_VALUES,
    encoding=st.sampled_from(ENCODINGS),
    before=st.sampled_from(("", "# a comment: é\n", "\n\n", "[section]\n", "data_root = 1\n")),
)
@fuzz(max_examples=200)
def test_the_configuration_file_is_understood_or_named(
    key: str,
    value: str | None,
    encoding: str,
    before: str,
    data_root: Path,
    odnbench: Run,
    user_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    file = Path(user_environment["HOME"]) / ".config" / "odnbench" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = f"{before}{key} = {json.dumps(str(data_root), ensure_ascii=False) if value is None else value}\n"  # fmt: skip  # noqa: E501
    file.write_bytes(text.encode(encoding, errors="replace"))
    try:
        done = odnbench("data", "doctor", "--json")
    finally:
        file.unlink()
    understood = key == "data_root" and value is None and encoding != "latin-1"
    if understood and "=" not in before and "[" not in before:
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[0]["dataset"] == "cofw"
    else:
        assert done.returncode == 2 and done.stderr.startswith("error: ")
        assert "config.toml" in done.stderr or "data root" in done.stderr
        assert done.stderr.count("\n") == 1


@given(
    base=st.lists(st.tuples(st.sampled_from(KEYS), TOML_VALUES), max_size=2),
    overrides=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(ODD_VALUES)), max_size=2),
    encoding=st.sampled_from(ENCODINGS[:3]),
    name=st.sampled_from(("mine", "my [b] pipeline", "é", "a.b")),
)
@fuzz(max_examples=300)
def test_a_pipeline_that_cannot_run_is_refused_in_lines_of_its_own(
    base: list[tuple[str, str]],
    overrides: list[tuple[str, str]],
    encoding: str,
    name: str,
    odnbench: Run,
    tmp_path: Path,
) -> None:
    lines = ['title = "Mine [/é]"', 'reference = "odn"', "[base]"]
    lines += [f"{key} = {value}" for key, value in base]
    lines += ["[axes]", 'variant = ["odn"]', "seed = [0]", ""]
    (tmp_path / f"{name}.toml").write_bytes("\n".join(lines).encode(encoding))
    typed = [argument for key, value in overrides for argument in ("-s", f"{key}={value}")]
    # Nothing can be trained: there is no such folder.
    done = odnbench("run", f"{name}.toml", *typed, "--data-root", "nowhere")
    assert done.returncode == 2 and done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr and done.stderr.count("\n") <= 8
