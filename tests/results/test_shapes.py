"""What the sizes inside a network keep its modules from doing."""

import pytest

from odnbench.results.shapes import Shapes


@pytest.mark.parametrize(
    ("feature_map", "matrix", "told"),
    [
        ((3, 3), (256, 128), []),
        (None, None, []),
        ((7, 7), (137, 136), []),
        ((2, 2), (256, 128), ["Z is 2×2"]),
        ((2, 5), None, ["Z is 2×5"]),
        ((4, 4), (128, 128), ["M is 128×128, not tall"]),
        ((4, 4), (100, 128), ["M is 100×128, not tall"]),
        ((4, 4), (512, 256), ["256 columns, more than the 136 coordinates: at least 120"]),
        ((1, 1), (100, 256), ["Z is 1×1", "M is 100×256, not tall", "at least 120"]),
    ],
)
def test_limits_name_what_is_too_small_or_too_wide(
    feature_map: tuple[int, int] | None, matrix: tuple[int, int] | None, told: list[str]
) -> None:
    limits = Shapes(68, feature_map, matrix).limits
    assert len(limits) == len(told)
    assert all(text in limit for text, limit in zip(told, limits, strict=True))
