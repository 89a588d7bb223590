"""300W, Sagonas et al., ICCVW 2013, in the layout of the official archives: a .pts beside each
picture.

Copies differ: one more level (afw/afw), upper-case names, jpg in place of png, mirrored pictures
that some tools leave behind (`*_mirror.*`, which are not part of the data set).
"""

from pathlib import Path

from odnbench.datasets.faces import Face
from odnbench.datasets.pts import read_pts
from odnbench.errors import OdnbenchError
from odnbench.registry import Part

_PICTURES = (".jpg", ".jpeg", ".png")
_POINTS = 68


def read_part(root: Path, name: str, part: Part) -> list[Face]:
    """The faces of one part ("300w/helen-test"), sorted by id; an empty list where its folder is
    not there.

    Raises OdnbenchError that lists every faulty .pts and every .pts without picture.
    """
    folder = _folder(root, part.folder)
    if folder is None:
        return []
    files = sorted(folder.rglob("*"))
    pictures = {f.with_suffix(""): f for f in files if f.suffix.lower() in _PICTURES}
    faces, faults = [], []
    for path in files:
        if path.suffix.lower() != ".pts" or path.stem.endswith("_mirror"):
            continue
        try:
            points = read_pts(path, _POINTS)
        except OdnbenchError as error:
            faults.append(str(error))
            continue
        picture = pictures.get(path.with_suffix(""))
        if picture is None:
            faults.append(f"{path}: no picture of the same name beside it")
            continue
        faces.append(Face(id=f"{part.folder}/{path.stem}", part=name, image=picture, points=points))
    if faults:
        raise OdnbenchError("\n  ".join([f"{name}: faulty files:", *faults]))
    return faces


def _folder(root: Path, wanted: str) -> Path | None:
    """`root/wanted`, whatever the case of the names on disk."""
    folder = root
    for name in wanted.split("/"):
        matches = [f for f in folder.iterdir() if f.is_dir() and f.name.lower() == name]
        if not matches:
            return None
        folder = matches[0]
    return folder
