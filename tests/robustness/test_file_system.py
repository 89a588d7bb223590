"""Whatever lies below a data root, each face is read or named, and no data set takes another with
it: links that lead nowhere or round in a circle, what may not be read, what is no file, and names
that differ in case or in Unicode form alone.
"""

import os
import shutil
import socket
import unicodedata
from pathlib import Path

import pytest
from helpers import REGISTRY, Run

from odnbench.datasets.rendering.layouts import render_layout
from odnbench.plan.entries import Dataset

FACES = 2  # of each part


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for name in ("300w", "aflw", "cofw68", "wflw"):
        render_layout(REGISTRY.get(Dataset, name), root / name, FACES, 64, 3)
    return root


@pytest.fixture
def data(rendered: Path, tmp_path: Path) -> Path:
    """A data root with 300W and WFLW."""
    for name in ("300w", "wflw"):
        shutil.copytree(rendered / name, tmp_path / "data" / name)
    return tmp_path / "data"


def doctor(odnbench: Run, root: Path, *names: str) -> tuple[int, str]:
    """Exit status and all that the doctor says."""
    done = odnbench("data", "doctor", *names, "--data-root", str(root))
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    return done.returncode, told


def refused(odnbench: Run, root: Path, *names: str) -> str:
    """What `data prepare` says, which must refuse something."""
    done = odnbench("data", "prepare", *names, "--data-root", str(root), "--input-size", "32")
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


def test_a_link_to_a_folder_above_it_changes_nothing(odnbench: Run, data: Path) -> None:
    (data / "300w/afw/more").mkdir()
    for link, target in (
        ("300w/again", "."),
        ("300w/afw/up", "../.."),
        ("300w/afw/more/back", ".."),
        ("300w/above", ".."),
        ("wflw/WFLW_images/WFLW_images", "."),
        ("300w/ibug/ibug", os.fspath(data / "300w/ibug")),
    ):
        (data / link).symlink_to(target, target_is_directory=True)
    status, told = doctor(odnbench, data)
    assert status == 0, told
    assert "afw 2 of 2" in told and "wflw in" in told


def test_a_folder_that_has_two_names_by_a_link_is_read_once(odnbench: Run, data: Path) -> None:
    (data / "300w/afw").rename(data / "300w/pictures")
    (data / "300w/afw").symlink_to("pictures")
    (data / "300w/pictures/same").symlink_to("../pictures")
    (data / "300w/ibug/part").mkdir()
    (data / "300w/ibug/again").symlink_to("part")
    for path in (data / "300w/ibug").glob("image_0001.*"):
        path.rename(path.parent / "part" / path.name)
    status, told = doctor(odnbench, data, "300w")
    assert status == 0, told
    assert "afw 2 of 2" in told and "ibug 2 of 2" in told


def test_links_that_lead_nowhere_are_named_and_the_others_are_read(
    odnbench: Run, data: Path
) -> None:
    links = [data / "300w/afw" / name for name in ("extra", "image_0007.png", "image_0007.pts")]
    circles = [data / "300w/ibug" / name for name in ("self", "image_0007.png", "image_0007.pts")]
    for link in links:
        link.symlink_to("/nowhere/a")
    for link in circles:
        link.symlink_to(link.name)
    status, told = doctor(odnbench, data)
    assert status == 1
    assert "afw 2 of 2" in told and "ibug 2 of 2" in told and "wflw in" in told
    for text in (told, refused(odnbench, data, "300w/afw", "300w/ibug")):
        for link in links + circles:
            assert f"{link}: it is a link to {link.readlink()}, which cannot be followed" in text


def test_a_part_that_is_a_link_to_nowhere_is_named(odnbench: Run, data: Path) -> None:
    shutil.rmtree(data / "300w/ibug")
    (data / "300w/ibug").symlink_to("/nowhere/ibug")
    status, told = doctor(odnbench, data, "300w")
    assert status == 1
    assert "/300w/ibug: it is a link to /nowhere/ibug, which cannot be followed" in told
    assert "afw 2 of 2" in told
    assert "/300w/ibug: it is a link" in refused(odnbench, data, "300w/ibug")


@pytest.mark.usefixtures("rights_count")
def test_a_folder_that_may_not_be_read_is_named_and_the_others_are_read(
    odnbench: Run, data: Path
) -> None:
    locked = data / "300w/helen/trainset"
    lists, pictures = data / "wflw/WFLW_annotations", data / "wflw/WFLW_images/0--Rendered"
    for folder in (locked, lists, pictures):
        folder.chmod(0)
    status, told = doctor(odnbench, data)
    assert status == 1
    assert "helen-train 0 of 2" in told and "afw 2 of 2" in told and "wflw in" in told
    for text in (told, refused(odnbench, data, "300w", "wflw")):
        for folder in (locked, lists, pictures):
            assert f"{folder}: Permission denied" in text
    for folder in (locked, lists, pictures):
        folder.chmod(0o700)


@pytest.mark.usefixtures("rights_count")
def test_files_that_may_not_be_read_are_named(odnbench: Run, data: Path) -> None:
    locked = [data / "300w/ibug/image_0001.png", data / "300w/afw/image_0001.pts"]
    for path in locked:
        path.touch()  # what was prepared once is not read again
        path.chmod(0)
    status, told = doctor(odnbench, data, "300w")
    assert status == 1
    assert "ibug 1 of 2" in told and "afw 1 of 2" in told and "helen-test 2 of 2" in told
    for text in (told, refused(odnbench, data, "300w/ibug", "300w/afw")):
        assert all(f"{path}: Permission denied" in text for path in locked)


@pytest.mark.usefixtures("rights_count")
def test_a_data_set_that_may_not_be_read_takes_no_other_with_it(odnbench: Run, data: Path) -> None:
    (data / "wflw").chmod(0)
    status, told = doctor(odnbench, data)
    assert status == 1
    assert f"error: wflw: {data}/wflw cannot be read: Permission denied" in told
    assert "300w in" in told and "afw 2 of 2" in told
    assert doctor(odnbench, data, "wflw")[0] == 2  # nothing was looked at
    done = odnbench(
        "data", "prepare", "wflw", "300w/afw", "--data-root", str(data), "--input-size", "32"
    )
    assert done.returncode == 2
    assert "wflw cannot be read: Permission denied" in done.stderr
    assert "300w/afw rendered, 2 faces" in done.stdout
    (data / "wflw").chmod(0o700)


@pytest.mark.usefixtures("rights_count")
def test_a_data_root_that_may_not_be_read_is_named(odnbench: Run, data: Path) -> None:
    data.chmod(0)
    status, told = doctor(odnbench, data)
    assert status == 2
    assert told.count("\n") == 1
    assert f"data root {data} cannot be read: Permission denied; mend --data-root" in told
    data.chmod(0o700)


@pytest.mark.usefixtures("rights_count")
def test_a_data_root_in_a_folder_that_may_not_be_read_is_named(odnbench: Run, data: Path) -> None:
    data.chmod(0)
    status, told = doctor(odnbench, data / "300w")
    assert status == 2
    assert f"data root {data}/300w cannot be read: Permission denied" in told
    data.chmod(0o700)


@pytest.mark.usefixtures("rights_count")
def test_what_a_data_set_does_not_need_may_be_closed(odnbench: Run, data: Path) -> None:
    for name in ("lost+found", "300w/lost+found", "wflw/lost+found"):
        (data / name).mkdir(mode=0)
    status, told = doctor(odnbench, data)
    assert status == 0, told
    assert "300w in" in told and "wflw in" in told


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as place:
        place.bind(os.path.relpath(path))  # its path may have 108 bytes


def test_what_is_no_file_is_named_and_never_waited_for(odnbench: Run, data: Path) -> None:
    made = {
        "a named pipe": os.mkfifo,
        "a socket": make_socket,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a folder": Path.mkdir,
    }
    paths = {}
    for folder in ("ibug", "afw"):  # pictures in the one, annotations in the other
        for number, (what, make) in enumerate(made.items()):
            path = data / "300w" / folder / f"odd_{number}"
            for suffix in ("png", "pts"):
                shutil.copy(path.with_name(f"image_0001.{suffix}"), f"{path}.{suffix}")
            path = path.with_suffix(".png" if folder == "ibug" else ".pts")
            path.unlink()
            make(path)
            paths[path] = what
    status, told = doctor(odnbench, data, "300w")
    assert status == 1
    assert "ibug 2 of 2" in told and "afw 2 of 2" in told
    for text in (told, refused(odnbench, data, "300w/ibug", "300w/afw")):
        for path, what in paths.items():
            assert f"{path}: it is {what} where a file was expected" in text


def test_pipes_in_place_of_annotations_are_named(odnbench: Run, rendered: Path, data: Path) -> None:
    pipes = [
        data / "aflw/AFLWinfo_release.mat",
        data / "cofw68/COFW_test_color.mat",
        data / "wflw/rendered.json",
    ]
    for name in ("aflw", "cofw68"):
        shutil.copytree(rendered / name, data / name)
    for pipe in pipes:
        pipe.unlink()
        os.mkfifo(pipe)
    status, told = doctor(odnbench, data)
    assert status == 1
    assert all(f"{pipe}: it is a named pipe where a file was expected" in told for pipe in pipes)
    assert "300w in" in told and "afw 2 of 2" in told


def test_names_in_two_cases_lose_no_face(odnbench: Run, data: Path) -> None:
    other = data / "300w/AFW"
    other.mkdir()
    for path in (data / "300w/afw").glob("image_0001.*"):
        path.rename(other / path.name)
    ibug = data / "300w/ibug"
    for suffix in ("png", "pts"):
        (ibug / f"image_0001.{suffix}").rename(ibug / f"Image_0000.{suffix}")
    status, told = doctor(odnbench, data, "300w")
    assert status == 0, told
    assert "afw 2 of 2" in told and "ibug 2 of 2" in told


def test_a_picture_and_its_annotation_may_differ_in_case(odnbench: Run, data: Path) -> None:
    picture = data / "300w/ibug/image_0000.png"
    picture.rename(picture.with_name("IMAGE_0000.PNG"))
    status, told = doctor(odnbench, data, "300w")
    assert status == 0, told
    for name in ("Image_0000.png", "imagE_0000.png"):
        shutil.copy(data / "300w/ibug/image_0001.png", data / "300w/ibug" / name)
    picture.with_name("IMAGE_0000.PNG").unlink()
    status, told = doctor(odnbench, data, "300w")
    assert status == 1
    assert "image_0000.pts" in told and "differ only in upper and lower case: keep one" in told


def test_two_roots_in_two_cases_are_told(odnbench: Run, data: Path, rendered: Path) -> None:
    shutil.copytree(rendered / "300w" / "afw", data / "300W" / "afw")
    status, told = doctor(odnbench, data)
    assert status == 1
    assert f"{data}/300W and {data}/300w differ only in upper and lower case: keep one" in told
    assert "wflw in" in told
    assert "keep one" in refused(odnbench, data, "300w")
    shutil.rmtree(data / "300W")
    (data / "300W").symlink_to("300w")  # a second name of the same folder
    assert doctor(odnbench, data)[0] == 0


@pytest.mark.parametrize(("of_picture", "of_annotation"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_the_other_unicode_form_is_the_same_name(
    odnbench: Run, data: Path, of_picture: str, of_annotation: str
) -> None:
    for suffix, form in (("png", of_picture), ("pts", of_annotation)):
        path = data / "300w/ibug" / f"image_0000.{suffix}"
        path.rename(path.with_name(f"{unicodedata.normalize(form, 'Zoë')}.{suffix}"))
    lists = data / "wflw/WFLW_annotations/list_98pt_rect_attr_train_test"
    for path in (data / "wflw/WFLW_images").rglob("*.png"):
        path.rename(path.with_name(unicodedata.normalize(of_picture, f"é{path.name}")))
    for path in lists.iterdir():
        text = path.read_text().replace("Rendered/", "Rendered/é")
        path.write_text(unicodedata.normalize(of_annotation, text))
    status, told = doctor(odnbench, data)
    assert status == 0, told
    assert "ibug 2 of 2" in told and "train 2 of 2, test 2 of 2" in told


def test_one_face_under_a_name_in_both_unicode_forms_is_told(odnbench: Run, data: Path) -> None:
    for form in ("NFC", "NFD"):
        for suffix in ("png", "pts"):
            path = data / "300w/ibug" / f"image_0000.{suffix}"
            shutil.copy(path, path.with_name(f"{unicodedata.normalize(form, 'Zoë')}.{suffix}"))
    status, told = doctor(odnbench, data, "300w")
    assert status == 1
    assert "stand beside it: keep the picture that the points were made on" in told


@pytest.mark.parametrize("name", [b"a \xff", b"a\nb \x1b[31m"])
def test_names_that_no_terminal_can_show_are_read_and_escaped(
    odnbench: Run, data: Path, name: bytes
) -> None:
    for suffix in ("png", "pts"):
        path = data / "300w/ibug" / f"image_0000.{suffix}"
        path.rename(os.fsdecode(os.fsencode(path.parent) + b"/" + name + b"." + suffix.encode()))
    status, told = doctor(odnbench, data, "300w")
    assert status == 0, told
    assert "ibug 2 of 2" in told
    assert "\n          ibug/a" in told
    told.encode()  # raises for what no terminal takes
    assert "\x1b" not in told and "\nb" not in told
    done = odnbench("data", "prepare", "300w/ibug", "--data-root", str(data), "--input-size", "32")
    assert done.returncode == 0, done.stderr
