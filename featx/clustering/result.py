"""The results of looking for clusters: with labels, how well classes are separated; without, the clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.clustering.partitions import STARTS
from featx.clustering.unlabelled import NEAREST, NOT_MEASURED, Partition, Structure
from featx.clustering.writing import COLUMNS, LayerQuality, overall_rows
from featx.features import Failure
from featx.frames import Shown, frame
from featx.text import count, decimal, images, percent

DISTANCE = "euclidean, features as they are"
IMAGE_COLUMNS = ("path", "cluster", "distance", "silhouette", "hdbscan")


@dataclass(frozen=True, repr=False)
class Clusters(Shown):
    """How well classes are separated.

    Attributes:
        by: The column whose values are the classes.
        parts: The cluster quality of each layer and split: first the layers of the main split, then those of the
            test split.
        notes: What readers of the values must know.
        files: The files that were written.
        failed: Images that could not be read and were left out.
        seconds: Wall time of `clusters`.
    """

    by: str
    parts: tuple[LayerQuality, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    failed: tuple[Failure, ...]
    seconds: float = 0.0

    @property
    def main(self) -> LayerQuality:
        """The first layer in the main split."""
        return self.parts[0]

    def headline(self) -> str:
        """Return `216 images of 4 classes by label, silhouette 0.123`."""
        quality = self.main.quality
        value = decimal(quality.measures()["silhouette"].value)
        return f"{images(len(quality.labels))} of {len(quality.classes)} classes by {self.by}, silhouette {value}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the measures of the first layer, with their means under permuted labels."""
        measures = self.main.quality.measures()
        rows = [[name, decimal(one.value), decimal(one.mean), f"{one.p_value:.3f}"] for name, one in measures.items()]
        return ("", f"{self.main.layer}, {self.main.split}", "chance", "p"), rows

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx clusters`."""
        main = self.main.to_json()
        layers: dict[str, Any] = {}
        for part in self.parts:
            if part.split == self.main.split:
                layers[part.layer] = part.to_json()
            else:
                layers.setdefault(part.layer, {})[part.split] = part.to_json()
        return {
            **main,
            "by": self.by,
            "distance": DISTANCE,
            "layers": layers,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
            "files": [str(path) for path in self.files],
            "failed": [failure.to_json() for failure in self.failed],
        }

    def to_frame(self) -> Any:
        """Return the overall values as a pandas DataFrame: one row for each layer, split and value.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(dict(zip(COLUMNS, zip(*overall_rows(self.parts), strict=True), strict=True)))


@dataclass(frozen=True, repr=False)
class ImageClusters(Clusters):
    """Clusters of images without labels; `parts` is empty, and `by` as well.

    Attributes:
        layer: `penultimate` or `backbone`.
        split: `train`, `val`, `test` or `all`.
        ids: (n,) paths of the images, as the data names them.
        digests: (n,) SHA-256 of their bytes.
        structure: The clusters of these images, in the same order.
    """

    layer: str = ""
    split: str = ""
    ids: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    structure: Structure = field(kw_only=True)

    @property
    def partition(self) -> Partition:
        """The clusters of k-means."""
        return self.structure.partition

    def headline(self) -> str:
        """Return `300 images in 4 clusters, found without labels, silhouette 0.212, stability 0.93`."""
        one = self.partition.chosen
        return (
            f"{images(len(self.ids))} in {self.partition.k} clusters, found without labels, silhouette "
            f"{decimal(self.structure.silhouette.value)}, stability {decimal(one.stability, 2)}"
        )

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return number of images, silhouette and nearest image of each cluster."""
        rows = [
            [
                str(one["cluster"]),
                count(one["n"]),
                percent(one["share"]),
                decimal(one["silhouette"]),
                one["nearest"][0],
            ]
            for one in self.clusters()
        ]
        return ("cluster", "images", "share", "silhouette", "nearest to its centre"), rows

    def clusters(self) -> list[dict[str, Any]]:
        """Return `cluster, n, share, silhouette, radius, nearest` of each cluster of k-means, the largest first.

        `radius` is the root mean square distance of its images to its centre, and `nearest` the paths of the 8 images
        nearest to it.
        """
        listed = []
        for number in range(1, self.partition.k + 1):
            members = self.partition.clusters == number
            listed.append(
                {
                    "cluster": number,
                    "n": int(members.sum()),
                    "share": float(members.mean()),
                    "silhouette": float(self.structure.silhouettes[members].mean()),
                    "radius": self.structure.radius(number),
                    "nearest": [self.ids[i] for i in self.structure.nearest(number, self.digests, NEAREST)],
                }
            )
        return listed

    def outliers(self) -> list[dict[str, Any]]:
        """Return `path, cluster, distance, relative` of the images farthest from the centre of their cluster.

        `relative` is the distance in units of the cluster's radius.
        """
        relative = self.structure.relative()
        return [
            {
                "path": self.ids[i],
                "cluster": int(self.partition.clusters[i]),
                "distance": float(self.structure.distances[i]),
                "relative": float(relative[i]),
            }
            for i in self.structure.outliers(self.digests)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx clusters` for images without labels; what needs labels is null or empty."""
        known, parts = self.structure, self.partition
        return {
            "layer": self.layer,
            "split": self.split,
            "n": len(self.ids),
            "classes": [],
            "silhouette": known.silhouette.value,
            "davies_bouldin": known.davies_bouldin,
            "calinski_harabasz": known.calinski_harabasz,
            "knn_purity": None,
            "kmeans": self._kmeans_json(),
            "hdbscan": {
                "ari": None,
                "nmi": None,
                "clusters": known.dense_count,
                "noise": known.noise,
                "min_cluster_size": known.min_cluster_size,
            },
            "per_class": {},
            "clusters": self.clusters(),
            "outliers": self.outliers(),
            "without_clusters": known.silhouette.permuted_json(),
            "by": None,
            "distance": parts.space.describe(parts.rows.shape[1]),
            "sample": len(parts.sample),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
            "files": [str(path) for path in self.files],
            "failed": [failure.to_json() for failure in self.failed],
        }

    def _kmeans_json(self) -> dict[str, Any]:
        return {
            "ari": None,
            "nmi": None,
            "k": self.partition.k,
            "clusters": self.partition.k,
            "starts": STARTS,
            "stability": self.partition.chosen.stability,
            "candidates": [
                {"k": one.k, "silhouette": one.silhouette, "stability": one.stability}
                for one in self.partition.candidates
            ],
        }

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row for each image: path, cluster, distance, silhouette, hdbscan.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(dict(zip(IMAGE_COLUMNS, zip(*self.image_rows(), strict=True), strict=True)))

    def image_rows(self) -> list[tuple[Any, ...]]:
        """Return the rows of `per_image.csv`; hdbscan is None outside the sample."""
        known = self.structure
        columns = (self.partition.clusters, known.distances, known.silhouettes, known.dense)
        rows = zip(self.ids, *(column.tolist() for column in columns), strict=True)
        return [(*row[:-1], None if row[-1] == NOT_MEASURED else row[-1]) for row in rows]
