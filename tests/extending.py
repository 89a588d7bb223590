"""The examples of docs/extending.md, as the package that a reader makes of them."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
# A block whose first line is a comment that begins with the path of a file.
_BLOCK = re.compile(
    r"^```(?:python|toml)\n# ([\w/-]+\.(?:py|toml))\b[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE
)


def write_examples(folder: Path) -> None:
    """Writes the files that the page shows to `folder`: the package mylab, and a pipeline."""
    blocks = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == len(dict(blocks)) > 10, "each file is shown once"
    for path, text in blocks:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / "mylab" / "__init__.py").touch()
