from __future__ import annotations

import logging
from typing import Any

import pytest

from featx.errors import UsageError
from featx.maps.parameters import map_parameters


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("isomap", {}, "Expected the method tsne, umap or pca, received 'isomap'"),
        ("tsne", {"setting": "2019"}, "Expected the setting 2020"),
        ("umap", {"setting": "2020"}, "is one of t-SNE"),
        ("tsne", {"setting": "2020", "perplexity": 5}, "leave --perplexity out"),
        ("pca", {"perplexity": 5}, "--perplexity with --method tsne"),
        ("tsne", {"neighbours": 5}, "--neighbours with --method umap"),
        ("tsne", {"min_dist": 0.5}, "--min-dist with --method umap"),
        ("tsne", {"perplexity": 0.0}, "Expected a perplexity above 0, received 0"),
        ("tsne", {"perplexity": float("nan")}, "Expected a perplexity above 0, received nan"),
        ("umap", {"neighbours": 1}, "at least 2 neighbours"),
        ("umap", {"min_dist": 1.5}, "from 0 to 1, received 1.5"),
        ("umap", {"min_dist": float("nan")}, "from 0 to 1, received nan"),
        ("tsne", {"seed": -1}, "Expected a seed from 0"),
    ],
)
def test_invalid_parameters_are_refused(method: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        map_parameters(method, **options)


@pytest.mark.parametrize(("n", "lowered"), [(4, "1"), (31, "10"), (90, "29.7")])
def test_a_perplexity_too_large_is_lowered_with_a_notice(
    n: int, lowered: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert map_parameters("tsne").for_images(n).perplexity == (n - 1) / 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    message = f"The perplexity 30 is lowered to {lowered}, the highest that {n} images allow."
    assert record.getMessage() == message


def test_neighbours_too_many_are_lowered_with_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    assert map_parameters("umap").for_images(12).neighbours == 11
    assert caplog.messages == ["The 15 neighbours are lowered to 11, the most that 12 images allow."]


def test_values_that_fit_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    for parameters, n in (
        (map_parameters("tsne"), 91),
        (map_parameters("tsne", setting="2020"), 31),  # scikit-learn only requires a perplexity below n
        (map_parameters("umap"), 16),
        (map_parameters("pca"), 4),
    ):
        assert parameters.for_images(n) == parameters
    assert not caplog.records
