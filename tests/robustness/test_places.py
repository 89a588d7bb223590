"""Folders that cannot be made, written or named, homes that are not there, and pipelines' names."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from helpers import Run

from odnbench.cli.places import check_writable

TINY = [
    "-s", "input_size=32", "-s", "rendered_train=24", "-s", "rendered_test=6", "-s", "batch_size=8",
    "-s", "epochs=1", "-s", "variant=odn",
]  # fmt: skip
INLINE = ["run", "ablation", "--executor", "inline", *TINY]
NOT_UTF8 = os.fsdecode(b"\xff")
PIPELINE = 'title = "x"\n[base.model]\npretrained = "none"\n[axes]\nvariant = ["odn"]\n'
LONG = 300 * "x"


@pytest.fixture
def environment(
    user_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Changes the environment of the command by `setitem(user_environment, …)`, for one test."""
    return monkeypatch


@pytest.mark.parametrize("command", [INLINE, ["run", "ablation", *TINY], ["tune", "--dry-run"]])
@pytest.mark.parametrize(
    ("storage", "told"),
    [
        ("file", "file cannot be written: Not a directory; give another --storage"),
        ("file/below", "file/below cannot be written: Not a directory"),
        ("/dev/null/x", "/dev/null/x cannot be written: Not a directory"),
        (LONG, "cannot be written: File name too long"),
        ("/".join([200 * "x"] * 20), "cannot be written: File name too long"),
        (NOT_UTF8, "the name of the folder is not UTF-8; rename it, or give another --storage"),
        ("/proc/nothing", "/proc/nothing cannot be written: No such file or directory"),
        ("", "--storage is empty; name a folder"),
    ],
    ids=["file", "below a file", "null", "long name", "long path", "bytes", "proc", "empty"],
)
def test_a_storage_that_cannot_be_written_is_told_before_training(
    odnbench: Run, tmp_path: Path, command: list[str], storage: str, told: str
) -> None:
    (tmp_path / "file").touch()
    done = odnbench(*command, "--storage", storage)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/nothing", "loop", LONG])
@pytest.mark.parametrize(
    "command", [["report"], ["data", "show", "--faces", "1"], ["bench", "startup"]], ids=" ".join
)
def test_an_output_that_cannot_be_written_is_told_at_once(
    odnbench: Run, tmp_path: Path, command: list[str], out: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    done = odnbench(*command, "--out", f"{out}/x.png" if command[0] == "data" else out)
    assert done.returncode == 2
    assert " cannot be written: " in done.stderr and "give another --out" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


def test_trying_a_place_leaves_and_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others that look into the folder meanwhile meet nothing that will go, and many commands may
    try it at the same moment.
    """
    looked, seen = [], []
    write = Path.write_bytes

    def look(path: Path, data: bytes) -> int:
        looked.append(path)
        seen.extend(name for name in os.listdir(tmp_path) if not name.startswith("."))  # noqa: PTH208
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", look)
    with ThreadPoolExecutor(8) as threads:
        names = [f"runs/{index % 3}/file" for index in range(200)]
        list(threads.map(partial(check_writable, tmp_path, "--storage"), names))
    assert len(looked) == 200 and not seen and not list(tmp_path.iterdir())


def test_a_folder_of_another_user_is_told(
    odnbench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "mkdir", refuse)  # root may write everywhere
    done = odnbench(*INLINE)
    assert done.returncode == 2
    assert (
        done.stderr == "error: runs cannot be written: Permission denied; give another --storage\n"
    )


@pytest.mark.parametrize("command", ["status", "report", "sync"])
def test_results_are_not_looked_for_under_impossible_names(odnbench: Run, command: str) -> None:
    for storage in (LONG, NOT_UTF8, "/dev/null/x"):
        done = odnbench(command, "--storage", storage)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.usefixtures("without_mlflow")
def test_a_storage_may_have_any_characters(odnbench: Run, tmp_path: Path) -> None:
    storage = "runs[/b] \\[x] :smile: é"
    done = odnbench(*INLINE, "--storage", storage)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"results    {storage}/ablation" in done.stdout
    assert odnbench("status", "--storage", storage).returncode == 0
    report = odnbench("report", "--storage", storage, "--out", "[/i]")
    assert report.returncode == 0
    assert "[/i]/ablation.md" in report.stdout


@pytest.mark.parametrize("home", [None, "/proc/nothing", "/dev/null"])
def test_a_home_that_cannot_be_used_is_told_with_the_cure(
    odnbench: Run,
    user_environment: dict[str, str],
    environment: pytest.MonkeyPatch,
    monkeypatch: pytest.MonkeyPatch,
    home: str | None,
) -> None:
    if home is None:  # nor does the list of users have one
        environment.delitem(user_environment, "HOME")
        monkeypatch.setattr("os.path.expanduser", lambda path: path)
    else:
        environment.setitem(user_environment, "HOME", home)
    for command in (INLINE, ["data", "prepare", "300w", "--data-root", "."]):
        done = odnbench(*command)
        assert done.returncode == 2
        assert ("set HOME" if home is None else "give another ODNBENCH_CACHE") in done.stderr or (
            home is None and "or HOME" in done.stderr
        )
        assert len(done.stderr.splitlines()) == 1
    assert odnbench("status").stderr.startswith("error: no results below runs")


@pytest.mark.parametrize("cache", ["file", "/dev/null/x", LONG, NOT_UTF8])
def test_a_cache_that_cannot_be_used_is_told(
    odnbench: Run,
    tmp_path: Path,
    user_environment: dict[str, str],
    environment: pytest.MonkeyPatch,
    cache: str,
) -> None:
    (tmp_path / "file").touch()
    environment.setitem(user_environment, "ODNBENCH_CACHE", cache)
    done = odnbench(*INLINE)
    assert done.returncode == 2
    assert "give another ODNBENCH_CACHE" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    ["..", "../other", "/tmp/x", ".hidden", "a/b", "it's", 'a"b', "[/b]", "a\nb", "-x", "", " ",
     "x.", 101 * "x", 51 * "é", "a:b", "a*"],
)  # fmt: skip
def test_a_pipeline_is_not_called_what_no_folder_can_be(
    odnbench: Run, tmp_path: Path, name: str
) -> None:
    import json

    text = f'name = {json.dumps(name)}\ntitle = "x"\n[axes]\nvariant = ["odn"]\n'
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    done = odnbench("run", "mine.toml", "--executor", "inline", *TINY)
    assert done.returncode == 2
    assert "mine.toml: the name of a pipeline must begin with a letter, a digit or _" in done.stderr
    assert f"got {name!r}; give the file another name" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize("stem", ["a[b]", "it's", 120 * "x"])
def test_a_file_gives_its_name_to_the_pipeline(odnbench: Run, tmp_path: Path, stem: str) -> None:
    (tmp_path / f"{stem}.toml").write_text(PIPELINE)
    done = odnbench("run", f"{stem}.toml", *TINY)
    assert done.returncode == 2
    assert f"got {stem!r}" in done.stderr or f'got "{stem}"' in done.stderr


def test_a_pipeline_may_be_called_as_people_call_things(odnbench: Run, tmp_path: Path) -> None:
    name = "Größe (v2), lr=0.1 + x_3"
    (tmp_path / f"{name}.toml").write_text(PIPELINE)
    done = odnbench("run", f"{name}.toml", "--executor", "inline", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert odnbench("report", name).returncode == 0
    assert (tmp_path / "reports" / "out" / f"{name}.md").is_file()


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        (f"{LONG}.toml", "File name too long"),
        ("../pyproject", "unknown pipeline '../pyproject'"),
        (LONG, "unknown pipeline"),
        ("pretrained", "model.pretrained: "),
    ],
)
def test_names_that_no_file_can_have_are_told(odnbench: Run, argument: str, told: str) -> None:
    arguments = ["ablation", "-s", f"pretrained={LONG}"] if argument == "pretrained" else [argument]
    done = odnbench("run", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [
        (100 * "x", "is too long for Ray's sockets, whose paths have 107 bytes at most"),
        ("é", "has letters in it that Ray does not take"),
    ],
    ids=["long", "letters"],
)
@pytest.mark.usefixtures("without_mlflow")
def test_ray_works_elsewhere_where_tmpdir_does_not_serve(
    odnbench: Run,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    user_environment: dict[str, str],
    environment: pytest.MonkeyPatch,
    name: str,
    told: str,
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    environment.setitem(user_environment, "TMPDIR", str(folder))
    done = odnbench("run", "ablation", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"TMPDIR {folder} {told}: Ray works in /tmp" in done.stdout
