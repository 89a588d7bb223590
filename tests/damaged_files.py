"""What a power cut leaves of a file, and the command that trains the plan `finished` again."""

from pathlib import Path

AGAIN = (
    "run", "ablation", "--executor", "inline",
    "-s", "variant=mean-shape,brnet,odn", "-s", "epochs=2", "-s", "batch_size=8",
    "-s", "input_size=32", "-s", "rendered_train=24", "-s", "rendered_test=6",
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
