"""600 folders of results with torn files, as a power cut or a full disk leaves them: every sound
trial is shown, and a damaged one is shown right or named; so is the record of a search.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from helpers import Run, fuzz
from hypothesis import given
from hypothesis import strategies as st
from made_results import Faces, Made, report_of, search_report, spread_errors

from odnbench.plan.spaces import Parameter, Space
from odnbench.results.folder import PRUNED
from odnbench.results.plans import PLAN
from odnbench.results.searches import (
    SEARCH,
    Candidate,
    SearchedPoint,
    SearchRecord,
    SearchSettings,
)

Damage = Callable[[bytes], bytes] | None  # None: the file is gone
VARIANTS = ("brnet", "dm", "odn")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `<storage>` with three finished trials."""
    storage = tmp_path_factory.mktemp("whole")
    made = [Made(name, Faces(spread_errors(0.05 + 0.01 * i))) for i, name in enumerate(VARIANTS)]
    report_of(storage / "made", *made)
    return storage


def empty(content: bytes) -> bytes:
    return b""


def zeros(content: bytes) -> bytes:
    return bytes(len(content))


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def zeros_behind(content: bytes) -> bytes:
    return content + bytes(512)


def zeros_at_the_end(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


def zeros_within(content: bytes) -> bytes:
    return content[: len(content) // 3] + bytes(8) + content[len(content) // 3 + 8 :]


def a_line_of_zeros(content: bytes) -> bytes:
    return content + bytes(16) + b"\n"


def of_another_file(content: bytes) -> bytes:
    return b'{"state": 3}\n'


def not_text(content: bytes) -> bytes:
    return b"\xff\xfe\x80" + content


DAMAGES = (
    empty, zeros, half, zeros_behind, zeros_at_the_end, zeros_within, a_line_of_zeros,
    of_another_file, not_text, None,
)  # fmt: skip


def tear(torn: Mapping[Path, Damage]) -> None:
    """Damages each file as `torn` says."""
    for path, damage in torn.items():
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()))


@given(
    damages=st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(DAMAGES)),
        min_size=1,
        max_size=3,
        unique_by=lambda damage: damage[0],
    ),
    command=st.integers(0, 9),
)
@fuzz(max_examples=500)
def test_a_torn_file_takes_no_other_trial_with_it(
    damages: list[tuple[int, Damage]], command: int, whole: Path, odnbench: Run, tmp_path: Path
) -> None:
    storage = tmp_path / "runs"
    shutil.rmtree(storage, ignore_errors=True)
    shutil.copytree(whole, storage)
    files = sorted(path for path in storage.rglob("*") if path.is_file())
    damaged = {files[place % len(files)]: damage for place, damage in damages}
    tear(damaged)
    # A report takes many times as long as a table of states.
    done = odnbench("report") if command == 0 else odnbench("status")
    output = done.stdout + done.stderr
    assert done.returncode in (0, 1, 2) and "Traceback" not in output
    if any(path.name == PLAN for path in damaged):
        assert done.returncode == 0 or PLAN in output
        return
    shown = output
    if command == 0 and done.returncode != 2:
        shown += next((tmp_path / "reports").rglob("made.md")).read_text()
    for index, variant in enumerate(VARIANTS):
        folder = storage / "made" / str(index)
        hurt = any(path.parent == folder for path in damaged)
        assert variant in shown or (hurt and f"made/{index}" in shown)


@pytest.fixture(scope="session")
def searched(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same beside a search of three points, two of which were trained again."""
    storage = tmp_path_factory.mktemp("searched") / "runs"
    shutil.copytree(whole, storage)
    alphas = {"a": 1e-6, "b": 1e-5, "c": 1e-4}
    points = tuple(
        SearchedPoint(number, "complete", {"loss.alpha": alphas[name]}, (6.0,), {"1": 6.0}, (name,))
        for number, name in enumerate("ab")
    )
    pruned = SearchedPoint(2, "pruned", {"loss.alpha": alphas["c"]}, (), {"1": 8.0}, ("c",))
    record = SearchRecord(
        "searched",
        SearchSettings(),
        Space("made", "", {"loss.alpha": Parameter(low=1e-6, high=1e-4, scale="log")}),
        trials=3,
        epochs=2,
        points=(*points, pruned),
        candidates=(Candidate(0, ("a1",)), Candidate(1, ("b1",))),
    )
    made = {
        name: Made("odn", Faces(spread_errors(0.05)), len(name), (f"alpha={alphas[name[0]]}",))
        for name in ("a", "b", "a1", "b1")
    }
    search_report(storage / "searched", record, made, {"c": ("stopped", PRUNED)})
    return storage


@given(
    damages=st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(DAMAGES)),
        max_size=2,
        unique_by=lambda d: d[0],
    ),
    damage=st.sampled_from([damage for damage in DAMAGES if damage is not None]),
    command=st.integers(0, 4),
)
@fuzz(max_examples=100)
def test_a_torn_record_of_a_search_is_named_and_takes_nothing_with_it(
    damages: list[tuple[int, Damage]], damage: Callable[[bytes], bytes], command: int,
    searched: Path, odnbench: Run, tmp_path: Path,
) -> None:  # fmt: skip
    """Files of trials of the search may be torn as well."""
    storage = tmp_path / "runs"
    shutil.rmtree(storage, ignore_errors=True)
    shutil.copytree(searched, storage)
    shutil.rmtree(tmp_path / "reports", ignore_errors=True)
    folder = storage / "searched"
    files = sorted(path for path in folder.glob("*/*") if path.is_file())
    torn = {files[place % len(files)]: each for place, each in damages} | {folder / SEARCH: damage}
    tear(torn)
    done = odnbench("report") if command == 0 else odnbench("status")
    output = done.stdout + done.stderr
    assert done.returncode in (0, 1) and "Traceback" not in output
    shown = output
    if command == 0:
        shown += "".join(path.read_text() for path in (tmp_path / "reports").rglob("*.md"))
    assert f"searched/{SEARCH}: " in shown.replace("\\", "")  # Markdown may escape its letters
    assert all(variant in shown for variant in VARIANTS)
