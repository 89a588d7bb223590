"""examples/quickstart.ipynb: its cells run in a fresh folder, and its outputs are of its cells."""

import re
from pathlib import Path

import pytest

import odnbench

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")

NOTEBOOK = Path(odnbench.__file__).parents[1] / "examples" / "quickstart.ipynb"
TINY = '"epochs=1", "input_size=32", "rendered_train=24", "rendered_test=12", "batch_size=8"'


@pytest.mark.slow
def test_its_cells_run(tmp_path: Path, user_environment: dict[str, str]) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (settings,) = (cell for cell in notebook.cells if "SETTINGS =" in cell.source)
    settings.source, changed = re.subn(r'"epochs=.*(?=\])', TINY, settings.source)
    assert changed == 1
    resources = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(notebook, timeout=600, resources=resources)
    client.execute(env=user_environment)
    assert len(list(tmp_path.glob("runs/ablation/*/done"))) == 4


def test_it_is_committed_as_it_ran() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(out.output_type == "error" for cell in cells for out in cell.outputs)
    pictures = [out for cell in cells for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 2
    assert NOTEBOOK.stat().st_size < 500_000
    assert "/tmp/" not in NOTEBOOK.read_text(encoding="utf-8")
