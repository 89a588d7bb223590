"""500 folders of results with torn files, as a power cut or a full disk leaves them: every sound
trial is shown, and a damaged one is shown right or named.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import Run, fuzz
from hypothesis import given
from hypothesis import strategies as st
from made_results import Faces, Made, report_of, spread_errors

from odnbench.results.plans import PLAN

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
    for path, damage in damaged.items():
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage(path.read_bytes()))
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
