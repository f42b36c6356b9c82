"""The loop over epochs, the choice of the best one, and the weights of a balanced loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featx.recipes import FitPart
from featx.stats import Score

Labels = NDArray[np.int64] | NDArray[np.float32]
"""(n,) class indices; of several labels (n, L) targets: 1 is there, 0 is not there, NaN is not known."""


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch.

    Attributes:
        epoch: Its number, counted from 0.
        loss: Mean training loss in nats, over the batches before each step and with dropout, as in Keras. With
            `fit.class_weight` each image's loss is multiplied by the weight of its class. Of several labels it is the
            mean over the known ones.
        accuracy: Mean training accuracy, 0 to 1, measured in the same way. Of several labels it is the share of
            images whose known labels are all right.
        val_loss: Loss of the validation images after the epoch, never weighted; None, like `val_accuracy`, if there
            are none.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    val_loss: float | None = None
    val_accuracy: float | None = None


class Batches(Protocol):
    """Batches of cached rows, epoch by epoch."""

    def epoch(self, number: int, /) -> Iterator[tuple[NDArray[np.float32], Labels]]:
        """Yield the epoch's batches: (n, d) rows and their labels."""
        ...


class Trainer(Protocol):
    """What trains a head: an engine with the weights of one head."""

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool, /) -> tuple[float, float]:
        """Train for an epoch at a learning rate; return the mean loss and accuracy of its batches."""
        ...

    def keep_weights(self, nth: int = 1, /) -> None:
        """Keep a copy of the current weights, or with `nth` the mean of them and of the nth - 1 kept before."""
        ...

    def restore_weights(self) -> None:
        """Put the weights that were kept back; the head must not be trained afterwards."""
        ...


def fit_epochs(trainer: Trainer, batches: Batches, validate: Callable[[], Score], fit: FitPart) -> Iterator[Epoch]:
    """Train as a recipe says with any engine; yield the results of each epoch at its end.

    With `fit.patience`, training ends once so many epochs have passed without a lower validation loss. After the last
    epoch the trainer has the weights of the best one with patience or `fit.keep = "best"`, and with `fit.average = N`
    the mean of the weights at the ends of the last N epochs.

    Args:
        trainer: An engine with the head's weights.
        batches: Training rows.
        validate: Scores the validation rows; called after each epoch.
        fit: Number of epochs, learning rates, and whose weights the head gets.
    """
    lowest, best = math.inf, None
    for number in range(fit.epochs):
        rate = fit.rate(number)
        loss, accuracy = trainer.run_epoch(batches, number, rate, number + 1 == fit.epochs)
        held_out = validate()
        if fit.keeps_best and held_out.loss is not None and held_out.loss < lowest:
            lowest, best = held_out.loss, number
            trainer.keep_weights()
        nth = number + 1 - (fit.epochs - fit.average)
        if fit.average > 1 and nth >= 1:
            trainer.keep_weights(nth)
        yield Epoch(number, rate, loss, accuracy, held_out.loss, held_out.accuracy)
        if fit.patience is not None and best is not None and number - best >= fit.patience:
            break
    if best is not None or fit.average > 1:
        trainer.restore_weights()


def best_epoch(losses: Sequence[float | None]) -> int | None:
    """Return the index of the lowest validation loss, the first of several; None if none is finite.

    Args:
        losses: The validation loss of each epoch; None where no image was held out.
    """
    finite = [(loss, index) for index, loss in enumerate(losses) if loss is not None and math.isfinite(loss)]
    return min(finite)[1] if finite else None


def describe_stopping(losses: Sequence[float | None], fit: FitPart) -> str | None:
    """Return a clause on which epoch was best and whose weights are kept; None if that is the last of all epochs.

    Without patience it says so where the validation loss has risen since its best epoch, in the three decimals that
    it prints, and names a patience with which the same training would have kept that epoch.

    Args:
        losses: The validation loss of each epoch; None where no image was held out.
        fit: How the head was trained.
    """
    if fit.average > 1:
        first = len(losses) - fit.average + 1
        return f"the head has the mean of the weights at the ends of epochs {first} to {len(losses)}"
    index, trained = best_epoch(losses), len(losses)
    if index is None or index + 1 == trained == fit.epochs:
        return None
    best, lowest, last = index + 1, f"{losses[index]:.3f}", f"{losses[-1]:.3f}"
    if not fit.keeps_best:
        if lowest == last:
            return None
        return (
            f"validation loss was lowest at epoch {best} of {trained} ({lowest}) and has risen since ({last}); "
            f"--patience {max(10, _longest_wait(losses[:best]))} would have kept that epoch"
        )
    stopped = f"stopped at epoch {trained} of {fit.epochs}; " if trained < fit.epochs else ""
    return f"{stopped}the weights of epoch {best}, with the lowest validation loss ({lowest}), are kept"


def _longest_wait(losses: Sequence[float | None]) -> int:
    """Return the largest number of epochs from one lowest loss so far to the next."""
    lowest, since, longest = math.inf, 0, 0
    for index, loss in enumerate(losses):
        if loss is not None and loss < lowest:
            lowest, since, longest = loss, index, max(longest, index - since)
    return longest


def balanced_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return how much an image of each class counts in a balanced training loss, (classes,): `n / (classes * n_c)`.

    All images together then count as much as without weights. Source: `class_weight="balanced"` of scikit-learn,
    after King and Zeng, "Logistic regression in rare events data", Political Analysis 9 (2001), 137-163.

    Args:
        labels: (n,) class indices of the training images.
        classes: Number of classes; one may have no images, if all of them were skipped.
    """
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts)).astype(np.float32)


def balanced_label_weights(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much a label counts in a balanced training loss where it is not there and where it is, (L, 2).

    These are `n / (2 n_0)` and `n / (2 n_1)` of the n images where the label is known, n_0 without it and n_1 with
    it: `balanced_weights` of each label as two classes.

    Args:
        targets: (n, L) of the training images, with 1, 0 and NaN.
    """
    columns = (column[np.isfinite(column)] for column in targets.T)
    return np.stack([balanced_weights(column.astype(np.int64), 2) for column in columns])


def known_numbers(labels: Labels) -> tuple[int, int]:
    """Return how many labels a batch's mean loss is of, and how many rows its accuracy is of."""
    if labels.ndim == 1:
        return len(labels), len(labels)
    known = np.isfinite(labels)
    return int(known.sum()), int(known.any(axis=1).sum())
