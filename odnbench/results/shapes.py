"""The sizes inside a network that decide whether its modules can work."""

# h×w feature map Z, d length of the hybrid feature vector, k columns of M, L landmarks

from dataclasses import dataclass

# Cells along a side of Z below which places can hardly be told apart.
_LEAST_SIDE = 3


@dataclass(frozen=True)
class Shapes:
    """The sizes of a network's feature map and structural matrix."""

    landmarks: int  # L
    # h and w of the feature map Z that modules take; None where Z is averaged to a vector at once.
    feature_map: tuple[int, int] | None = None
    # d and k of the structural matrix M; None where the network has none.
    structural_matrix: tuple[int, int] | None = None

    @property
    def limits(self) -> tuple[str, ...]:
        """What these sizes keep the modules from doing, with the cure, a sentence each."""
        found = []
        if self.feature_map is not None and min(self.feature_map) < _LEAST_SIDE:
            h, w = self.feature_map
            found.append(
                f"the feature map Z is {h}×{w}, so small that GM and DM can hardly tell places "
                "apart and down-sampling leaves a single cell: raise data.input_size, or take a "
                "smaller stride, as model.attach = stride-16"
            )
        if self.structural_matrix is not None:
            d, k = self.structural_matrix
            if d <= k:
                found.append(
                    f"the structural matrix M is {d}×{k}, not tall: LM has nothing to reduce; take "
                    "an LM of fewer columns, or a larger feature map"
                )
            if k > 2 * self.landmarks:
                found.append(
                    f"the structural matrix M has {k} columns, more than the {2 * self.landmarks} "
                    f"coordinates: at least {k - 2 * self.landmarks} of its directions get no "
                    "gradient of the data term; take an LM of fewer columns"
                )
        return tuple(found)
