"""Where a data set lies below the data root, and what to say where it is not found."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from odnbench.datasets.archives.tree import Tree, key
from odnbench.errors import OdnbenchError
from odnbench.files.regular import reason
from odnbench.plan.entries import Dataset

# Levels of folders below a folder with a data set's name where its root may be (aflw/data).
_DEPTH = 2
# Of files and folders that one line names.
_MOST_NAMED = 4
# What is often taken for a data set → what it is.
_TAKEN_FOR_ANOTHER = {
    "aflw.sqlite": "the 21 points of AFLW's own distribution; the 19 points are in "
    "AFLWinfo_release.mat, which came with Zhu et al., CVPR 2016",
}


def find_root(dataset: Dataset, data_root: Path | None) -> Path | None:
    """The folder of `dataset`, or None where it is not found.

    It is `data_root`, a folder in it that has one of the data set's names, or a folder up to two
    levels below one of these that has: the first that holds one of the files by which the data set
    is known. Raises OdnbenchError if `data_root` is given and is not a folder; where a folder with
    the data set's name cannot be read; and for two roots whose names differ in case alone.
    """
    if data_root is None:
        return None
    unread: list[str] = []
    for places in _places(dataset, data_root, unread):
        roots = [place for place in places if _holds(dataset, place)]
        for other in roots[1:]:
            if key(str(other)) == key(str(roots[0])) and not other.samefile(roots[0]):
                raise OdnbenchError(
                    f"{dataset.name}: {roots[0]} and {other} differ only in upper and lower case: "
                    "keep one"
                )
        if roots:
            return roots[0]
    if unread:
        raise OdnbenchError("\n".join(unread))
    return None


def not_found(dataset: Dataset, data_root: Path | None) -> str:
    """One line: that `dataset` is not found, where it was looked for, and what is there instead."""
    if data_root is None:
        return (
            f"{dataset.name} not found below any data root; give --data-root or set ODNBENCH_DATA"
        )
    looked = [str(place) for places in _places(dataset, data_root, []) for place in places]
    what = " or ".join(dataset.found_by)
    return (
        f"{dataset.name} not found below {data_root}: no {what} in {_named(looked)}"
        f"{instead(dataset, data_root) or '; give --data-root or set ODNBENCH_DATA'}"
    )


def nothing_found(datasets: Iterable[Dataset], data_root: Path | None) -> str:
    """One line: that none of `datasets` is found below `data_root`, and what is there instead."""
    if data_root is None:
        return "no data set: not found below any data root; give --data-root or set ODNBENCH_DATA"
    names = sorted(os.listdir(data_root))  # noqa: PTH208
    holds = f"which holds {_named(names)}" if names else "which is empty"
    hints = "".join(instead(dataset, data_root) for dataset in datasets)
    return f"no data set: not found below {data_root}, {holds}{hints}; give --data-root"


def instead(dataset: Dataset, data_root: Path | None) -> str:
    """What is below `data_root` that may be meant to be `dataset`, as the end of a sentence; empty
    where nothing is.
    """
    if data_root is None:
        return ""
    folders = Tree.of(data_root, _DEPTH).folders
    for folder, names in folders.items():
        if held := [name for wanted in dataset.found_by for name in names.get(wanted, ())]:
            place = Path(folder).relative_to(data_root)
            return f"; {place} holds {held[0]}: give it as --data-root, or name it {dataset.name}"
    for folder, names in folders.items():
        for name, is_what in _TAKEN_FOR_ANOTHER.items():
            if name.startswith(dataset.name) and name in names:
                return f"; {Path(folder, name).relative_to(data_root)} holds {is_what}"
    return ""


def _places(dataset: Dataset, data_root: Path, unread: list[str]) -> Iterator[list[Path]]:
    """The folders that may be the root, those of one level at a time. Adds a line to `unread` for
    each that cannot be read.
    """
    try:
        if not data_root.is_dir():
            raise NotADirectoryError
        folders = _folders(data_root)
    except OSError as error:
        why = "is not a folder"
        if not isinstance(error, NotADirectoryError):
            why = f"cannot be read: {reason(error)}"
        raise OdnbenchError(
            f"data root {data_root} {why}; mend --data-root or $ODNBENCH_DATA"
        ) from error
    yield [data_root]
    is_named = key(data_root.resolve().name) in dataset.names
    here = folders if is_named else [f for f in folders if key(f.name) in dataset.names]
    for _ in range(_DEPTH + 1):
        yield here
        below: list[Path] = []
        for folder in here:
            try:
                below += _folders(folder)
            except OSError as error:
                unread.append(f"{dataset.name}: {folder} cannot be read: {reason(error)}")
        here = below


def _folders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted. Raises OSError where it cannot be read."""

    def is_folder(entry: "os.DirEntry[str]") -> bool:
        try:
            return entry.is_dir()
        except OSError:  # a link that leads round in a circle
            return False

    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if is_folder(entry))


def _holds(dataset: Dataset, folder: Path) -> bool:
    """Whether `folder` holds one of the files by which `dataset` is known."""
    try:
        return any(key(name) in dataset.found_by for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False


def _named(names: list[str]) -> str:
    """The first few of `names`, and the number of the others."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
