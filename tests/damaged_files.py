"""What a power cut leaves of a file, and the command that trains the plan `finished` again."""

from pathlib import Path

from helpers import TINY

# What trained the plan of the fixture `finished`.
AGAIN = (
    "run", "ablation", "--executor", "inline",
    *(part for text in ("variant=mean-shape,brnet,odn", *TINY) for part in ("-s", text)),
)  # fmt: skip


def damage(path: Path, how: str) -> None:
    """Leaves of a file nothing ("empty"), as many zeros ("zeros"), its first half ("half"), or all
    of it with zeros in the middle ("hole").
    """
    content = path.read_bytes()
    half = len(content) // 2
    left = {
        "empty": b"",
        "zeros": bytes(len(content)),
        "half": content[:half],
        "hole": content[: half - 8] + bytes(16) + content[half + 8 :],
    }
    path.write_bytes(left[how])
