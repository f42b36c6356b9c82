from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featx.errors import DataError
from featx.maps.embedding import embed, place
from featx.maps.parameters import Method, map_parameters
from featx.maps.stored import StoredMap, load_map, save_map

N = 20
DIGESTS = tuple(hashlib.sha256(bytes([number])).hexdigest() for number in range(N))
X = np.random.default_rng(0).normal(size=(N, 60)).astype(np.float32)


def stored(method: Method = "tsne") -> StoredMap:
    return StoredMap(
        embed(X, map_parameters(method)), "features", DIGESTS, {"trustworthiness": 0.75, "stability": None}
    )


@pytest.mark.parametrize("method", ["tsne", "umap", "pca"])
def test_a_map_read_back_is_the_same_and_places_the_same(method: Method, tmp_path: Path) -> None:
    one = stored(method)
    save_map(one, tmp_path / "map.npz")
    other = load_map(tmp_path / "map.npz")
    np.testing.assert_array_equal(other.embedding.points, one.embedding.points)
    assert (other.feature_set, other.digests, other.quality) == (one.feature_set, one.digests, one.quality)
    assert other.embedding.method == one.embedding.method
    np.testing.assert_array_equal(place(other.embedding, X, X[:3] + 1), place(one.embedding, X, X[:3] + 1))
    parameters = one.embedding.parameters
    assert other.matches(parameters, "features", DIGESTS)
    assert not other.matches(map_parameters(method, seed=1).for_images(N), "features", DIGESTS)
    assert not other.matches(parameters, "others", DIGESTS)
    assert not other.matches(parameters, "features", DIGESTS[::-1])


def test_the_same_map_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_map(stored("pca"), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as found:
        return dict(found)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("points", np.zeros((3, 2)), "do not match"),
        ("points", np.full((N, 2), np.nan), "not finite"),
        ("points", np.array([{}] * N, object), "allow_pickle"),
        ("digests", np.zeros((N, 31), np.uint8), "do not match"),
        ("components", np.zeros((2, 3), np.float32), "components do not match"),
        ("about", np.array('{"schema": 2}'), "schema is 2, not 1"),
        ("about", np.array("{"), "cannot be read"),
        ("about", np.array("[]"), "cannot be read"),
    ],
)
def test_a_file_that_is_no_map_is_refused(name: str, value: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    save_map(stored("pca"), path)
    np.savez(path, **(arrays(path) | {name: value}))
    with pytest.raises(DataError, match=message):
        load_map(path)


def test_an_earlier_map_with_the_other_spelling_of_neighbours_is_read(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    one = stored("umap")
    save_map(one, path)
    found = arrays(path)
    about = str(found["about"])
    assert about.count('"neighbours": 15') == 1
    np.savez(path, **(found | {"about": np.array(about.replace("neighbours", "neighbors"))}))
    assert load_map(path).matches(one.embedding.parameters, "features", DIGESTS)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "map.npz"
    for content in (b"", b"no map", b"PK\x03\x04 cut"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"remove it, and the map is made again\.$"):
            load_map(path)
    save_map(stored("pca"), path)
    found = arrays(path)
    del found["points"]
    np.savez(path, **found)
    with pytest.raises(DataError, match="points"):
        load_map(path)


def test_a_file_that_unpacks_to_much_more_is_no_map(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "map.npz", points=np.zeros((10**6, 2)))
    with pytest.raises(DataError, match="it unpacks to more than a map has"):
        load_map(tmp_path / "map.npz")


def test_a_file_that_promises_terabytes_is_no_map(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 2)})
    with zipfile.ZipFile(tmp_path / "map.npz", "w") as archive:
        archive.writestr("points.npy", header.getvalue())
    with pytest.raises(DataError, match="it says that it has more than it has"):
        load_map(tmp_path / "map.npz")
