"""What decides a map besides the rows: the method and its parameters, fitted to the number of images."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal, get_args

from featx.errors import UsageError

log = logging.getLogger("featx")

Method = Literal["tsne", "umap", "pca"]
Setting = Literal["2020"]
PERPLEXITY = 30.0
NEIGHBORS = 15
MIN_DIST = 0.1
SEEDS = 2**32


@dataclass(frozen=True)
class Parameters:
    """What makes a map; what a method does not have is None.

    Attributes:
        method: `tsne`, `umap` or `pca`.
        setting: `2020` for t-SNE as scikit-learn 0.22 had it.
        perplexity: Of t-SNE: the effective number of neighbours.
        neighbors: Of UMAP: the number of neighbours.
        min_dist: Of UMAP: how close points may come on the map, 0 to 1.
        seed: Of all that is random.
    """

    method: Method
    setting: Setting | None = None
    perplexity: float | None = None
    neighbors: int | None = None
    min_dist: float | None = None
    seed: int = 0

    def fitted(self, n: int) -> Parameters:
        """Return the parameters of a map of n images, at least 4: those too large for n are lowered, with a notice.

        A perplexity takes three times as many neighbours, so it is at most (n - 1) / 3. scikit-learn, which makes
        the map of the setting 2020, asks only that it is below n.
        """
        if self.perplexity is not None:
            highest = (n - 1) / 3
            if self.perplexity > highest and (self.setting is None or self.perplexity >= n):
                told = "The perplexity %g is lowered to %.3g, which is what %d images allow."
                log.warning(told, self.perplexity, highest, n)
                return replace(self, perplexity=highest)
        if self.neighbors is not None and self.neighbors >= n:
            told = "The %d neighbours are lowered to %d, which is what %d images allow."
            log.warning(told, self.neighbors, n - 1, n)
            return replace(self, neighbors=n - 1)
        return self

    def words(self, reduced: str = "") -> str:
        """Return t-SNE's or UMAP's parameters for people; `reduced` says what was done before."""
        if self.method == "umap":
            said = f"UMAP{reduced}, {self.neighbors} neighbours, minimal distance {self.min_dist:g}"
        elif self.setting is not None:
            said = f"t-SNE as in scikit-learn 0.22 (random start, rate 200), perplexity {self.perplexity:.3g}"
        else:
            said = f"t-SNE{reduced}, perplexity {self.perplexity:.3g}"
        return f"{said}, seed {self.seed}"


def map_parameters(
    method: Method = "tsne",
    *,
    setting: Setting | None = None,
    perplexity: float | None = None,
    neighbors: int | None = None,
    min_dist: float | None = None,
    seed: int = 0,
) -> Parameters:
    """Return the parameters that a user asks for, with their defaults.

    Args:
        method: `tsne`, `umap` or `pca`.
        setting: `2020`, of t-SNE alone, which has a perplexity of its own.
        perplexity: Of t-SNE, above 0; 30 if not given.
        neighbors: Of UMAP, at least 2; 15 if not given.
        min_dist: Of UMAP, 0 to 1; 0.1 if not given.
        seed: Of all that is random, from 0 to 2**32 - 1.

    Raises:
        UsageError: A value is out of range, or belongs to another method.
    """
    _check_names(method, setting)
    _check_owner(method, setting, {"perplexity": perplexity}, {"neighbors": neighbors, "min-dist": min_dist})
    if perplexity is not None and not perplexity > 0:
        raise UsageError(f"Expected a perplexity above 0, received {perplexity:g}.")
    if neighbors is not None and neighbors < 2:
        raise UsageError(f"Expected at least 2 neighbours, received {neighbors}.")
    if min_dist is not None and not 0 <= min_dist <= 1:
        raise UsageError(f"Expected a minimal distance from 0 to 1, received {min_dist:g}.")
    if not 0 <= seed < SEEDS:
        raise UsageError(f"Expected a seed from 0 to {SEEDS - 1}, received {seed}.")
    if method == "tsne":
        return Parameters(method, setting, perplexity=PERPLEXITY if perplexity is None else perplexity, seed=seed)
    if method == "umap":
        near = NEIGHBORS if neighbors is None else neighbors
        return Parameters(method, neighbors=near, min_dist=MIN_DIST if min_dist is None else min_dist, seed=seed)
    return Parameters(method, seed=seed)


def _check_names(method: str, setting: str | None) -> None:
    if method not in get_args(Method):
        raise UsageError(f"Expected the method {', '.join(get_args(Method)[:-1])} or pca, received {method!r}.")
    if setting not in (None, *get_args(Setting)):
        raise UsageError(f"Expected the setting 2020, received {setting!r}.")


def _check_owner(
    method: str, setting: str | None, of_tsne: dict[str, float | None], of_umap: dict[str, float | None]
) -> None:
    owned = {"tsne": of_tsne, "umap": of_umap, "pca": {}}
    for owner, options in owned.items():
        for name, value in options.items():
            if value is not None and owner != method:
                raise UsageError(f"Expected --{name} with --method {owner}, received it with {method}; leave it out.")
    if setting is not None and method != "tsne":
        raise UsageError(f"The setting {setting} is one of t-SNE; use --method tsne, or leave --setting out.")
    if setting is not None and of_tsne["perplexity"] is not None:
        raise UsageError(f"The setting {setting} has the perplexity {PERPLEXITY:g}; leave --perplexity out.")
