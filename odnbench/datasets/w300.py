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
    files = sorted(f for f in folder.rglob("*") if not f.name.startswith("."))  # "._a.pts" of macOS
    pictures = {f.with_suffix(""): f for f in files if f.suffix.lower() in _PICTURES}
    faces: dict[str, Face] = {}
    faults = []
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
        face = Face(id=f"{part.folder}/{path.stem}", part=name, image=picture, points=points)
        if face.id in faces:
            faults.append(f"{path}: the same face is also at {faces[face.id].image}")
        faces[face.id] = face
    if faults:
        raise OdnbenchError("\n  ".join([f"{name}: faulty files:", *faults]))
    return list(faces.values())


def _folder(root: Path, wanted: str) -> Path | None:
    """`root/wanted`, whatever the case of the names, and through a level that is there twice."""
    folder = root
    for name in wanted.split("/"):
        below = [f for f in folder.iterdir() if f.is_dir()]
        nested = [f for f in below if f.name.lower() == folder.name.lower()]
        places = below + [f for place in nested for f in place.iterdir() if f.is_dir()]
        matches = [f for f in places if f.name.lower() == name]
        if not matches:
            return None
        folder = min(matches)
    return folder
