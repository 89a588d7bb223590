"""From texts and tables to typed values: what fits is taken, what does not is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from odnbench.errors import OdnbenchError, unknown
from odnbench.plan.conversion import (
    convert,
    from_mapping,
    get_at,
    leaf_types,
    parse,
    replace_at,
    to_mapping,
)
from odnbench.plan.specs import AugmentSpec, DataSpec, TrainSpec


@dataclass(frozen=True)
class Inner:
    lambda_: float = 0.5
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner = field(default_factory=Inner)
    mode: Literal["fast", "exact"] = "fast"
    pair: tuple[int, int] = (0, 1)
    table: Mapping[str, float] = field(default_factory=dict)
    flag: bool = False
    maybe: int | None = None


def test_a_full_table_becomes_a_dataclass_and_comes_back() -> None:
    table = {
        "count": 3,
        "inner": {"lambda": 2, "names": ["a", "b"]},
        "mode": "exact",
        "pair": [4, 5],
        "table": {"x": 1, "y": 2.5},
        "flag": True,
        "maybe": 7,
    }
    built = from_mapping(Outer, table, "here")
    assert built == Outer(3, Inner(2.0, ("a", "b")), "exact", (4, 5), {"x": 1, "y": 2.5}, True, 7)
    assert to_mapping(built) == table
    assert isinstance(built.inner.lambda_, float)


def test_keys_that_are_left_out_keep_their_defaults() -> None:
    assert from_mapping(Outer, {"count": 1}, "here") == Outer(1)
    assert from_mapping(Outer, {"count": 1, "maybe": None}, "here").maybe is None


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, "here: missing key 'count'"),
        ({"cuont": 3}, "here: unknown key 'cuont'; did you mean 'count'?"),
        ({"count": "3"}, "here: count: expected a whole number, got '3'"),
        ({"count": 3.0}, "expected a whole number, got 3.0"),
        ({"count": True}, "expected a whole number, got True"),
        ({"count": 1, "flag": 1}, "flag: expected true or false, got 1"),
        ({"count": 1, "mode": "fats"}, "mode: unknown value 'fats'; did you mean 'fast'?"),
        ({"count": 1, "pair": [1, 2, 3]}, "pair: expected a list of a whole number"),
        ({"count": 1, "pair": 3}, "pair: expected a list"),
        ({"count": 1, "inner": 3}, "inner: expected a table, got 3"),
        ({"count": 1, "inner": {"lambda_": 1}}, "did you mean 'lambda'?"),
        ({"count": 1, "inner": {"lambda": "1"}}, "here: inner: lambda: expected a number"),
        ({"count": 1, "inner": {"names": "abc"}}, "names: expected a list of a text, got 'abc'"),
        ({"count": 1, "inner": {"names": ["a", 1]}}, "names: expected a text, got 1"),
        ({"count": 1, "table": {"x": "y"}}, "table.x: expected a number, got 'y'"),
        ({"count": 1, "table": []}, "table: expected a table"),
        ({"count": 1, "maybe": "x"}, "maybe: expected a whole number"),
    ],
)
def test_what_does_not_fit_is_told_with_place_rule_and_value(
    table: dict[str, Any], told: str
) -> None:
    with pytest.raises(OdnbenchError) as caught:
        from_mapping(Outer, table, "here")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted", "value"),
    [
        ("3", int, 3),
        ("-3", int, -3),
        ("3e-4", float, 3e-4),
        ("3", float, 3.0),
        ("True", bool, True),
        ("false", bool, False),
        ("a b", str, "a b"),
        ("fast", Literal["fast", "exact"], "fast"),
        ("a, b,", tuple[str, ...], ("a", "b")),
        ("1,2", tuple[int, ...], (1, 2)),
    ],
)
def test_typed_texts_mean_what_they_say(text: str, wanted: Any, value: object) -> None:
    found = parse(text, wanted, "-s key")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "wanted", "told"),
    [
        ("3.5", int, "-s key: expected a whole number, got '3.5'"),
        ("", float, "-s key: expected a number, got ''"),
        ("yes", bool, "-s key: expected true or false, got 'yes'"),
        ("fats", Literal["fast", "exact"], "did you mean 'fast'?"),
        ("1,x", tuple[int, ...], "-s key: expected a whole number, got 'x'"),
        ("9" * 400, int, "-s key: must be a number that 64 bits hold"),
        (str(2**63), int, "-s key: must be a number that 64 bits hold"),
    ],
)
def test_typed_texts_that_mean_nothing_are_told(text: str, wanted: Any, told: str) -> None:
    with pytest.raises(OdnbenchError) as caught:
        parse(text, wanted, "-s key")
    assert told in str(caught.value)


def test_a_whole_number_is_a_number_but_not_the_other_way_round() -> None:
    assert convert(2, float, "here") == 2.0
    with pytest.raises(OdnbenchError):
        convert(2.0, int, "here")


def test_a_field_below_is_replaced_in_a_copy() -> None:
    first = Outer(1)
    second = replace_at(first, "inner.lambda", 9.0)
    assert get_at(second, "inner.lambda") == 9.0
    assert get_at(first, "inner.lambda") == 0.5
    assert replace_at(second, "inner.lambda", 0.5) == first


def test_every_leaf_is_listed_by_its_public_name() -> None:
    assert list(leaf_types(Outer)) == [
        "count", "inner.lambda", "inner.names", "mode", "pair", "table", "flag", "maybe",
    ]  # fmt: skip


def test_a_name_that_resembles_none_gets_the_list_and_no_guess() -> None:
    told = str(unknown("module", "zzz", ["gm", "dm"]))
    assert told == "unknown module 'zzz'. Known: dm, gm"


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        (DataSpec, "input_size", 100),
        (DataSpec, "input_size", 0),
        (DataSpec, "input_size", -32),
        (DataSpec, "margin", 0.9),
        (DataSpec, "margin", float("nan")),
        (DataSpec, "validation_fraction", 1.0),
        (DataSpec, "validation_fraction", float("nan")),
        (DataSpec, "rendered_train", -5),
        (DataSpec, "rendered_test", 0),
        (DataSpec, "test", ()),
        (TrainSpec, "epochs", -1),
        (TrainSpec, "batch_size", 1),
        (TrainSpec, "learning_rate", 0.0),
        (TrainSpec, "learning_rate", float("nan")),
        (TrainSpec, "learning_rate", float("inf")),
        (AugmentSpec, "scale", 1.0),
        (AugmentSpec, "scale", -0.1),
        (AugmentSpec, "flip", 1.5),
        (AugmentSpec, "rotation_deg", float("nan")),
        (AugmentSpec, "translation", -0.1),
    ],
)
def test_values_out_of_range_are_told_by_their_key(kind: type, key: str, value: object) -> None:
    with pytest.raises(OdnbenchError, match=key):
        kind(**{key: value})
