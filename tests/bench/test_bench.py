"""Benchmarks: what they report is what was timed."""

from odnbench.bench.timing import Benchmark, Timing, in_turns


def test_a_ratio_is_one_of_medians() -> None:
    timings = (Timing("a", (9.0, 1.0, 2.0)), Timing("b", (4.0, 100.0, 3.0)))
    found = Benchmark("x", "here", timings, {"a": "b"}, {})
    assert found.ratio("a") == found.ratio("a", "b") == 2.0 / 4.0


def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    timings = in_turns(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        repeats=2,
        before={"b": lambda: calls.append("before b")},
    )
    assert calls == ["a", "before b", "b"] * 3
    assert [(t.name, len(t.seconds)) for t in timings] == [("a", 2), ("b", 2)]
