"""What each term of the objective, Eq. (3), did in training: its share of the gradient."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from odnbench.plan.conversion import get_at
from odnbench.plan.entries import LossWeight
from odnbench.reports.rows import Row

# A share of the gradient below which a term changes nothing that could be seen. A step of training
# is known to a few percent, since a batch is drawn at random; over the ten thousand steps of a long
# training, a pull of 1e-4 of a step that always points the same way adds up to a single step.
INERT_BELOW = 1e-4


@dataclass(frozen=True)
class Term:
    """One penalty of the objective in the trials of one row."""

    weight: LossWeight
    # Norm of the penalty's gradient over that of the data term's, on the tensor that the penalty
    # acts on: the median over epochs and seeds. None where the weight is 0.
    share: float | None

    @property
    def is_inert(self) -> bool:
        """Whether training goes as if the penalty were not there, though its weight is above 0."""
        return self.share is not None and self.share < INERT_BELOW


@dataclass(frozen=True)
class TermsRow:
    """The penalties of one row, without those that nothing in its networks is subject to."""

    row: Row
    terms: tuple[Term, ...]

    def term(self, weight: str) -> Term | None:
        """The penalty with the weight of that name; None where it acts on nothing."""
        return next((term for term in self.terms if term.weight.name == weight), None)

    @property
    def inert(self) -> tuple[Term, ...]:
        """The inert ones among the penalties."""
        return tuple(term for term in self.terms if term.is_inert)

    @property
    def least(self) -> Term | None:
        """The penalty with the smallest share of the gradient; None where all weights are 0."""
        acting = [term for term in self.terms if term.share is not None]
        return min(acting, key=lambda term: term.share or 0.0, default=None)


def terms_of(rows: Iterable[Row], weights: Sequence[LossWeight]) -> tuple[TermsRow, ...]:
    """The penalties of each row whose epochs hold shares of the gradient; see `Epoch`."""
    found = []
    for row in rows:
        epochs = [epoch for trial in row.trials for epoch in trial.epochs]
        if not any(epoch.gradient_shares for epoch in epochs):
            continue
        terms = []
        for weight in weights:
            shares = [
                epoch.gradient_shares[weight.name]
                for epoch in epochs
                if weight.name in epoch.gradient_shares
            ]
            if get_at(row.trials[0].trial.spec, f"loss.{weight.name}") == 0:
                terms.append(Term(weight, None))
            elif shares:
                terms.append(Term(weight, median(shares)))
        found.append(TermsRow(row, tuple(terms)))
    return tuple(found)
