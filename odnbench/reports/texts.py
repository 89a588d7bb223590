"""Numbers as people read them, for all formats that are text and for the command line."""

from collections.abc import Mapping, Sequence

from odnbench.metrics.intervals import Interval
from odnbench.metrics.significance import Comparison
from odnbench.plan.spaces import Parameter
from odnbench.plan.trials import Coverage
from odnbench.reports.costs import Machine
from odnbench.reports.occlusion import Told
from odnbench.reports.ranks import RankRow
from odnbench.reports.rows import Base, Measured
from odnbench.reports.terms import INERT_BELOW, Term
from odnbench.results.searches import PRUNERS, SAMPLERS, PointState, SearchSettings

NOTHING = "–"


def with_interval(number: Measured | None) -> str:
    """Mean, ± standard deviation over seeds where there are several, and its interval."""
    if number is None:
        return NOTHING
    text = f"{number.mean:.2f}"
    if number.deviation is not None:
        text += f" ± {number.deviation:.2f}"
    if number.interval is not None:
        text += f" ({number.interval.low:.2f}–{number.interval.high:.2f})"
    return text


def rounded(number: Measured | None) -> str:
    """The mean over seeds, to one digit after the point."""
    return NOTHING if number is None else f"{number.mean:.1f}"


def counted(number: int | None) -> str:
    """A whole number with commas between its thousands."""
    return NOTHING if number is None else f"{number:,}"


def count_of(count: int, what: str) -> str:
    """ "1 trial", "2 trials"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def faces(coverage: Coverage) -> str:
    """ "400 rendered faces", "40 of 135 real faces"."""
    kind = "rendered" if coverage.rendered else "real"
    is_part = not coverage.rendered and coverage.official not in (0, coverage.faces)
    return f"{coverage.faces}{f' of {coverage.official}' if is_part else ''} {kind} faces"


def millions(number: float | None) -> str:
    """A large number in millions."""
    return NOTHING if number is None else f"{number / 1e6:,.1f} M"


def megabytes(size: float | None) -> str:
    """A size in bytes, in MB of a million bytes."""
    return NOTHING if size is None else f"{size / 1e6:,.1f} MB"


def milliseconds(time: float | None) -> str:
    """A time in ms, without its unit."""
    return NOTHING if time is None else f"{time:.2f}"


def machine_name(machine: Machine) -> str:
    """What a cost was measured on."""
    threads = f"{machine.threads} thread{'' if machine.threads == 1 else 's'}"
    return f"{machine.device}, {threads}, {machine.precision}"


def relative(comparison: Comparison) -> str:
    """A difference in percent of the reference's mean, with its interval."""
    text = f"{comparison.percent:+.1f} %"
    if not comparison.interval.tells(comparison.reference_mean):
        return text
    ends = (comparison.interval.low, comparison.interval.high)
    low, high = (100 * end / comparison.reference_mean for end in ends)
    return f"{text} ({low:+.1f} to {high:+.1f})"


def points(interval: Interval | None, scale: float = 1) -> str:
    """A difference in percentage points, with its interval.

    scale: 100 for a difference of errors that are fractions.
    """
    if interval is None:
        return NOTHING
    e, low, high = (scale * x for x in (interval.estimate, interval.low, interval.high))
    return f"{e:+.2f} ({low:+.2f} to {high:+.2f})" if interval.is_bounded else f"{e:+.2f}"


def within_faces(told: Told | None) -> str:
    """The AUROC within a face, with its interval."""
    if told is None or told.within is None:
        return NOTHING
    return f"{told.within.estimate:.3f} ({told.within.low:.3f}–{told.within.high:.3f})"


def verdict_on_map(told: Told) -> str:
    """How P compares in occluded and visible places of a face, in the words of a table."""
    return {
        "smaller": "P is smaller where occluded",
        "larger": "P is larger where occluded",
        "unclear": "no detectable difference",
    }[told.map_is]


def share(term: Term | None) -> str:
    """What a penalty does: its share of the gradient, or why it has none."""
    if term is None:
        return NOTHING
    if term.share is None:
        return "off"
    return f"{term.share:.1e}{', inert' if term.is_inert else ''}"


def inert_below() -> str:
    """The share of the gradient below which a penalty is called inert."""
    return f"{INERT_BELOW:.0e}".replace("e-0", "e-")


def carrier(base: Base | None) -> str:
    """A backbone, where the feature map leaves it, and the options of the network around it."""
    if base is None:
        return "unknown backbone"
    layer = base.attach if base.attach == base.layer else f"{base.attach}: {base.layer}"
    options = [
        f"{name} = {str(value).lower() if isinstance(value, bool) else value}"
        for name, value in base.options.items()
    ]
    return ", ".join([f"{base.backbone} ({layer})", *options])


def matrix_size(rank: RankRow) -> str:
    """The size of M; where results do not hold it, how many singular values they hold."""
    if rank.shape is None:
        return f"{len(rank.spectrum)} singular values"
    return "{} × {}".format(*rank.shape)


def states(counts: Mapping[PointState, int]) -> str:
    """ "24 complete, 14 pruned, 2 failed"; "" for no points."""
    order: tuple[PointState, ...] = ("complete", "pruned", "failed", "running")
    return ", ".join(f"{counts[state]} {state}" for state in order if counts.get(state))


def sampler(settings: SearchSettings) -> str:
    """What proposes the points of a search."""
    return f"{SAMPLERS.get(settings.sampler, settings.sampler)}, seed {settings.seed}"


def pruner(settings: SearchSettings, epochs: int) -> str:
    """What stops points early, and from when on. epochs: of a trial that is not stopped."""
    told = PRUNERS.get(settings.pruner, settings.pruner)
    if settings.pruner == "none":
        return told
    steps, what = (epochs, "epoch") if settings.repeats == 1 else (settings.repeats, "training")
    return f"{told}, from {what} {settings.first_step(steps)} of {steps} on"


def values_of(parameter: Parameter) -> str:
    """What a search tries for a parameter: its choices, or its range and scale."""
    if parameter.choices:
        return ", ".join(map(str, parameter.choices))
    text = f"{parameter.low:g} to {parameter.high:g}"
    text += ", logarithmic" if parameter.scale == "log" else ""
    text += ", whole numbers" if parameter.whole else ""
    return f"{text}, or 0" if parameter.zero else text


def conditions(parameter: Parameter) -> str:
    """Where a parameter is varied."""
    told = [
        f"{key.rpartition('.')[2]} is {' or '.join(map(str, values))}"
        for key, values in parameter.when.items()
    ]
    return f"where {listed(told)}" if told else "everywhere"


def listed(names: Sequence[str]) -> str:
    """ "a, b and c"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
