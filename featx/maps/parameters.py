"""The method of a map and its parameters, checked and limited to what the number of images allows."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal, get_args

from featx.arguments import SEEDS
from featx.errors import UsageError

log = logging.getLogger("featx")

Method = Literal["tsne", "umap", "pca"]
Setting = Literal["2020"]
PERPLEXITY = 30.0
NEIGHBOURS = 15
MIN_DIST = 0.1


@dataclass(frozen=True)
class Parameters:
    """The parameters of a map, see `map_parameters`. Those of other methods are None."""

    method: Method
    setting: Setting | None = None
    perplexity: float | None = None
    neighbours: int | None = None
    min_dist: float | None = None
    seed: int = 0

    def for_images(self, n: int) -> Parameters:
        """Return the parameters for a map of n images, at least 4; values too large for n are lowered, with a notice.

        t-SNE looks at three times as many neighbours as the perplexity, so the limit is (n - 1) / 3. With the setting
        2020, scikit-learn only requires a perplexity below n.
        """
        highest = (n - 1) / 3
        limit = highest if self.setting is None else n - 1
        if self.perplexity is not None and self.perplexity > limit:
            text = "The perplexity %g is lowered to %.3g, the highest that %d images allow."
            log.warning(text, self.perplexity, highest, n)
            return replace(self, perplexity=highest)
        if self.neighbours is not None and self.neighbours >= n:
            log.warning(
                "The %d neighbours are lowered to %d, the most that %d images allow.", self.neighbours, n - 1, n
            )
            return replace(self, neighbours=n - 1)
        return self


def map_parameters(
    method: Method = "tsne",
    *,
    setting: Setting | None = None,
    perplexity: float | None = None,
    neighbours: int | None = None,
    min_dist: float | None = None,
    seed: int = 0,
) -> Parameters:
    """Check the parameters of a map and fill in their defaults.

    Args:
        method: `tsne`, `umap` or `pca`.
        setting: `2020`, for t-SNE only; it fixes the perplexity.
        perplexity: For t-SNE, above 0; default 30.
        neighbours: For UMAP, at least 2; default 15.
        min_dist: For UMAP, 0 to 1; default 0.1.
        seed: Seed of everything random, from 0 to 2**32 - 1.

    Raises:
        UsageError: A value is out of range, or belongs to another method.
    """
    _check_method(method, setting, perplexity=perplexity, neighbours=neighbours, min_dist=min_dist)
    if perplexity is not None and not perplexity > 0:
        raise UsageError(f"Expected a perplexity above 0, received {perplexity:g}.")
    if neighbours is not None and neighbours < 2:
        raise UsageError(f"Expected at least 2 neighbours, received {neighbours}.")
    if min_dist is not None and not 0 <= min_dist <= 1:
        raise UsageError(f"Expected a minimal distance from 0 to 1, received {min_dist:g}.")
    if not 0 <= seed < SEEDS:
        raise UsageError(f"Expected a seed from 0 to {SEEDS - 1}, received {seed}.")
    if method == "tsne":
        return Parameters(method, setting, perplexity=PERPLEXITY if perplexity is None else perplexity, seed=seed)
    if method == "umap":
        near = NEIGHBOURS if neighbours is None else neighbours
        return Parameters(method, neighbours=near, min_dist=MIN_DIST if min_dist is None else min_dist, seed=seed)
    return Parameters(method, seed=seed)


def _check_method(method: str, setting: str | None, **options: float | None) -> None:
    """Raise UsageError if a name is unknown or an option does not belong to the method."""
    if method not in get_args(Method):
        raise UsageError(f"Expected the method tsne, umap or pca, received {method!r}.")
    if setting not in (None, "2020"):
        raise UsageError(f"Expected the setting 2020, received {setting!r}.")
    for name, value in options.items():
        owner = "tsne" if name == "perplexity" else "umap"
        if value is not None and owner != method:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"Expected {option} with --method {owner}, received it with {method}; leave it out.")
    if setting is not None and method != "tsne":
        raise UsageError(f"The setting {setting} is one of t-SNE; use --method tsne, or leave --setting out.")
    if setting is not None and options["perplexity"] is not None:
        raise UsageError(f"The setting {setting} has the perplexity {PERPLEXITY:g}; leave --perplexity out.")
