"""Parquet: predictions.parquet of a trial folder, or columns `face` and `predicted`.

`predicted` and `true` hold x0, y0, x1, y1, … of a face, `occluded` the flags of its true landmarks,
`box` left, top, right, bottom. Pixels are counted from 0.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from odnbench.errors import OdnbenchError, one_line, some
from odnbench.plan.protocols import FLIP_TEST
from odnbench.results.predictions import is_flip_test
from odnbench.scoring.formats.content import Content


def read_parquet(path: Path, *, truth: bool) -> Content:
    """What the file holds.

    truth: whether to take the annotations in a trial's file instead of its predictions. Raises
    OdnbenchError for a file that is none, or lacks a column.
    """
    try:
        # Not by its path: pyarrow would take "~" or "s3:" in it for another place.
        with path.open("rb") as file:
            table = pq.read_table(file)
            columns = table.to_pydict()
    except (pa.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise OdnbenchError(f"cannot be read as Parquet: {one_line(error)[:200]}") from error
    truth = truth and "true" in columns
    wanted = "true" if truth else "predicted"
    if not {"face", wanted} <= columns.keys():
        raise OdnbenchError(
            f"expected columns face and {wanted}; found {some(list(columns)) or 'none'}"
        )
    return Content(
        list(map(str, columns["face"])),
        columns[wanted],
        columns.get("occluded") if truth else None,
        columns.get("box"),
        notes=[FLIP_TEST] if is_flip_test(table) and not truth else [],
    )
