"""From the name of a split to prepared faces: read from disk, or rendered where the data set is
absent.

`Coverage` records how many faces were found, whether some are missing and whether they are
rendered. It goes with every number into tables, figures, files and MLflow runs.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from odnbench.arrays import Rows
from odnbench.datasets.archives.archive import Archive, find_root, open_archive
from odnbench.datasets.archives.roots import instead, not_found
from odnbench.datasets.faces import Face, FaceSet
from odnbench.datasets.offsets import annotation_offsets
from odnbench.datasets.photographs import by_photograph
from odnbench.datasets.prepare import Recipe, prepare
from odnbench.datasets.rendering.render import RENDERER_VERSION
from odnbench.datasets.rendering.stand_ins import draw_faces
from odnbench.errors import OdnbenchError
from odnbench.plan.conversion import to_mapping
from odnbench.plan.entries import Dataset
from odnbench.plan.foreign import source_digest
from odnbench.plan.ids import content_id
from odnbench.plan.protocols import BoxRule, Protocol, Scheme
from odnbench.plan.registry import Registry
from odnbench.plan.specs import DataSpec
from odnbench.plan.trials import Coverage

# Raise it whenever the same files give other prepared faces.
CACHE_VERSION = 7
RENDERED_SEED = 2019


@dataclass(frozen=True)
class TrialFaces:
    """The faces that a trial trains on and is tested on."""

    train: FaceSet  # the validation part included
    test: FaceSet  # the faces of every test split, each face once
    coverage: tuple[Coverage, ...]  # of the training split, then of each test split
    notes: tuple[str, ...]  # sentences for people: what was substituted or is missing

    @property
    def fingerprint(self) -> str:
        """Hash of the training and the test faces: part of a trial's content id."""
        return content_id(self.train.fingerprint, self.test.fingerprint)

    def split(self, data: DataSpec) -> tuple[Rows, Rows]:
        """Rows of `train` to train on, and those to validate on; see `split_validation`."""
        return split_validation(self.train, data.validation_fraction, data.train_fraction)


def load_faces(
    data: DataSpec,
    registry: Registry,
    data_root: Path | None,
    cache: Path,
    *,
    require_data: bool = False,
    allow_partial: bool = False,
) -> TrialFaces:
    """The prepared faces of `data`; rendered ones where its data set is not below the data root.

    Raises OdnbenchError for faulty files; for a training split of which faces are missing, or test
    splits of which none is whole, unless `allow_partial`; for a set without training or test faces;
    and, with `require_data`, for an absent data set.
    """
    source = FaceSource(data, registry, data_root, cache)
    absent = source.absent([data.train, *data.test])
    if absent and require_data:
        told = [not_found(registry.get(Dataset, name), data_root) for name in absent]
        raise OdnbenchError("\n".join(f"--require-data: {line}" for line in told))
    notes = [
        f"{name} is not on this machine: rendered faces of the same point scheme stand in for it "
        f"(give --data-root or set ODNBENCH_DATA{instead(registry.get(Dataset, name), data_root)})"
        for name in absent
    ]
    train, (train_coverage,) = source.union([data.train], data.rendered_train)
    test, test_coverage = source.union(data.test, data.rendered_test)
    if source.faults:
        raise OdnbenchError("\n".join(dict.fromkeys(source.faults)))
    for splits, found in (([data.train], train), (data.test, test)):
        if found is None:
            names = " ".join(sorted({split.partition("/")[0] for split in splits}))
            raise OdnbenchError(
                f"{', '.join(splits)}: no picture of its faces is below {data_root}; "
                f"`odnbench data doctor {names}` says what is missing"
            )
    assert train is not None and test is not None
    whole = train_coverage.whole and any(coverage.whole for coverage in test_coverage)
    if not whole and not allow_partial:
        names = " ".join(
            sorted({c.split.partition("/")[0] for c in (train_coverage, *test_coverage)})
        )
        raise OdnbenchError(
            "faces are missing, which --allow-partial goes on without "
            f"(`odnbench data doctor {names}` says which):\n  " + "\n  ".join(source.missing)
        )
    scheme = registry.get(Scheme, registry.split(data.train)[0].scheme)
    train, repeated = by_photograph(train, scheme, cache)
    notes += [*source.missing, *source.rules]
    notes += [f"{data.train}: {repeated}"] if repeated else []
    return TrialFaces(train, test, (train_coverage, *test_coverage), tuple(notes))


def split_validation(
    train: FaceSet, fraction: float, train_fraction: float = 1.0
) -> tuple[Rows, Rows]:
    """Indices of the faces to train on and of those to validate on, the same in every trial and for
    every seed. fraction: share of the faces to validate on. train_fraction: share of the others to
    train on; the faces of a smaller share are among those of a larger one.

    Faces of one photograph (`FaceSet.groups`) stay together. Photographs are taken in a random
    order, each one that still fits, so that the share is at most `fraction`, and less than it by
    fewer faces than any photograph has that was not taken. Where none fits, it is the smallest.
    Raises OdnbenchError where fewer than two faces would be left to train on.
    """
    order = np.random.default_rng(0).permutation(len(train))
    groups: dict[str, list[int]] = {}
    for row in order.tolist():
        groups.setdefault(train.groups[row], []).append(row)
    wanted = max(1, round(len(train) * fraction))
    chosen: list[int] = []
    for rows in groups.values():
        if len(chosen) + len(rows) <= wanted:
            chosen += rows
    chosen = chosen or min(groups.values(), key=len, default=[])
    validation = np.sort(np.array(chosen, np.intp))
    others = order[~np.isin(order, validation)]
    left = round(train_fraction * len(others))
    if left < 2:
        cure = f"data.validation_fraction {fraction}; lower it"
        if train_fraction < 1:
            cure = f"data.train_fraction {train_fraction:g}; raise it"
        raise OdnbenchError(
            f"{train.name}: {len(train)} faces of {len(groups)} photographs leave {left} to train "
            f"on with {cure}, or give more faces"
        )
    return np.sort(others[:left]), validation


@dataclass
class FaceSource:
    """Prepared faces by the name of a split. They come from the cache, or are prepared and cached.

    The lists of faults, missing faces and rules grow with every split that is asked for.
    """

    data: DataSpec
    registry: Registry
    data_root: Path | None
    cache: Path  # the folder of prepared sets
    rule: BoxRule | None = None  # of the crops; None: that of the protocol
    # Called after each face that is prepared.
    advance: Callable[[], None] = lambda: None
    # A line for each fault in a file.
    faults: list[str] = field(default_factory=list)
    # A line for each part that has fewer faces than the official one.
    missing: list[str] = field(default_factory=list)
    # A line for each split with a rule of its own: the rule and the number of faces.
    rules: list[str] = field(default_factory=list)
    archives: dict[str, Archive | None] = field(default_factory=dict)

    def absent(self, splits: Iterable[str]) -> list[str]:
        """Names of the data sets of `splits` that are not below the data root."""
        names = sorted({self.registry.split(split)[0].name for split in splits})
        return [name for name in names if self._archive(self.registry.get(Dataset, name)) is None]

    def union(
        self, splits: Iterable[str], rendered_count: int
    ) -> tuple[FaceSet | None, list[Coverage]]:
        """One set of all faces of `splits`, each face once, and the coverage of each split.

        The set is None where there is no face. rendered_count: the number of faces to render for a
        split of an absent data set.
        """
        sets: list[FaceSet] = []
        coverage: list[Coverage] = []
        seen: set[tuple[str, str]] = set()
        for name in splits:
            found, covered = self.sets(name, rendered_count)
            coverage.append(covered)
            for face_set in found:
                identities = list(zip(face_set.parts, face_set.ids, strict=True))
                new = [i for i, identity in enumerate(identities) if identity not in seen]
                seen.update(identities)
                if len(new) == len(face_set):
                    sets.append(face_set)
                elif new:
                    sets.append(face_set[np.array(new)])
        return (FaceSet.concatenate(sets) if sets else None), coverage

    def sets(self, name: str, rendered_count: int) -> tuple[list[FaceSet], Coverage]:
        """The faces of split `name`, one set for each part with faces, and their coverage.

        rendered_count: see `union`.
        """
        dataset, split = self.registry.split(name)
        archive = self._archive(dataset)
        shares = _shares(rendered_count, [dataset.parts[part].faces for part in split.parts])
        found: list[FaceSet] = []
        whole = True
        for part, share in zip(split.parts, shares, strict=True):
            face_set: FaceSet | None
            try:
                if archive is None:
                    face_set = self._rendered(dataset, part, split.label, share)
                else:
                    face_set = self._on_disk(archive, part)
                    wanted, have = archive.official(part), len(face_set) if face_set else 0
                    if have < wanted:
                        whole = False
                        self.missing.append(f"{name}: {have} of the {wanted} faces of {part}")
            except OdnbenchError as error:
                self.faults.append(str(error))
                continue
            if face_set is not None and split.label:
                labelled = [split.label in labels.split() for labels in face_set.labels]
                face_set = face_set[np.flatnonzero(labelled)]
            if face_set is not None and len(face_set):
                found.append(face_set)
        count = sum(len(face_set) for face_set in found)
        rendered = archive is None or bool(archive.rendered)
        if split.rule:
            self.rules.append(f"{name}: {count} faces ({split.rule})")
        return found, Coverage(name, count, split.faces, rendered, whole)

    def _on_disk(self, archive: Archive, part: str) -> FaceSet | None:
        """The prepared faces of one part, or None where the part has no face on disk."""
        name, faults = f"{archive.dataset.name}/{part}", list[str]()
        if not archive.files(part):
            deque(archive.faces(part, faults), maxlen=0)
            if faults:  # such as a folder that cannot be read
                raise OdnbenchError("\n  ".join([f"{name}: faulty files:", *faults]))
            return None
        dataset = archive.dataset
        counts = [archive.official(part) for part in dataset.parts]
        code = [digest] if (digest := source_digest(dataset.target)) else []
        folder = self._folder(
            name, dataset.target, *code, dataset.scheme, counts, archive.signature(part)
        )
        read = archive.faces(part, faults)
        rendered = bool(archive.rendered)
        face_set = self._prepare(read, name, folder, rendered=rendered, faults=faults)
        if not len(face_set):
            return None
        if not rendered:
            scheme = self.registry.get(Scheme, dataset.scheme)
            offset = dataset.offset_of(part)
            offsets = annotation_offsets(face_set.points, face_set.scales, offset, scheme)
            face_set = replace(face_set, offsets=offsets)
        return face_set

    def _rendered(self, dataset: Dataset, part: str, label: str, count: int) -> FaceSet:
        """`count` rendered faces that stand in for one part."""
        name, difficulty = f"{dataset.name}/{part}", dataset.parts[part].rendered
        folder = self._folder(name, RENDERER_VERSION, difficulty, dataset.scheme, label, count)
        size = round(1.2 * self.data.stored_size)
        drawn = draw_faces(dataset, part, size, seed=RENDERED_SEED, label=label)
        return self._prepare(islice(drawn, count), name, folder, rendered=True, faults=[])

    def _prepare(
        self, faces: Iterable[Face], name: str, folder: Path, *, rendered: bool, faults: list[str]
    ) -> FaceSet:
        return prepare(
            faces,
            name,
            self._recipe,
            folder,
            rendered=rendered,
            faults=faults,
            advance=self.advance,
        )

    def _folder(self, *content: object) -> Path:
        """The folder of the prepared set that the recipe and `content` decide."""
        recipe = to_mapping(self._recipe)
        recipe["rule"] = {k: v for k, v in recipe["rule"].items() if k not in ("name", "title")}
        return self.cache / content_id(CACHE_VERSION, recipe, *content)

    @property
    def _recipe(self) -> Recipe:
        protocol = self.registry.get(Protocol, self.data.protocol)
        size = self.data.stored_size
        rule = self.rule or self.registry.get(BoxRule, protocol.box)
        return Recipe(rule, size / self.data.input_size, size)

    def _archive(self, dataset: Dataset) -> Archive | None:
        """The archive of `dataset`, or None where it is absent; looked for only once."""
        if dataset.name not in self.archives:
            root = find_root(dataset, self.data_root)
            self.archives[dataset.name] = None if root is None else open_archive(dataset, root)
        return self.archives[dataset.name]


def _shares(total: int, weights: list[int]) -> list[int]:
    """`total` divided into whole numbers in proportion to `weights`."""
    ends = np.round(np.cumsum(weights) * total / sum(weights)).astype(int)
    return [int(n) for n in np.diff(ends, prepend=0)]
