"""A scheme, a data set and a loader of the user's own, which no rendered face stands in for: the
commands take them, or say what is missing.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import Run

from odnbench.datasets.sources import load_faces
from odnbench.errors import OdnbenchError
from odnbench.plan.registry import Registry
from odnbench.plan.specs import DataSpec

ENTRIES = {
    "schemes": """
[five]
title = "Eyes, nose, corners of the mouth"
points = 5
flip = [1, 0, 2, 4, 3]
eye_corners = [0, 1]
pupils = [[0], [1]]
components = { mouth = [3, 4] }
""",
    "datasets": """
[mine]
title = "Five points in text files"
scheme = "five"
target = "my_loader:TextFiles"
names = ["mine"]
found_by = ["shots"]
parts.train = { source = "shots", faces = 12, rendered = "train" }
parts.test = { source = "shots", faces = 12, rendered = "common" }

[like-300w]
title = "300W's layout with fewer parts"
scheme = "68"
target = "odnbench.datasets.archives.w300:W300"
names = ["like-300w"]
found_by = ["afw"]
parts.train = { source = "afw", faces = 3, rendered = "train" }

[hard-300w]
title = "A difficulty that does not exist"
scheme = "68"
target = "odnbench.datasets.archives.w300:W300"
names = ["hard-300w"]
found_by = ["afw"]
parts.train = { source = "afw", faces = 3, rendered = "challengin" }
""",
    "protocols": """
[five]
title = "Five points"
scheme = "five"
error = "mean-distance"
normaliser = "inter-ocular"
box = "landmarks"
visibility = "all"
averaging = "face"
thresholds_percent = [8.0]
""",
}
LOADER = """
import numpy as np
from odnbench.datasets.archives.archive import Archive
from odnbench.datasets.faces import Face

class TextFiles(Archive):
    def files(self, part):
        return sorted((self.root / self.dataset.parts[part].source).iterdir())

    def read(self, part, faults):
        for path in self.files(part):
            if path.suffix == ".txt":
                picture = path.with_suffix(".png")
                yield Face(path.stem, f"mine/{part}", picture, np.loadtxt(path))

    def write(self, faces):
        raise AssertionError("no face of five points can be rendered")
"""
FIVE_POINTS = np.array([[40.0, 50], [88, 50], [64, 75], [48, 95], [80, 95]])
NO_STAND_IN = (
    "data set 'mine': faces are rendered with the points of scheme 98, 68, 29, 19 alone, "
    "got scheme 'five'"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with registry entries, a loader beside them, and twelve faces of five points."""
    (tmp_path / "entries").mkdir()
    for family, text in ENTRIES.items():
        (tmp_path / "entries" / f"{family}.toml").write_text(text)
    (tmp_path / "my_loader.py").write_text(LOADER)
    shots = tmp_path / "data" / "mine" / "shots"
    shots.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(12):
        cv2.imwrite(str(shots / f"{index}.png"), rng.integers(0, 256, (128, 128, 3), np.uint8))
        np.savetxt(shots / f"{index}.txt", FIVE_POINTS + rng.normal(0, 1, (5, 2)))
    return tmp_path


def test_the_console_script_imports_modules_of_the_current_folder(
    project: Path, user_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As it is under `python -m odnbench`, which puts the current folder first."""
    script = tmp_path_factory.mktemp("bin") / "odnbench"
    script.write_text("import sys\nfrom odnbench.cli.app import main\nsys.exit(main())\n")
    arguments = ["data", "show", "mine/train", "--data-root", "data", "--registry", "entries"]

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *options, str(script), *arguments],
            cwd=project, env=user_environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = run()
    assert done.returncode == 0, done.stderr
    assert "faces.png: mine/train" in done.stdout
    safe = run("-P")  # Python is asked to keep the current folder out
    assert safe.returncode == 2
    assert "target 'my_loader:TextFiles' cannot be imported" in safe.stderr


def test_an_own_data_set_is_examined_and_prepared(odnbench: Run, project: Path) -> None:
    options = ("--data-root", "data", "--registry", "entries")
    examined = odnbench("data", "doctor", "mine", *options)
    assert "train 12 of 12, test 12 of 12" in examined.stdout, examined.stderr
    prepared = odnbench("data", "prepare", "mine/train", "--input-size", "32", *options)
    assert prepared.returncode == 0, prepared.stderr
    assert "mine/train: mine/train 12; 40 px" in prepared.stdout


def test_an_own_data_set_with_the_points_of_a_shipped_scheme_is_rendered(
    odnbench: Run, project: Path
) -> None:
    command = ("data", "render", "faces", "--layout", "like-300w", "--faces", "2", "--size", "64")
    done = odnbench(*command, "--registry", "entries")
    assert done.returncode == 0, done.stderr
    assert "2 rendered faces in faces, in the layout of like-300w" in done.stdout
    assert len(list((project / "faces" / "afw").glob("*.pts"))) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "render", "faces", "--layout", "mine"],
        ["data", "show", "mine/train"],
        ["bench", "prepare", "mine"],
        ["run", "ablation", "--dry-run", "-s", "data.train=mine/train", "-s", "data.test=mine/test",
         "-s", "data.protocol=five"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)  # fmt: skip
def test_an_own_scheme_without_rendered_faces_is_told_in_a_line(
    odnbench: Run, project: Path, arguments: list[str]
) -> None:
    before = sorted(path.name for path in project.iterdir())
    done = odnbench(*arguments, "--registry", "entries")
    assert done.returncode == 2
    assert NO_STAND_IN in done.stderr
    assert "--data-root or ODNBENCH_DATA" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in project.iterdir()) == before


def test_training_on_an_absent_data_set_of_an_own_scheme_tells_it_once(project: Path) -> None:
    registry = Registry.load([project / "entries"])
    data = DataSpec(train="mine/train", test=("mine/test",), protocol="five")
    with pytest.raises(OdnbenchError) as told:
        load_faces(data, registry, None, project / "cache")
    assert str(told.value).count(NO_STAND_IN) == 1


def test_an_unknown_difficulty_is_told_with_the_nearest_one(odnbench: Run, project: Path) -> None:
    done = odnbench("data", "render", "x", "--layout", "hard-300w", "--registry", "entries")
    assert done.returncode == 2
    assert "parts.train.rendered: unknown difficulty 'challengin'" in done.stderr
    assert "did you mean 'challenging'?" in done.stderr
    assert not (project / "x").exists()


@pytest.mark.slow
def test_benchmarks_take_networks_of_the_user(odnbench: Run, project: Path) -> None:
    variants = "[mine]\ntitle = 'Mine'\nchanges = { 'model.low_rank' = 'none' }\n"
    (project / "entries" / "variants.toml").write_text(variants)
    shutil.rmtree(project / "data")
    command = ("bench", "evaluate", "--variant", "mine", "--backbone", "resnet18-slim")
    options = ("--size", "32", "--repeats", "1", "--registry", "entries")
    done = odnbench(*command, *options)
    assert done.returncode == 0, done.stderr
    assert (project / "bench" / "evaluate.json").is_file()
