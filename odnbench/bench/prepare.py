"""Benchmark of preparing faces, compared with the least that must be done: decode and resample.

The baseline is a bare loop on two threads over cv2.imread and cv2.warpAffine with the crops given,
which reads no annotation and keeps nothing, or keeps the crops in an array. Ours finds the files,
reads annotations, crops by the box rule, checks, and writes the set to disk.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from odnbench.arrays import Floats
from odnbench.bench.timing import Benchmark, in_turns, machine
from odnbench.datasets.archives.archive import find_root, open_archive
from odnbench.datasets.crop import window_of
from odnbench.datasets.rendering.layouts import render_layout
from odnbench.datasets.sources import FaceSource
from odnbench.errors import OdnbenchError
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry
from odnbench.plan.specs import DataSpec

_THREADS = 2
BARE, KEPT = "bare loop", "bare loop, kept in memory"
FIRST, AGAIN = "prepare", "prepare again"

_MEMORY_SCRIPT = """
import re, sys, tempfile
from itertools import islice
from pathlib import Path
from odnbench.datasets.prepare import Recipe, prepare
from odnbench.datasets.rendering.stand_ins import draw_faces
from odnbench.plan.entries import Dataset
from odnbench.plan.protocols import BoxRule
from odnbench.plan.registry import Registry

registry, count, size = Registry.load(), int(sys.argv[1]), int(sys.argv[2])
faces = draw_faces(registry.get(Dataset, "aflw"), "train", size, seed=0)
recipe = Recipe(registry.get(BoxRule, "annotated"), 1.0, size)
with tempfile.TemporaryDirectory(dir=sys.argv[3]) as folder:
    prepare(islice(faces, count), "bench", recipe, Path(folder) / "set", rendered=True, faults=[])
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def bench_prepare(
    registry: Registry,
    dataset: str,
    data_root: Path | None,
    *,
    size: int,
    repeats: int,
    memory_faces: int,
    folder: Path,
) -> Benchmark:
    """Prepares every face of `dataset` below `data_root`, or 200 rendered ones per part of it.

    size: side of the prepared picture in px. memory_faces: number of rendered faces that a separate
    process prepares, whose peak memory is measured. folder: place for temporary files.
    """
    entry = registry.get(Dataset, dataset)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        root = find_root(entry, data_root)
        if root is None:
            root = Path(temporary) / "rendered" / dataset
            render_layout(entry, root, 200, size, 0)
        archive = open_archive(entry, root)
        protocol = registry.protocol_of(entry)
        rule = registry.get(BoxRule, protocol.box)
        faces = [f for part in entry.parts for f in archive.faces(part, []) if f.image is not None]
        files = [face.image for face in faces if isinstance(face.image, Path)]
        if len(files) < len(faces) or not files:
            raise OdnbenchError(f"{dataset}: the bare loop needs picture files; try 300w or wflw")
        maps = [window_of(face, rule, 1.0).crop_to_image(size) for face in faces]

        cache = Path(temporary) / "cache"

        def prepare() -> None:
            data = DataSpec(protocol=protocol.name, input_size=size, margin=1.0)
            source = FaceSource(data, registry, root, cache)
            for part in entry.parts:
                source.sets(f"{dataset}/{part}", rendered_count=0)
            if source.faults:
                raise OdnbenchError("\n".join(source.faults))

        def forget() -> None:
            shutil.rmtree(cache, ignore_errors=True)

        # The disk must not be busy with what the last repeat wrote: the cache is removed before the
        # contender that writes nothing to disk, and the disk is waited for before preparing.
        contenders: dict[str, Callable[[], object]] = {
            BARE: partial(_bare_loop, files, maps, size, keep=False),
            FIRST: prepare,
            AGAIN: prepare,
            KEPT: partial(_bare_loop, files, maps, size, keep=True),
        }
        timings = in_turns(contenders, repeats, before={KEPT: forget, FIRST: os.sync})
    peak = _peak_memory_mb(memory_faces, size, folder)
    facts = {
        "faces": len(faces),
        "size_px": size,
        "memory_faces": memory_faces,
        "peak_memory_mb": peak,
    }
    baselines = dict.fromkeys((FIRST, AGAIN, KEPT), BARE)
    return Benchmark("prepare", machine(), timings, baselines, facts)


def _bare_loop(files: Sequence[Path], maps: Sequence[Floats], size: int, *, keep: bool) -> None:
    """cv2.imread and cv2.warpAffine for each file with its map, on two threads."""
    kept = np.empty((len(files) if keep else 0, size, size, 3), np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

    def warp(index: int) -> None:
        picture = cv2.imread(str(files[index]))
        crop = cv2.warpAffine(picture, maps[index], (size, size), flags=flags)  # type: ignore[arg-type]
        if keep:
            kept[index] = crop

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(warp, range(len(files))):
            pass


def _peak_memory_mb(count: int, size: int, folder: Path) -> float:
    """Peak memory in MiB of a process that prepares `count` rendered faces; NaN if not known.

    getrusage would not do: a process begins with the peak of the process that started it.
    """
    if not Path("/proc/self/status").is_file():
        return float("nan")
    command = [sys.executable, "-c", _MEMORY_SCRIPT, str(count), str(size), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024
