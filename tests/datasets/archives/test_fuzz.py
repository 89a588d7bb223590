"""5550 damaged files: each is read right or refused by name, whatever is done to it.

Files that `odnbench data render` wrote are cut, spliced and overwritten, and other values are put
into them. Examples (the sum of all `max_examples`): .pts 700, lists of WFLW 550, MATLAB 5 1630,
HDF5 1000, pictures 450, TOML 600, notes and prepared folders 570, the doctor 50. Where slow tests
are left out, it is an eighth of them.

What "right" means depends on the format. Text, PNG and .npz tell of every damage, so there numbers
and pixels are compared. MATLAB 5, HDF5 and JPEG have no checksum over all of their content: a byte
that is overwritten there can make another valid number, and what is promised then is its shape.
"""

import io
import json
import math
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import PIL.Image
import pytest
import scipy.io
from helpers import fuzz
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from odnbench.datasets.archives.archive import Archive, open_archive
from odnbench.datasets.faces import Face
from odnbench.datasets.inspection.doctor import examine
from odnbench.datasets.pictures import read_as_stored, read_picture
from odnbench.datasets.prepare import Recipe, load, prepare
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset, LossWeight
from odnbench.plan.pipelines import load_pipeline, resolve
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.shipped import shipped

REGISTRY = Registry.load()
LANDMARKS = {"300w": 68, "cofw": 29, "cofw68": 68, "aflw": 19, "wflw": 98}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

ODD_BYTES = [
    b"nan", b"-1", b"1e400", b"1_5", b"0x10", b"1,5", b"\xff", b"\xc3\xa9", b"\0" * 8, b"\xff" * 8,
    b" ", b"\n", b"{", b"}", b"n_points: 67\n", b"/", b"../", b"x" * 300, b"[" * 9999,
]  # fmt: skip
PLACES = st.integers(-255, 255) | st.integers(0, 1 << 12) | st.integers(0, 1 << 20)
# Of each: its place; the length of what stands there (None: as long as what is new); how often that
# is put back (0: it is taken away, 2: it is doubled); and what is new.
SPLICES = st.lists(
    st.tuples(PLACES, st.none(), st.just(0), st.binary(min_size=1, max_size=4))
    | st.tuples(  # a whole number of a header
        PLACES.map(lambda place: 4 * place),
        st.none(),
        st.just(0),
        (st.integers(0, 40) | st.integers()).map(lambda n: struct.pack("<I", n % (1 << 32))),
    )
    | st.tuples(
        PLACES,
        st.sampled_from((0, 0, 1, 8, 100, 1 << 30)),
        st.integers(0, 2),
        st.binary(max_size=8) | st.sampled_from(ODD_BYTES),
    ),
    min_size=1,
    max_size=3,
)


def spliced(whole: bytes, splices: Any) -> bytes:
    for place, length, copies, new in splices:
        start = place % (len(whole) + 1)
        end, copies = (start + len(new), 0) if length is None else (start + length, copies)
        whole = whole[:start] + new + whole[start:end] * copies + whole[end:]
    return whole


class Sample:
    """An archive of rendered faces, and the one file of it that is damaged."""

    def __init__(self, archive: Archive, part: str, path: Path):
        self.archive, self.part, self.path, self.whole = archive, part, path, path.read_bytes()
        self.faces = {face.id: face for face in archive.faces(part, [])}
        assert len(self.faces) == 3

    def read(self, part: str = "") -> tuple[list[Face], list[str]]:
        """Faces and faults, all of them sound. The archive is opened anew: it may remember."""
        name, faults = self.archive.dataset.name, list[str]()
        archive = open_archive(self.archive.dataset, self.archive.root)
        faces = list(archive.faces(part or self.part, faults))
        assert all(fault.startswith(str(self.path)) for fault in faults)
        assert len({face.id for face in faces}) == len(faces)
        for face in faces:
            assert face.part == f"{name}/{part or self.part}"
            assert face.points.shape == (LANDMARKS[name], 2)
            boxes = [box for box in (face.box, face.detector_box) if box is not None]
            assert all(box.shape == (4,) for box in boxes)
            assert all(np.isfinite(array).all() for array in (face.points, *boxes))
            if isinstance(face.image, np.ndarray):
                assert face.image.dtype == np.uint8 and face.image.ndim in (2, 3)
        return faces, faults

    def assert_same(self, faces: list[Face]) -> None:
        """Each of `faces` has the numbers that it had before the damage."""
        for face in faces:
            before = self.faces[face.id]
            for name in ("points", "box", "detector_box", "occluded"):
                np.testing.assert_array_equal(getattr(face, name), getattr(before, name))


PTS = ("300w", "afw", "afw/image_0000.pts")
BOXES = ("300w", "afw", "Bounding Boxes/bounding_boxes_afw.mat")
POINTS_68 = ("cofw68", "test", "test_annotations/2_points.mat")
BOXES_68 = ("cofw68", "test", "cofw68_test_bboxes.mat")
AFLW = ("aflw", "train", "AFLWinfo_release.mat")
NOTE = ("aflw", "train", "rendered.json")
COFW = ("cofw", "test", "COFW_test_color.mat")
PICTURES_68 = ("cofw68", "test", "COFW_test_color.mat")
WFLW = ("wflw", "test", "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt")  # fmt: skip  # noqa: E501


def damaging(*files: tuple[str, str, str]) -> pytest.MarkDecorator:
    ids = [f"{name}: {Path(file).name}" for name, _, file in files]
    return pytest.mark.parametrize("sample", files, indirect=True, ids=ids)


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    for name in LANDMARKS:
        render_layout(REGISTRY.get(Dataset, name), folder / name, count=3, size=64, seed=0)
    return folder


@pytest.fixture
def sample(rendered: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Sample:
    name, part, file = request.param
    root = Path(shutil.copytree(rendered / name, tmp_path / name))
    return Sample(open_archive(REGISTRY.get(Dataset, name), root), part, root / file)


@contextmanager
def refused_by_name(name: Path | str) -> Iterator[None]:
    """What is done inside may be refused, with an error that names the file."""
    try:
        yield
    except OdnbenchError as error:
        assert str(name) in str(error)


# All loaders


@damaging(PTS, BOXES, POINTS_68, BOXES_68, AFLW, COFW, PICTURES_68)
@fuzz(max_examples=60)
@given(missing=st.integers(1, 30) | st.integers(1, 1 << 16))
def test_a_file_that_is_cut_off_is_refused_or_reads_the_same(sample: Sample, missing: int) -> None:
    sample.path.write_bytes(sample.whole[:-missing])
    faces, faults = sample.read()
    if not faults:
        sample.assert_same(faces)
        assert len(faces) == 3


@damaging(BOXES, POINTS_68, BOXES_68, AFLW, COFW, PICTURES_68)
@fuzz(max_examples=250)
@given(splices=SPLICES)
def test_damaged_bytes_give_sound_faces_or_a_fault(sample: Sample, splices: Any) -> None:
    sample.path.write_bytes(spliced(sample.whole, splices))
    faces, faults = sample.read()
    assert faces or faults


# .pts and the lists of WFLW

TEXTS = (
    st.floats().map(repr)
    | st.floats(-9999, 9999).map("{:.6f}".format)
    | st.sampled_from(("1_5", "1e400", "0x10", "1,5", "１5", "1.", "+.5", "--1", "1e", "", "1 2"))
    | st.text(st.characters(codec="utf-8"), max_size=3)
)


@damaging(PTS)
@fuzz(max_examples=300)
@given(splices=SPLICES)
def test_a_damaged_pts_file_gives_the_numbers_in_it_or_a_fault(
    sample: Sample, splices: Any
) -> None:
    data = spliced(sample.whole, splices)
    sample.path.write_bytes(data)
    faces, faults = sample.read()
    assert len(faces) + len(faults) == 3
    if faults:
        sample.assert_same(faces)
    else:
        rows = [line.split() for line in data.decode().splitlines()]
        pairs = [row for row in rows if len(row) == 2 and all(map(NUMBER.fullmatch, row))]
        np.testing.assert_array_equal(faces[0].points, np.array(pairs, float) - 1)


@damaging(PTS)
@fuzz(max_examples=340)
@given(
    index=st.integers(0, 135),
    text=TEXTS,
    around=st.sampled_from(
        (
            ("version: 1\nn_points: 68\n{\n", "\n}\n"),
            ("version: 1.0 \r\nn_points:  68 \r\n{ \r\n", " \r\n} \r\n\r\n"),
            ("", ""),
        )
    ),
)
def test_a_number_in_a_pts_file_is_what_its_text_says_or_a_fault(
    sample: Sample, index: int, text: str, around: tuple[str, str]
) -> None:
    words = sample.whole.decode().partition("{")[2].split()[:136]
    words[index] = text
    body = "\n".join(map(" ".join, zip(words[::2], words[1::2], strict=True)))
    sample.path.write_bytes(body.join(around).encode())
    faces, faults = sample.read()
    is_number = text.isascii() and NUMBER.fullmatch(text)
    if is_number and abs(float(text)) < 1e5:
        assert not faults
    if not is_number and not text.isspace():
        assert len(faults) == 1
    if not faults:
        np.testing.assert_array_equal(faces[0].points.ravel(), np.array(words, float) - 1)


@damaging(WFLW)
@fuzz(max_examples=250)
@given(splices=SPLICES)
def test_a_damaged_list_of_wflw_gives_the_numbers_in_it_or_a_fault(
    sample: Sample, splices: Any
) -> None:
    data = spliced(sample.whole, splices)
    sample.path.write_bytes(data)
    faces, faults = sample.read()
    assert faces or faults or not data.strip()
    lines = [line.split() for line in data.decode(errors="replace").split("\n")]
    for face in faces:
        numbers = [*face.points.ravel(), *face.box]  # type: ignore[misc]
        assert any(
            len(words) > 206
            and all(map(NUMBER.fullmatch, words[:200]))
            and list(map(float, words[:200])) == numbers
            for words in lines
        )


@damaging(WFLW)
@fuzz(max_examples=300)
@given(
    index=st.integers(0, 205),
    text=TEXTS,
    name=st.sampled_from(("a.png", "é.png", "a b.png", "/etc/hosts", "../../rendered.json", "a\0b"))
    | st.integers(1, 400).map("x".__mul__),
)
def test_a_word_in_a_list_of_wflw_is_what_it_says_or_a_fault(
    sample: Sample, index: int, text: str, name: str
) -> None:
    words = sample.whole.decode().split("\n")[0].split()
    words[index], words[206] = text, name
    sample.path.write_bytes(" ".join(words).encode())
    faces, faults = sample.read()
    sample.archive.signature(sample.part)
    assert len(faces) + len(faults) >= 1
    if text.isascii() and NUMBER.fullmatch(text) and abs(float(text)) < 1e5 and index < 200:
        assert bool(faults) == (name[0] in "/.")
    for face in faces:
        assert face.image is None
        np.testing.assert_array_equal(
            [*face.points.ravel(), *face.box],
            np.array(words[:200], float),  # type: ignore[misc]
        )


# MATLAB 5 and 7.3

ARRAYS = hnp.arrays(
    st.sampled_from(("f8", "i2", "u1", "c16", "?")),
    hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=4)
    | st.sampled_from(((6, 38), (6, 4), (6, 19), (1, 6), (68, 2), (1, 68), (87, 3), (4, 3))),
)
ODD_NUMBERS = st.sampled_from((np.nan, np.inf, -np.inf, -1, 0, 0.5, 2, 1e300))
# None: the variable is not there; a pair: one number of it is another.
CHANGES = (
    st.none()
    | ARRAYS
    | st.tuples(st.integers(0, 999), ODD_NUMBERS)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4)
)
CHANGES_5 = CHANGES | st.sampled_from(
    ({"a": 1.0}, np.array([["x", 1.0]], object), scipy.sparse.csc_matrix(np.eye(6)))
)


def changed(variables: dict[str, Any], name: str, change: Any) -> dict[str, Any]:
    value = variables[name]
    if isinstance(change, tuple) and np.size(value):
        value = np.array(value, object if np.asarray(value).dtype.kind in "OU" else float)
        value.flat[change[0] % value.size] = change[1]
        change = value
    return {k: v for k, v in {**variables, name: change}.items() if v is not None}


@damaging(POINTS_68, BOXES_68, AFLW)
@fuzz(max_examples=80)
@given(which=st.integers(0, 4), change=CHANGES_5, compress=st.booleans())
def test_other_variables_of_matlab_5_give_sound_faces_or_a_fault(
    sample: Sample, which: int, change: Any, compress: bool
) -> None:
    stored = scipy.io.loadmat(io.BytesIO(sample.whole))
    variables = {name: value for name, value in stored.items() if name[0] != "_"}
    name = sorted(variables)[which % len(variables)]
    scipy.io.savemat(sample.path, changed(variables, name, change), do_compression=compress)
    faces, faults = sample.read()
    assert faces or faults
    if change is None:
        assert faults


@damaging(BOXES)
@fuzz(max_examples=80)
@given(
    key=st.sampled_from(("imgName", "bb_detector", "bb_ground_truth")),
    change=CHANGES_5,
)
def test_other_boxes_of_300w_give_sound_faces_or_a_fault(
    sample: Sample, key: str, change: Any
) -> None:
    box = np.array([[1.0, 2.0, 30.0, 40.0]])
    cell = {"imgName": "image_0000.png", "bb_detector": box, "bb_ground_truth": box}
    row = np.empty((1, 1), object)
    row[0, 0] = changed(cell, key, change)
    scipy.io.savemat(sample.path, {"bounding_boxes": row})
    faces, faults = sample.read()
    assert len(faces) == 3 or faults
    for face in faces:
        np.testing.assert_array_equal(face.points, sample.faces[face.id].points)


@damaging(AFLW)
@fuzz(max_examples=70)
@given(
    ra=st.permutations(range(1, 7))
    | st.lists(st.integers(0, 7) | ODD_NUMBERS, min_size=6, max_size=6)
)
def test_the_order_of_aflw_is_followed_or_refused(sample: Sample, ra: list[float]) -> None:
    stored = scipy.io.loadmat(io.BytesIO(sample.whole))
    variables = {name: value for name, value in stored.items() if name[0] != "_"}
    scipy.io.savemat(sample.path, {**variables, "ra": np.array([ra])})
    (train, faults), (full, _) = sample.read("train"), sample.read("full")
    rows = [1 + int(face.id.rpartition("/")[2]) for face in [*train, *full]]
    assert rows == ra if sorted(ra) == list(range(1, 7)) else faults


def put(file: h5py.File, name: str, change: Any) -> None:
    """Puts `change` in the place of variable `name`."""
    value = file[name][()]
    is_cell = value.dtype.hasobject
    odd = {
        "group": lambda: file.create_group(name),
        "loop": lambda: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
        "empty": lambda: file.create_dataset(name, data=h5py.Empty("f8")),
    }
    if isinstance(change, tuple) and is_cell:  # h5py takes no number for a reference
        change = None
    del file[name]
    if isinstance(change, str) and change in odd:
        odd[change]()
    elif isinstance(change, int):  # so many columns, which are declared and not there
        file.create_dataset(
            name,
            (len(value), change),
            h5py.ref_dtype if is_cell else value.dtype,
            chunks=(len(value), 1 << 12) if change else None,
        )
    else:
        for new in changed({name: value}, name, change).values():
            file.create_dataset(name, data=new)


CHANGES_73 = CHANGES | st.sampled_from(("group", "loop", "empty", 0, 10**6, 10**7, 10**8, 10**12))


@damaging(COFW, PICTURES_68)
@fuzz(max_examples=100)
@given(name=st.sampled_from(("IsT", "phisT", "bboxesT")), change=CHANGES_73)
def test_other_variables_of_matlab_73_give_sound_faces_or_a_fault(
    sample: Sample, name: str, change: Any
) -> None:
    sample.path.write_bytes(sample.whole)
    with h5py.File(sample.path, "r+") as file:
        put(file, name if name in file else "IsT", change)
    faces, faults = sample.read()
    assert faces or faults


@damaging(COFW)
@fuzz(max_examples=120)
@given(
    target=st.sampled_from(("", "#refs#", "IsT", "phisT", "#refs#/p0"))
    | ARRAYS
    | hnp.arrays("u1", st.tuples(st.just(3), st.integers(0, 3), st.integers(0, 3)))
)
def test_a_reference_of_cofw_leads_to_a_picture_or_is_a_fault(sample: Sample, target: Any) -> None:
    sample.path.write_bytes(sample.whole)
    with h5py.File(sample.path, "r+") as file:
        cells = file["IsT"][()]
        stored = file.create_dataset("other", data=target) if isinstance(target, np.ndarray) else (
            file[target] if target else None
        )  # fmt: skip
        cells[0, 1] = stored.ref if stored else h5py.Reference()
        file["IsT"][...] = cells
        array = stored[()] if isinstance(stored, h5py.Dataset) else np.zeros(0)
    faces, faults = sample.read()
    sample.assert_same(faces)
    is_picture = array.dtype == np.uint8 and array.size and (array.ndim == 2 or len(array) == 3)
    assert len(faces) == (3 if is_picture else 2) and len(faces) + len(faults) == 3
    if is_picture:
        np.testing.assert_array_equal(faces[1].image, array.T)  # type: ignore[arg-type]


@damaging(COFW, PICTURES_68)
@fuzz(max_examples=30)
@given(splices=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1), st.binary()), min_size=1))
def test_damage_inside_a_picture_keeps_all_numbers(sample: Sample, splices: Any) -> None:
    data = bytearray(sample.whole)
    with h5py.File(io.BytesIO(sample.whole)) as file:
        stored = [(d.id.get_offset(), d.size) for d in file["#refs#"].values()]
    for index, share, new in splices:
        start = stored[index][0] + int(share * (stored[index][1] - len(new)))
        data[start : start + len(new)] = new
    sample.path.write_bytes(data)
    faces, faults = sample.read()
    sample.assert_same(faces)
    assert len(faces) == 3 and not faults


# Pictures


def _encoded() -> Iterator[tuple[str, bytes]]:
    ramp = np.add.outer(np.arange(20), np.arange(24))
    picture = PIL.Image.fromarray(np.stack([ramp, 3 * ramp, 200 - ramp], axis=-1).astype(np.uint8))
    for kind, modes in {
        "PNG": ("RGB", "L", "P", "1", "RGBA", "LA", "I;16"), "JPEG": ("RGB", "L", "CMYK"),
        "BMP": ("RGB", "L"), "GIF": ("P",), "WEBP": ("RGB", "RGBA"), "TIFF": ("RGB", "CMYK"),
    }.items():  # fmt: skip
        for mode in modes:
            file = io.BytesIO()
            grey = picture.convert("L")
            (grey if mode == "I;16" else picture).convert(mode).save(file, kind)
            yield f"{kind} {mode}", file.getvalue()


ENCODED = dict(_encoded())


@pytest.mark.parametrize("kind", ["PNG RGB", "PNG L", "PNG P", "PNG 1", "PNG RGBA", "BMP RGB"])
def test_a_lossless_picture_has_the_pixels_that_pillow_reads(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(ENCODED[kind])
    np.testing.assert_array_equal(
        read_picture(path), np.asarray(PIL.Image.open(path).convert("RGB"))
    )


def check_picture(path: Path, whole: bytes, damaged: bytes, *, exact: bool) -> None:
    path.write_bytes(whole)
    before = read_picture(path)
    path.write_bytes(damaged)
    with refused_by_name(path):
        stored = read_as_stored(path)
        assert stored.dtype == np.uint8 and stored.ndim in (2, 3) and stored.size
    with refused_by_name(path):
        picture = read_picture(path)
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
        assert picture.nbytes < 1 << 28  # not what a few bytes of a header declare
        if exact:
            np.testing.assert_array_equal(picture, before)


@fuzz(max_examples=250)
@given(kind=st.sampled_from(sorted(ENCODED)), splices=SPLICES)
def test_a_damaged_picture_is_a_picture_or_refused_and_a_png_is_the_same(
    tmp_path: Path, kind: str, splices: Any
) -> None:
    whole = ENCODED[kind]
    damaged = spliced(whole, splices)
    check_picture(tmp_path / "a.png", whole, damaged, exact=kind.startswith("PNG"))


@fuzz(max_examples=100)
@given(kind=st.sampled_from(sorted(ENCODED)), missing=st.integers(1, 30) | st.integers(1, 1 << 12))
def test_a_picture_that_is_cut_off_is_refused_or_the_same(
    tmp_path: Path, kind: str, missing: int
) -> None:
    check_picture(tmp_path / "a.jpg", ENCODED[kind], ENCODED[kind][:-missing], exact=True)


def _declaring(kind: str, width: int, height: int) -> bytes:
    """The picture of that kind, with other sides in its header."""
    whole = ENCODED[f"{kind} RGB" if kind != "GIF" else "GIF P"]
    short = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    if kind == "PNG":
        header = b"IHDR" + struct.pack(">II", width, height) + whole[24:29]
        return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]
    if kind == "JPEG":
        place = whole.index(b"\xff\xc0") + 5
        return whole[:place] + short[::-1] + whole[place + 4 :]
    if kind == "BMP":
        return whole[:18] + struct.pack("<II", width, height) + whole[26:]
    place = whole.index(b"\x2c\0\0\0\0") + 5
    return whole[:6] + short + whole[10:place] + short + whole[place + 4 :]


SIDES = st.sampled_from((0, 1, 24, 255, 20000, 30000, 65535, (1 << 31) - 1, (1 << 32) - 1))


@fuzz(max_examples=100)
@given(kind=st.sampled_from(("PNG", "JPEG", "BMP", "GIF")), width=SIDES, height=SIDES)
def test_a_picture_may_declare_any_sides(
    tmp_path: Path, kind: str, width: int, height: int
) -> None:
    damaged = _declaring(kind, width, height)
    check_picture(tmp_path / "a.png", ENCODED["PNG RGB"], damaged, exact=False)


# TOML

ODD_VALUES = [
    "nan", "inf", "-1", "0", "1.5", "1e400", "9" * 400, "9" * 5000, "0x" + "f" * 5000, "1_0",
    "true", '"x"', '""', "'é'", "[]", "{}", "[[]]", "[-1]", "[99]", '["x"]', "[0, 1]", "1979-05-27",
    "[" * 3000, "{a=" * 3000, '".a:b"', "=", "# x",
]  # fmt: skip
VALUES = st.tuples(st.integers(0, 999), st.sampled_from(ODD_VALUES))


def damaged_toml(text: str, damage: Any) -> bytes:
    """`text` after splices, or with another value in the place of one of its own."""
    if isinstance(damage, list):
        return spliced(text.encode(), damage)
    place, value = damage
    spans = [match.span(1) for match in re.finditer(r"= *([^,={}\n]+)", text)]
    start, end = spans[place % len(spans)]
    return (text[:start] + value + text[end:]).encode()


@fuzz(max_examples=350)
@given(file=st.sampled_from(sorted(shipped("registry").rglob("*.toml"))), damage=VALUES | SPLICES)
def test_a_damaged_registry_is_refused_or_can_be_used(
    tmp_path: Path, file: Path, damage: Any
) -> None:
    shutil.rmtree(tmp_path / "own", ignore_errors=True)
    path = tmp_path / "own" / file.relative_to(shipped("registry"))
    path.parent.mkdir(parents=True)
    path.write_bytes(damaged_toml(file.read_text("utf-8"), damage))
    with refused_by_name(path):
        registry = Registry.load([tmp_path / "own"])
        for entries in registry.entries.values():
            assert all(entry.name == name for name, entry in entries.items())
        for dataset in registry.all(Dataset).values():
            splits = [dataset.split(name) for name in (*dataset.parts, *dataset.splits)]
            assert min(split.faces for split in splits) >= 0
        for scheme in registry.all(Scheme).values():
            used = (*scheme.flip, *scheme.eye_corners, *sum(scheme.pupils, ()))
            assert {*used, *sum(scheme.components.values(), ())} <= {*range(scheme.points)}
        for weight in registry.all(LossWeight).values():
            assert weight.default >= 0 and 0 < weight.low < weight.high < math.inf
        for protocol in registry.all(Protocol).values():
            assert 0 < protocol.failure_percent <= 100


@fuzz(max_examples=250)
@given(
    file=st.sampled_from(sorted(shipped("pipelines").glob("*.toml"))),
    damage=VALUES | SPLICES,
    rendered=st.booleans(),
)
def test_a_damaged_pipeline_is_refused_or_has_trials(
    tmp_path: Path, file: Path, damage: Any, rendered: bool
) -> None:
    path = tmp_path / "damaged.toml"
    path.write_bytes(damaged_toml(file.read_text("utf-8"), damage))
    with refused_by_name("damaged"):
        pipeline = load_pipeline(str(path))
        assert pipeline.name == "damaged"
        assert resolve(pipeline, REGISTRY, rendered=rendered)


# What odnbench itself keeps on disk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@damaging(NOTE)
@fuzz(max_examples=100)
@given(
    data=SPLICES
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries({"train": JSON, "full": JSON}).map(lambda n: json.dumps(n).encode())
)
def test_a_damaged_note_is_refused_or_parts_the_faces(sample: Sample, data: Any) -> None:
    sample.path.write_bytes(spliced(sample.whole, data) if isinstance(data, list) else data)
    (train, faults), (full, _) = sample.read("train"), sample.read("full")
    assert faults or len({face.id for face in [*train, *full]}) == len(train) + len(full) == 6
    with refused_by_name(sample.path):  # else its faces would pass as those of the real data
        assert open_archive(sample.archive.dataset, sample.archive.root).rendered


@pytest.fixture
def prepared(rendered: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "prepared"
    archive = open_archive(REGISTRY.get(Dataset, "300w"), rendered / "300w")
    recipe = Recipe(BoxRule("tight", "", "landmarks", "square", 1.2), margin=1.25, size=40)
    prepare(archive.faces("afw", []), "300w/afw", recipe, folder, rendered=True, faults=[])
    return folder


@pytest.mark.parametrize("name", ["rest.npz", "images.npy"])
@fuzz(max_examples=200)
@given(splices=SPLICES)
def test_a_damaged_prepared_folder_is_refused_or_the_same(
    prepared: Path, name: str, splices: Any
) -> None:
    path = prepared / name
    before, whole = load(prepared), path.read_bytes()
    path.unlink()  # the old one is still mapped to memory
    path.write_bytes(spliced(whole, splices))
    try:
        with refused_by_name(prepared):
            faces = load(prepared)
            assert faces.fingerprint == before.fingerprint
            assert faces.images.dtype == np.uint8 and faces.images.shape == before.images.shape
            np.testing.assert_array_equal(faces.crop_to_image, before.crop_to_image)
    finally:
        path.unlink()
        path.write_bytes(whole)


@fuzz(max_examples=70)
@given(which=st.integers(0, 6), change=CHANGES)
def test_other_arrays_in_a_prepared_folder_are_refused_or_fit(
    prepared: Path, which: int, change: Any
) -> None:
    path = prepared / "rest.npz"
    whole = path.read_bytes()
    with np.load(path) as rest:
        arrays = dict(rest)
    name = sorted({*arrays} - {"name", "rendered"})[which]
    np.savez(path, **{k: np.asarray(v) for k, v in changed(arrays, name, change).items()})
    try:
        with refused_by_name(prepared):
            faces = load(prepared)
            assert faces.points.shape == (3, 68, 2) and faces.occluded.shape == (3, 68)
            assert len(faces.ids) == len(faces.parts) == len(faces.labels) == 3
            assert np.isfinite(faces.points).all() and np.isfinite(faces.crop_to_image).all()
    finally:
        path.write_bytes(whole)


@damaging(AFLW)
@fuzz(max_examples=50)
@given(
    points=hnp.arrays(
        "f8",
        (6, 38),
        elements=st.floats(allow_nan=False, allow_infinity=False) | st.floats(0, 64),
    )
)
def test_the_doctor_takes_faces_with_any_points(sample: Sample, points: Any) -> None:
    variables = scipy.io.loadmat(io.BytesIO(sample.whole))
    variables = {name: value for name, value in variables.items() if name[0] != "_"}
    scipy.io.savemat(sample.path, {**variables, "data": points})
    archive = open_archive(sample.archive.dataset, sample.archive.root)
    assert examine(archive, REGISTRY.get(Scheme, "19")).text()
