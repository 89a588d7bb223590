"""docs/robustness.md names the tests that hold it: each of them exists, and each kind has one."""

import ast
import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
PAGE = (CHECKOUT / "docs" / "robustness.md").read_text(encoding="utf-8")
KINDS = 20


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert named
    for file, function in named:
        tree = ast.parse((CHECKOUT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not function or function in functions, f"{file}::{function}"


def test_every_kind_has_a_row_with_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*`tests/", PAGE, re.MULTILINE)
    assert sorted(set(map(int, rows))) == list(range(1, KINDS + 1))
