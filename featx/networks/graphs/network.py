"""Networks of cards that are run as they are, by OpenVINO or onnxruntime, and whether both give the same rows."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.digests import digest_of
from featx.errors import EngineError, RecipeError, StoreError, UsageError, WeightsError
from featx.images import Preprocessing
from featx.networks.cards.card import Card
from featx.networks.engines import BATCH_SIZES, ChosenEngine, installed
from featx.networks.framework import has_onnxruntime, has_openvino
from featx.networks.graphs.graph import GRAPH_RULE, Graph, unreadable
from featx.networks.graphs.onnx_files import scan_onnx
from featx.networks.graphs.onnx_runtime import OnnxRuntimeNetwork
from featx.networks.keras import Network
from featx.networks.openvino import OpenVINONetwork, store_network, stored_network
from featx.networks.trials import largest_difference, same_rows, trial_images
from featx.recipes import BackbonePart
from featx.store import Store, load_document, save_document

log = logging.getLogger("featx")

ENGINES = "engines"
# Raised by hand when the engines' rows must be compared again.
COMPARISON_RULE = 1


@dataclass(frozen=True)
class CardNetwork:
    """All that it takes to run a card's network as it is.

    Attributes:
        card: The card.
        backbone: What is cut off and pooled.
        shape: Height and width of the input in pixels.
        preprocessing: How pixels are prepared.
        store: Keeps the graph with its preprocessing, and what the comparison of the engines gave.
        key: What distinguishes the network from others.
    """

    card: Card
    backbone: BackbonePart
    shape: tuple[int, int]
    preprocessing: Preprocessing
    store: Store
    key: dict[str, Any]

    def build(self, engine: ChosenEngine, batch_size: int | None, parameters: int | None) -> Network:
        """Return the network, ready to run; `parameters` is their number where it is known.

        Raises:
            UsageError: The engine is not installed.
            FeatxError: What `Graph` and `OnnxRuntimeNetwork` raise.
        """
        batch_size = batch_size or BATCH_SIZES[installed(engine)]
        if engine == "onnxruntime":
            network = OnnxRuntimeNetwork(self.card, self.backbone, self.shape, batch_size)
            if parameters is None:
                self._check_rows(network)
            return network
        return self._openvino(batch_size, parameters)

    def engines_agree(self) -> bool:
        """Return whether OpenVINO and onnxruntime are known to give the same rows; they are compared once.

        Where one of them is not installed, that is not known.
        """
        known = self._known()
        if known is not None or not (has_openvino() and has_onnxruntime()):
            return bool(known)
        try:
            network = self._openvino(1, None)
        except EngineError as error:
            log.info("The rows of OpenVINO and onnxruntime are kept apart, since only one of them runs: %s", error)
            return self._kept(None, agree=False)
        return self._compare(network)

    def _openvino(self, batch_size: int, parameters: int | None) -> OpenVINONetwork:
        root, about = self.store.root, {**self.key, "preprocess": dict(self.preprocessing.key())}
        key = digest_of({**about, "engine": "openvino", "graph": GRAPH_RULE})
        if parameters is None and self.card.kind == "onnx":
            parameters = scan_onnx(self.card.main).parameters
        network = None if parameters is None else stored_network(root, key, parameters, batch_size)
        if network is not None:
            return network
        graph = Graph(self.card, self.backbone, self.shape, self.preprocessing)

        def write(target: Path) -> None:
            graph.save(target)
            self._check(target)

        return store_network(root, key, about, write, parameters or graph.parameters, batch_size)

    def _check(self, target: Path) -> None:
        """Check the rows of a new graph, and compare them with those of onnxruntime."""
        try:
            network = OpenVINONetwork(target, 0, batch_size=2)
        except EngineError as error:
            raise unreadable(self.card, error.__cause__ or error) from error
        self._check_rows(network)
        if self.card.kind == "onnx" and has_onnxruntime():
            self._compare(network)

    def _check_rows(self, network: Network) -> None:
        """Check that rows are numbers, and the same in any batch."""
        images = trial_images(self.shape)[:2]
        alone = self._rows(network, images)
        if not np.isfinite(alone).all():
            raise WeightsError(
                f"Expected finite features from {self.card.main}, but some of trial images are NaN or infinite, as "
                "with weights of a training that diverged; pass a network of finite weights."
            )
        if network.batch_size > 1 and not same_rows(network.rows(self._ready(network, np.stack(images))), alone):
            raise EngineError(
                f"Expected rows of {self.card.name} that do not depend on the other images of a batch, but they do; "
                "export it with a batch of one image."
            )

    def _compare(self, network: OpenVINONetwork) -> bool:
        """Compare the rows of four images with those of onnxruntime, unless that is done, and keep the result."""
        known = self._known()
        if known is not None:
            return known
        images = trial_images(self.shape)
        try:
            other = OnnxRuntimeNetwork(self.card, self.backbone, self.shape, batch_size=1)
            rows, expected = self._rows(network, images), self._rows(other, images)
        except (EngineError, RecipeError, UsageError) as error:
            log.info("onnxruntime does not run the network, so that OpenVINO's rows are not compared: %s", error)
            return self._kept(None, agree=False)
        difference = largest_difference(rows, expected)
        agree = same_rows(rows, expected)
        if not agree:
            log.warning(
                "The rows of %s in OpenVINO and in onnxruntime differ by %.2g of the largest feature on trial "
                "images, more than engines usually do; they are kept apart, and --engine chooses.",
                self.card.name,
                difference,
            )
        return self._kept(difference, agree=agree)

    def _known(self) -> bool | None:
        """Return whether the engines agree, if they have been compared."""
        document = load_document(self.store.root, ENGINES, self._comparison_key())
        return None if document is None else bool(document["agree"])

    def _kept(self, difference: float | None, *, agree: bool) -> bool:
        with suppress(StoreError):  # a cache that is only read
            document = {"agree": agree, "largest_difference": difference}
            save_document(self.store.root, ENGINES, self._comparison_key(), document)
        return agree

    def _comparison_key(self) -> str:
        return digest_of({**self.key, "engines": COMPARISON_RULE, "preprocess": dict(self.preprocessing.key())})

    def _rows(self, network: Network, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        # One at a time: more might not fit into memory.
        return np.concatenate([network.rows(self._ready(network, image[None])) for image in images])

    def _ready(self, network: Network, images: NDArray[np.uint8]) -> NDArray[Any]:
        return images if network.takes_pixels else self.preprocessing(images)
