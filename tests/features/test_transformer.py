"""The scikit-learn transformer: the rows of the cache, in the order of what it is given."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.typing import NDArray
from PIL import Image
from pipeline_data import SIZE, digest, expected_rows, files_of, resized, rows_by_digest, small_data, write_model
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import featx
from featx.errors import DataError, FeatxError, ImageError, UntrustedError, UsageError
from featx.features import compute as computing
from featx.features import transformer
from featx.features.transformer import FeatureExtractor
from featx.recipes import load_recipe
from featx.store import Store


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six grey images of two classes, three each."""
    return files_of(small_data(tmp_path_factory.mktemp("images"), train=3, test=0, classes=2))


@pytest.fixture
def extractor(tiny_model: Path, tmp_path: Path) -> FeatureExtractor:
    return FeatureExtractor(
        backbone=str(tiny_model), size=SIZE, preprocess="rescale", pooling="none", cache=tmp_path / "cache"
    )


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the rows that were computed in this process, in order."""
    digests: list[str] = []
    whole = computing.compute

    def counting(work: Any, *rest: Any) -> Any:
        digests.extend(item.image.digest for item in work)
        return whole(work, *rest)

    monkeypatch.setattr(transformer, "compute", counting)
    return digests


def labels_of(paths: list[Path]) -> list[str]:
    return [path.parent.name for path in paths]


def stored_keys(cache: Path) -> list[bytes]:
    """Every key in every shard, one that was computed twice as often as that."""
    shards = [(space.id, shard) for space in Store(cache).spaces() for shard in space.shards()]
    return [space.encode() + key for space, shard in shards for key in shard.keys.tolist()]


# --- the rows ---


def test_rows_are_the_networks_in_the_order_given(
    extractor: FeatureExtractor, images: list[Path], tiny_model: Path
) -> None:
    order = [images[4], images[0], images[4], images[2]]
    found = extractor.fit(images).transform(order)
    assert found.dtype == np.float32
    expected = expected_rows(tiny_model, [resized(path) for path in order])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found, clone(extractor).fit_transform(order))


def test_what_extract_computed_is_not_computed_again(
    extractor: FeatureExtractor, images: list[Path], computed: list[str]
) -> None:
    extraction = featx.extract(images[0].parents[2], extractor._wanted(), cache=extractor.cache)
    found = extractor.fit_transform(images)
    assert computed == []
    assert extractor.feature_set_ == extraction.space.plain.id
    rows = rows_by_digest(extraction)
    np.testing.assert_array_equal(found, [rows[digest(path)] for path in images])


@pytest.mark.parametrize(
    "given",
    [
        lambda paths: [str(path) for path in paths],
        lambda paths: tuple(paths),
        lambda paths: np.array([str(path) for path in paths]),
        lambda paths: np.array(paths, dtype=object)[:, np.newaxis],
        lambda paths: pd.Series([str(path) for path in paths], index=range(5, 11)),
        lambda paths: pd.DataFrame({"path": paths}),
    ],
    ids=["list", "tuple", "array", "column", "series", "frame"],
)
def test_paths_come_in_many_forms(extractor: FeatureExtractor, images: list[Path], given: Any) -> None:
    np.testing.assert_array_equal(extractor.fit_transform(given(images)), clone(extractor).fit_transform(images))


def test_recipe_and_arguments_decide_the_features(extractor: FeatureExtractor, tiny_model: Path) -> None:
    recipe = load_recipe("covid4-vgg16", {"backbone.name": str(tiny_model), "backbone.cut": "conv_2"})
    wanted = FeatureExtractor(recipe, size=48, pooling="max", cut="conv_1")._wanted()
    assert (wanted.backbone.name, wanted.images.size, wanted.backbone.cut) == (str(tiny_model), 48, "conv_1")
    assert (wanted.backbone.pooling, wanted.preprocess.mode) == ("max", "featurewise")
    assert (wanted.views.count, wanted.backbone.precision) == (1, "float32")
    assert FeatureExtractor(backbone="vgg16", precision="mixed")._wanted().backbone.precision == "mixed"
    assert FeatureExtractor()._wanted().backbone.name == "efficientnetlite0"
    with pytest.raises(UsageError, match="received both"):
        FeatureExtractor("covid4-vgg16", backbone="vgg16").fit(["a.png"])


# --- images in memory ---


@pytest.fixture(scope="module")
def pixels(images: list[Path]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(Image.open(path)) for path in images])


def test_pixels_have_the_features_of_their_file(
    extractor: FeatureExtractor, images: list[Path], pixels: NDArray[np.uint8], computed: list[str]
) -> None:
    assert pixels.shape == (6, 40, 40)
    of_files = extractor.fit_transform(images)
    np.testing.assert_array_equal(extractor.transform(pixels), of_files)
    assert len(computed) == 12  # under keys of their own
    in_rgb = np.repeat(pixels[..., np.newaxis], 3, axis=3)
    np.testing.assert_array_equal(extractor.transform(in_rgb), of_files)
    assert len(computed) == 12  # grey and its RGB are one image


def test_colours_keep_their_order(extractor: FeatureExtractor, tmp_path: Path) -> None:
    image = np.zeros((1, 40, 40, 3), np.uint8)
    image[..., 0] = 200
    Image.fromarray(image[0]).save(tmp_path / "red.png")
    extractor.fit(image)
    np.testing.assert_array_equal(extractor.transform(image), extractor.transform([tmp_path / "red.png"]))
    assert not np.array_equal(extractor.transform(image), extractor.transform(image[..., ::-1]))


def test_a_rotated_image_is_another(extractor: FeatureExtractor) -> None:
    """The same bytes in another shape have another row."""
    image = np.random.default_rng(0).integers(0, 256, (1, 20, 40), np.uint8)
    rows = extractor.fit_transform([image[0], image[0].reshape(40, 20), image[0]])
    assert not np.array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


# --- statistics ---


def test_statistics_are_those_of_the_images_fitted_on(
    extractor: FeatureExtractor, images: list[Path], pixels: NDArray[np.uint8]
) -> None:
    extractor.set_params(preprocess="featurewise").fit(images[:4])
    # The statistics of the images as the network sees them, in units of 1/255.
    seen = np.stack([resized(path) for path in images[:4]]) / 255
    assert extractor.spec_.preprocess.mean == pytest.approx(seen.mean(axis=(0, 1, 2)))
    assert extractor.spec_.preprocess.std == pytest.approx(seen.std(axis=(0, 1, 2)))
    before = extractor.spec_
    of_held_out = extractor.transform(images[4:])
    assert extractor.spec_ is before
    everything = clone(extractor).fit(images)
    assert everything.feature_set_ != extractor.feature_set_
    assert not np.array_equal(everything.transform(images[4:]), of_held_out)
    in_memory = clone(extractor).fit(pixels[:4])
    assert in_memory.feature_set_ == extractor.feature_set_


# --- scikit-learn's conventions ---


def test_nothing_happens_in_the_constructor(tmp_path: Path) -> None:
    strange = FeatureExtractor(1, backbone=2, engine="steam", cache=tmp_path / "no" / "cache")  # type: ignore[arg-type]
    assert clone(strange).get_params() == strange.get_params()
    assert not (tmp_path / "no").exists()
    with pytest.raises(UsageError, match="engine"):
        strange.fit(["a.png"])


def test_an_extractor_that_is_not_fitted_is_refused(extractor: FeatureExtractor, images: list[Path]) -> None:
    with pytest.raises(NotFittedError):
        extractor.transform(images)
    with pytest.raises(NotFittedError):
        extractor.get_feature_names_out()


def test_names_and_data_frames(extractor: FeatureExtractor, images: list[Path]) -> None:
    extractor.set_output(transform="pandas")
    frame: Any = extractor.fit_transform(pd.DataFrame({"path": images}, index=list("abcdef")))
    assert frame.index.tolist() == list("abcdef")
    assert frame.columns.tolist() == [f"tiny_{number}" for number in range(extractor.n_features_out_)]
    np.testing.assert_array_equal(frame.to_numpy(), clone(extractor).set_output().fit_transform(images))


def test_a_column_of_a_table_can_be_paths(extractor: FeatureExtractor, images: list[Path]) -> None:
    table = pd.DataFrame({"path": images, "age": np.arange(6.0)})
    both = make_column_transformer((extractor, ["path"]), (StandardScaler(), ["age"])).fit(table)
    found = both.transform(table)
    np.testing.assert_array_equal(found[:, :-1], clone(extractor).fit_transform(images))
    assert both.get_feature_names_out()[0] == "featureextractor__tiny_0"


def test_a_pickled_extractor_still_transforms(extractor: FeatureExtractor, images: list[Path]) -> None:
    extractor.fit(images[:3])
    again = pickle.loads(pickle.dumps(extractor))
    np.testing.assert_array_equal(again.transform(images), extractor.transform(images))


API_CHECKS = (
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_mixin_order,
)


@pytest.mark.parametrize("check", API_CHECKS, ids=lambda check: str(check.__name__))
def test_checks_that_need_no_data_pass(check: Any) -> None:
    check("FeatureExtractor", FeatureExtractor())


class OfVectors(FeatureExtractor):
    """Takes the rows of a matrix for grey images of one column, so that scikit-learn's checks have data to give."""

    def fit(self, X: Any, y: Any = None) -> OfVectors:
        super().fit(self._drawn(X, reset=True))
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        return super().fit_transform(self._drawn(X, reset=True))

    def transform(self, X: Any) -> Any:
        sklearn.utils.validation.check_is_fitted(self)
        return super().transform(self._drawn(X, reset=False))

    def _drawn(self, X: Any, *, reset: bool) -> NDArray[np.uint8]:
        X = sklearn.utils.validation.validate_data(self, X, reset=reset)
        return np.asarray(np.clip(128 + 16 * X[:, :, np.newaxis], 0, 255), np.uint8)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = sklearn.utils.InputTags(two_d_array=True)
        return tags


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> OfVectors:
    folder = tmp_path_factory.mktemp("checks")
    model = write_model(folder / "any.keras", size=None)
    return OfVectors(backbone=str(model), size=8, pooling="avg", cut="conv_1", cache=folder / "cache")


@pytest.mark.slow
def test_scikit_learns_checks_pass(checked: OfVectors) -> None:
    results = estimator_checks.check_estimator(checked, on_fail=None, on_skip=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    assert sum(result["status"] == "passed" for result in results) > 30


# --- in searches ---


def search(extractor: FeatureExtractor, jobs: int) -> GridSearchCV:
    steps = [("extract", extractor), ("scale", StandardScaler()), ("classify", LogisticRegression(max_iter=500))]
    grid = {"classify__C": [0.01, 1.0], "extract__pooling": ["none", "avg"]}
    return GridSearchCV(Pipeline(steps), grid, cv=3, n_jobs=jobs)


@pytest.mark.slow
def test_a_search_computes_each_row_once(
    extractor: FeatureExtractor, images: list[Path], computed: list[str]
) -> None:
    found = search(extractor, 1).fit(images, labels_of(images))
    assert len(computed) == 2 * 6  # two poolings
    assert set(computed) == {digest(path) for path in images}
    rows = extractor.set_params(pooling=found.best_params_["extract__pooling"]).fit_transform(images)
    by_hand = make_pipeline(StandardScaler(), LogisticRegression(C=found.best_params_["classify__C"], max_iter=500))
    scores = cross_val_score(by_hand, rows, labels_of(images), cv=3)
    assert found.best_score_ == pytest.approx(scores.mean())


@pytest.mark.slow
def test_two_processes_compute_each_row_once(extractor: FeatureExtractor, images: list[Path]) -> None:
    for pooling in ("none", "avg"):  # converted networks are quicker to start than TensorFlow in each process
        clone(extractor).set_params(pooling=pooling).fit(images[:1])
    found = search(extractor, 2).fit(images, labels_of(images))
    keys = stored_keys(Path(extractor.cache))
    assert len(keys) == len(set(keys)) == 2 * 6 + 6  # features of both kinds, and the bit depth of each image
    assert len(found.cv_results_["params"]) == 4


# --- what is refused ---


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("image.png", "put it into a list"),
        ([], "at least one"),
        (["a.png", None], "None as element 1"),
        ([["a.png", "b.png"]], r"the shape \(1, 2\); pass the column with the paths alone"),
        (42, "received a value of type int; put images into a list"),
        (["a.png", np.zeros((40, 40), np.uint8)], "received <U5 .* pass paths alone, or arrays alone"),
        ([Image.new("P", (40, 40))], r'images of Pillow; pass \[np\.asarray\(image\.convert\("RGB"\)\) for image'),
        (Image.new("RGB", (40, 40)), "received images of Pillow"),
        (np.zeros((3, 5)), r"float64 of shape \(3, 5\)"),
        (np.zeros((3, 40, 40)), "np.uint8, 0 to 255"),
        (np.zeros((40, 40, 3), np.uint8), "put one image into a list"),
        (np.zeros((2, 40, 40, 4), np.uint8), r"shape \(2, 40, 40, 4\); drop the alpha channel: X\[\.\.\., :3\]"),
        (np.zeros((2, 40, 40, 1), np.uint8), r"shape \(2, 40, 40, 1\); drop the last axis: X\[\.\.\., 0\]"),
        ([np.zeros((40, 40, 1), np.uint8)], r"shape \(40, 40, 1\); drop the last axis: image\[\.\.\., 0\]"),
        (np.zeros((2, 3, 40, 40), np.uint8), r"move the channels to the end: np\.moveaxis\(X, -3, -1\)"),
        (np.zeros((40, 40), np.uint8), "put one image into a list"),
        (np.full((2, 40, 40), 0.5), r"received float64 .*: \(X \* 255\)\.round\(\)\.astype\(np\.uint8\)"),
        (np.full((2, 40, 40), 200), r"received int64 .*: X\.round\(\)\.astype\(np\.uint8\)"),
        (np.ones((2, 40, 40), bool), r"received bool .*: X\.astype\(np\.uint8\) \* 255"),
        ([np.zeros((40, 40), np.uint8), np.zeros(40, np.uint8)], r"shape \(40,\)"),
        (np.zeros((0, 40, 40), np.uint8), "received uint8 of shape"),
    ],
)
def test_what_is_not_images_is_refused(extractor: FeatureExtractor, given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        extractor.fit(given)


def test_a_damaged_file_is_named(extractor: FeatureExtractor, images: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].read_bytes()[:200])
    extractor.fit(images)
    with pytest.raises(ImageError, match=r"broken\.png"):
        extractor.transform([images[0], broken])
    with pytest.raises(ImageError, match="does not exist"):
        extractor.transform([tmp_path / "none.png"])


def test_other_weights_are_refused(images: list[Path], tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.keras")
    extractor = FeatureExtractor(backbone=str(model), size=SIZE, cache=tmp_path / "cache").fit(images[:5])
    write_model(model, seed=9)
    assert extractor.transform(images[:5]).shape == (5, extractor.n_features_out_)  # these rows are there
    with pytest.raises(UntrustedError, match="fit again"):
        extractor.transform(images)


def test_a_cache_that_cannot_be_made_is_reported(
    extractor: FeatureExtractor, images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FeatxError, match="cache"):
        extractor.set_params(cache=tmp_path / "file" / "cache").fit(images)
