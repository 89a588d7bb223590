"""The configuration file, numbers in the environment, and TOML as editors write it."""

import codecs
from pathlib import Path

import pytest
from helpers import Run

PIPELINE = 'title = "Vögel"\n[base]\ndata.train = "300w/train"\n[axes]\nvariant = ["odn"]\n'


@pytest.fixture
def configuration(
    user_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setitem(user_environment, "XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "config" / "odnbench"
    folder.mkdir(parents=True)
    return folder / "config.toml"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('data_rot = "x"', "unknown key 'data_rot'; did you mean 'data_root'?"),
        ('storage = "x"', "unknown key 'storage'. Known: data_root"),
        ("data_root = 3", "data_root: expected a text, got 3"),
        ('data_root = ["x"]', "data_root: expected a text, got ['x']"),
        ("data_root = true", "data_root: expected a text, got True"),
        ("[data_root]\nx = 1", "data_root: expected a text, got {'x': 1}"),
        ('data_root = "nowhere"', "data root nowhere is not a folder"),
        ('data_root = "x', "Unterminated string"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_in_a_line(
    odnbench: Run, configuration: Path, text: str, told: str
) -> None:
    configuration.write_text(text)
    done = odnbench("data", "doctor", "300w")
    assert done.returncode == 2
    assert told in done.stderr
    assert told == "data root nowhere is not a folder" or str(configuration) in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_configuration_that_is_no_file_is_told(odnbench: Run, configuration: Path) -> None:
    configuration.mkdir()
    done = odnbench("data", "doctor", "300w")
    assert done.returncode == 2
    assert f"{configuration}: Is a directory" in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_toml_is_read_as_editors_write_it(
    odnbench: Run, tmp_path: Path, encoding: str, line_end: str
) -> None:
    (tmp_path / "mine.toml").write_bytes(PIPELINE.replace("\n", line_end).encode(encoding))
    done = odnbench("run", "mine.toml", "-s", "variant=nobody")
    assert done.returncode == 2
    assert "unknown variant 'nobody'" in done.stderr  # so the file was read


def test_the_byte_order_of_the_mark_is_taken(odnbench: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    entry = '[both]\ntitle = "Größe"\nslot = "geometry"\ntarget = "a:B"\n'
    for mark, encoding in ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF16_LE, "utf-16-le")):
        (folder / "modules.toml").write_bytes(mark + entry.encode(encoding))
        done = odnbench("registry", "list", "modules", "--registry", str(folder))
        assert "Größe" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PIPELINE.encode("latin-1"), "line 1: byte 0xf6 is not UTF-8; save the file as UTF-8"),
        (b"\n# \x80\n", "line 2: byte 0x80 is not UTF-8; save the file as UTF-8"),
        (PIPELINE.encode("utf-16-le"), "UTF-16 without a byte-order mark; save the file as UTF-8"),
        (codecs.BOM_UTF16_LE + b"a", "cannot be read as that; save the file as UTF-8"),
        (b"title = \n", "Invalid value (at line 1"),
    ],
)
def test_toml_in_another_encoding_is_told_with_the_cure(
    odnbench: Run, tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    done = odnbench("run", "mine.toml")
    assert done.returncode == 2
    assert "mine.toml: " in done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("value", ["abc", "0", "-3", "4,", "4;2", "1.5", "²"])
def test_threads_that_are_no_number_are_told_before_anything_starts(
    odnbench: Run,
    user_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    value: str,
) -> None:
    monkeypatch.setitem(user_environment, "OMP_NUM_THREADS", value)
    done = odnbench("run", "ablation", "--dry-run")
    assert done.returncode == 2
    assert "OMP_NUM_THREADS must be a positive whole number, or a list of them" in done.stderr
    assert f"got '{value}'" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("value", ["", "1,2"], ids=["empty", "list"])
@pytest.mark.usefixtures("without_mlflow")
def test_threads_may_be_a_list_or_empty(
    odnbench: Run, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setitem(user_environment, "OMP_NUM_THREADS", value)
    tiny = ("input_size=32", "rendered_train=24", "rendered_test=6", "batch_size=8", "epochs=1")
    done = odnbench("run", "ablation", *(x for t in (*tiny, "variant=odn") for x in ("-s", t)))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("value", ["", "abc", "-1", "1e9"])
def test_a_width_that_is_no_number_changes_nothing(
    odnbench: Run, user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setitem(user_environment, "COLUMNS", value)
    done = odnbench("registry", "list", "slots")
    assert done.returncode == 0
    assert "Geometry-aware module (GM)" in done.stdout
