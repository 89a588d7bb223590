"""From the name of a split to prepared faces: found on disk, or rendered where the data set is
absent.

What was found, what is missing and what was substituted is told in `Coverage`, which travels with
every number into tables, figures, files and MLflow runs. Prepared sets are cached by content,
written beside their place and renamed into it, so that a killed or doubled run leaves no half set
behind.
"""

import hashlib
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from odnbench.datasets.faces import Face, FaceSet, prepare
from odnbench.datasets.rendered import RENDERER_VERSION, render_face
from odnbench.errors import OdnbenchError
from odnbench.registry import Dataset, Registry, import_target
from odnbench.specs import Coverage, DataSpec, Protocol, content_id

CACHE_VERSION = 1  # raise it whenever the same files give other prepared faces
RENDERED_SEED = 2019


@dataclass(frozen=True)
class Faces:
    """All that a trial trains on and is tested on. `test` holds the parts of every test split."""

    train: FaceSet
    test: FaceSet
    coverage: tuple[Coverage, ...]
    notes: tuple[str, ...]  # what was substituted or is missing, for people

    @property
    def fingerprint(self) -> str:
        """Hash of both face lists: part of a trial's content id."""
        return content_id(self.train.fingerprint, self.test.fingerprint)


def find_root(dataset: Dataset, data_root: Path | None) -> Path | None:
    """The folder of `dataset`: `data_root` itself, or a folder of one of its names below it.

    Raises OdnbenchError if `data_root` is given and is not a folder.
    """
    if data_root is None:
        return None
    if not data_root.is_dir():
        raise OdnbenchError(
            f"data root {data_root} is not a folder; mend --data-root or $ODNBENCH_DATA"
        )
    for folder in (data_root, *(data_root / name for name in dataset.names)):
        if any((folder / name).is_dir() for name in dataset.found_by):
            return folder
    return None


def load_faces(
    data: DataSpec,
    registry: Registry,
    data_root: Path | None,
    cache: Path,
    *,
    require_data: bool = False,
) -> Faces:
    """The prepared faces of `data`; rendered ones where its data set is not below `data_root`.

    Raises OdnbenchError for faulty files, for a set without training or test faces, and, with
    `require_data`, for an absent data set.
    """
    protocol = registry.get(Protocol, data.protocol)
    store = _Store(data, protocol, registry, data_root, cache)
    names = {split.partition("/")[0] for split in (data.train, *data.test)}
    roots = {name: find_root(registry.get(Dataset, name), data_root) for name in names}
    absent = sorted(name for name, root in roots.items() if root is None)
    if absent and require_data:
        raise OdnbenchError(
            f"--require-data: {', '.join(absent)} not found below {data_root or 'any data root'}; "
            "give --data-root or set ODNBENCH_DATA"
        )
    notes = [
        f"{name} is not on this machine: rendered faces of the same point scheme stand in for it "
        "(give --data-root or set ODNBENCH_DATA)"
        for name in absent
    ]
    train, train_coverage = store.union([data.train], roots, data.rendered_train, notes)
    test, test_coverage = store.union(data.test, roots, data.rendered_test, notes)
    if store.faults:
        raise OdnbenchError("\n".join(dict.fromkeys(store.faults)))
    for splits, found in (([data.train], train), (data.test, test)):
        if found is None:
            raise OdnbenchError(f"{', '.join(splits)}: none of its faces is below {data_root}")
    assert train is not None and test is not None
    return Faces(train, test, (*train_coverage, *test_coverage), tuple(notes))


def split_validation(train: FaceSet, fraction: float) -> tuple[FaceSet, FaceSet]:
    """Training and validation part of `train`, the same for every trial and seed.

    Raises OdnbenchError where fewer than two faces would be left to train on.
    """
    order = np.random.default_rng(0).permutation(len(train))
    count = max(1, round(len(train) * fraction))
    if len(train) - count < 2:
        raise OdnbenchError(
            f"{train.name}: {len(train)} faces leave {len(train) - count} to train on with "
            f"data.validation_fraction {fraction}; lower it, or give more faces"
        )
    return train[np.sort(order[count:])], train[np.sort(order[:count])]


@dataclass(frozen=True)
class _Store:
    """Prepared parts of data sets, from the cache where they are in it."""

    data: DataSpec
    protocol: Protocol
    registry: Registry
    data_root: Path | None
    cache: Path
    faults: list[str] = field(default_factory=list)  # of files, to be told all at once

    def union(
        self,
        splits: Iterable[str],
        roots: dict[str, Path | None],
        rendered_faces: int,
        notes: list[str],
    ) -> tuple[FaceSet | None, list[Coverage]]:
        """One set of all faces of `splits`, and the coverage of each split; adds to `notes`."""
        sets, coverage, seen = [], [], set()
        for split in splits:
            name, _, split_name = split.partition("/")
            dataset, root = self.registry.get(Dataset, name), roots[name]
            parts = dataset.parts_of(split_name)
            found: dict[str, FaceSet | None] = {}
            for part in parts:
                try:
                    found[part] = self._part(dataset, part, root, rendered_faces, parts)
                except OdnbenchError as error:
                    found[part] = None
                    self.faults.append(str(error))
            faces = sum(len(s) for s in found.values() if s is not None)
            official = sum(dataset.parts[part].faces for part in parts)
            coverage.append(Coverage(split, faces, official, rendered=root is None))
            for part, face_set in found.items():
                have, wanted = len(face_set) if face_set else 0, dataset.parts[part].faces
                if root is not None and have < wanted:
                    folder = dataset.parts[part].folder
                    notes.append(f"{split}: {have} of the {wanted} pictures in {folder}/ are there")
                if face_set is not None and (name, part) not in seen:
                    seen.add((name, part))
                    sets.append(face_set)
        return (_concatenate(sets) if sets else None), coverage

    def _part(
        self,
        dataset: Dataset,
        part: str,
        root: Path | None,
        rendered_faces: int,
        parts: tuple[str, ...],
    ) -> FaceSet | None:
        """The prepared faces of one part, or None if there are none."""
        entry, name = dataset.parts[part], f"{dataset.name}/{part}"
        size, margin = self.data.stored_size, self.data.stored_size / self.data.input_size
        recipe = [CACHE_VERSION, dataset.name, part, self.protocol, margin, size]
        if root is None:
            official = [dataset.parts[name].faces for name in parts]
            count = _shares(rendered_faces, official)[parts.index(part)]
            key = content_id(
                *recipe, "rendered", RENDERER_VERSION, count, entry.rendered, dataset.scheme
            )
            faces = _render(name, entry.rendered, count, dataset.scheme, round(1.2 * size))
        else:
            found: list[Face] = import_target(dataset.target)(root, name, entry)
            key = content_id(*recipe, _signature(found))
            faces = iter(found)
        folder = self.cache / key
        if folder.is_dir():
            return _load(folder)
        listed = list(faces)
        if not listed:
            return None
        prepared = prepare(name, listed, self.protocol, margin, size, rendered=root is None)
        _save(prepared, folder)
        return _load(folder)


def _render(part: str, difficulty: str, count: int, scheme: str, size: int) -> Iterator[Face]:
    for index in range(count):
        seed = zlib.crc32(part.encode()) ^ RENDERED_SEED  # parts share no face
        face = render_face(seed, index, scheme=scheme, size=size, difficulty=difficulty)
        yield Face(f"rendered/{part}/{index}", part, face.image, face.points, face.occluded)


def _shares(total: int, weights: list[int]) -> list[int]:
    """Whole numbers in proportion to `weights` that add up to `total`."""
    ends = np.round(np.cumsum(weights) * total / sum(weights)).astype(int)
    return [int(n) for n in np.diff(ends, prepend=0)]


def _signature(faces: list[Face]) -> str:
    """Hash of points and of the pictures' sizes and times: changes when a file changes."""
    digest = hashlib.sha256()
    for face in faces:
        assert isinstance(face.image, Path)
        stat = face.image.stat()
        digest.update(f"{face.id}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        digest.update(face.points.tobytes())
    return digest.hexdigest()


def _concatenate(sets: list[FaceSet]) -> FaceSet:
    if len(sets) == 1:
        return sets[0]
    return FaceSet(
        name="+".join(s.name for s in sets),
        images=np.concatenate([s.images for s in sets]),
        points=np.concatenate([s.points for s in sets]),
        crop_to_image=np.concatenate([s.crop_to_image for s in sets]),
        occluded=np.concatenate([s.occluded for s in sets]),
        ids=tuple(i for s in sets for i in s.ids),
        parts=tuple(p for s in sets for p in s.parts),
        rendered=any(s.rendered for s in sets),
    )


def _save(faces: FaceSet, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as temporary:
        new = Path(temporary) / "set"
        new.mkdir()
        np.save(new / "images.npy", faces.images)
        np.savez(
            new / "rest.npz",
            name=np.array(faces.name),
            points=faces.points,
            crop_to_image=faces.crop_to_image,
            occluded=faces.occluded,
            ids=np.array(faces.ids),
            parts=np.array(faces.parts),
            rendered=np.array(faces.rendered),
        )
        try:
            new.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have been first, with the same content
                raise


def _load(folder: Path) -> FaceSet:
    with np.load(folder / "rest.npz", allow_pickle=False) as rest:
        return FaceSet(
            name=str(rest["name"]),
            images=np.load(folder / "images.npy", mmap_mode="r"),
            points=rest["points"],
            crop_to_image=rest["crop_to_image"],
            occluded=rest["occluded"],
            ids=tuple(map(str, rest["ids"])),
            parts=tuple(map(str, rest["parts"])),
            rendered=bool(rest["rendered"]),
        )
