"""Parameters of a loss that draws by itself, such as default probabilities: scores of the rows, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from raresim.losses.base import Loss
from raresim.losses.parts import Members
from raresim.measures.tail_sample import TailSample
from raresim.numerics.arrays import Float


def of_loss(loss: Loss) -> tuple[str, ...]:
    """Names of the parameters of ``loss``."""
    return (*loss.score_names, *loss.size_names)


def scores_of(loss: Loss, sample: TailSample, names: Sequence[str], by: Sequence[str]) -> Iterator[tuple[str, Float]]:
    """The score (k,) of each row of ``sample`` by a factor on each parameter of ``names``, with its name.

    After that of all parts together come those of the groups that each column of ``by`` makes: ``pd``, then
    ``pd.sector.energy``.

    Raises
    ------
    FieldError, DataError
        When ``loss`` has no such column, or a cell of it is empty.
    """
    m = len(loss.component_names)
    whole = np.zeros(m, dtype=np.int64)
    for labels, group in (((), whole), *(_grouped(loss, column) for column in by)):
        scores = loss.scores(sample.x, sample.parts, group, max(1, len(labels)))
        for name in names:
            for k, label in enumerate(labels or ("",)):
                yield f"{name}.{label}" if label else name, np.ascontiguousarray(scores[name][:, k])


def sizes_of(loss: Loss, sample: TailSample, names: Sequence[str], by: Sequence[str]) -> Iterator[tuple[str, Float]]:
    """What each row of ``sample`` loses (k,) in proportion to each parameter of ``names``, with its name.

    The names of groups are those of `scores_of`.
    """
    for column in by:
        labels, group = _grouped(loss, column)
        sums = sample.parts.sums([np.flatnonzero(group == k) for k in range(len(labels))])
        for name in names:
            for k, label in enumerate(labels):
                yield f"{name}.{label}", np.ascontiguousarray(sums[:, k])


def _grouped(loss: Loss, column: str) -> tuple[tuple[str, ...], Members]:
    """The names of the groups of parts by ``column``, and the group of each part."""
    of_each = loss.component_groups(column)
    labels = tuple(dict.fromkeys(of_each))
    places = {label: k for k, label in enumerate(labels)}
    return tuple(f"{column}.{label}" for label in labels), np.array([places[each] for each in of_each], dtype=np.int64)
