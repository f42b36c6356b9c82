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
from featx.networks.openvino import OpenVINONetwork
from featx.networks.trials import largest_difference, same_rows, trial_images
from featx.recipes import BackbonePart
from featx.store import Store, load_document, load_network, save_document, save_network, seal_compiled

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
        if self.card.kind != "onnx":
            return True
        found = load_document(self.store.root, ENGINES, self._comparison_key())
        if found is not None:
            return bool(found["agree"])
        if not (has_openvino() and has_onnxruntime()):
            return False
        try:
            self._compare(self._openvino(1, None))
        except EngineError as error:
            self._keep(None, agree=False)
            log.info("The rows of OpenVINO and onnxruntime are kept apart, since only one of them runs: %s", error)
        found = load_document(self.store.root, ENGINES, self._comparison_key())
        return found is not None and bool(found["agree"])

    def _openvino(self, batch_size: int, parameters: int | None) -> OpenVINONetwork:
        prepared = dict(self.preprocessing.key())
        key = digest_of({**self.key, "engine": "openvino", "graph": GRAPH_RULE, "preprocess": prepared})
        files = load_network(self.store.root, key)
        if files is not None and parameters is not None:
            try:
                network = OpenVINONetwork(files.model, parameters, batch_size, files.compiled)
            except EngineError as error:
                # The file is what was written, so another version of OpenVINO has written it.
                log.info("The network is converted again: %s", error)
            else:
                seal_compiled(self.store.root, files)
                return network
        graph = Graph(self.card, self.backbone, self.shape, self.preprocessing)
        parameters = scan_onnx(self.card.main).parameters if self.card.kind == "onnx" else graph.parameters

        def write(target: Path) -> None:
            graph.save(target)
            self._check(target)

        files = save_network(self.store.root, key, {**self.key, "preprocess": prepared}, write)
        network = OpenVINONetwork(files.model, parameters, batch_size, files.compiled)
        seal_compiled(self.store.root, files)
        return network

    def _check(self, target: Path) -> None:
        """Check the rows of a new graph, and compare them with those of onnxruntime."""
        try:
            network = OpenVINONetwork(target, 0, batch_size=2)
        except EngineError as error:
            raise unreadable(self.card, error.__cause__ or error) from error
        self._check_rows(network)
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

    def _compare(self, network: OpenVINONetwork) -> None:
        """Compare the rows of four images with those of onnxruntime, where it is installed, and keep the result."""
        known = load_document(self.store.root, ENGINES, self._comparison_key())
        if known is not None or self.card.kind != "onnx" or not has_onnxruntime():
            return
        images = trial_images(self.shape)
        try:
            other = OnnxRuntimeNetwork(self.card, self.backbone, self.shape, batch_size=1)
            rows, expected = self._rows(network, images), self._rows(other, images)
        except (EngineError, RecipeError, UsageError) as error:
            self._keep(None, agree=False)
            log.info("onnxruntime does not run the network, so that OpenVINO's rows are not compared: %s", error)
            return
        difference = largest_difference(rows, expected)
        agree = same_rows(rows, expected)
        if not agree:
            log.warning(
                "The rows of %s in OpenVINO and in onnxruntime differ by %.2g of the largest feature on trial "
                "images, more than engines usually do; they are kept apart, and --engine chooses.",
                self.card.name,
                difference,
            )
        self._keep(difference, agree=agree)

    def _keep(self, difference: float | None, *, agree: bool) -> None:
        with suppress(StoreError):  # a cache that is only read
            document = {"agree": agree, "largest_difference": difference}
            save_document(self.store.root, ENGINES, self._comparison_key(), document)

    def _comparison_key(self) -> str:
        return digest_of({**self.key, "engines": COMPARISON_RULE, "preprocess": dict(self.preprocessing.key())})

    def _rows(self, network: Network, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        # One at a time: more might not fit into memory.
        return np.concatenate([network.rows(self._ready(network, image[None])) for image in images])

    def _ready(self, network: Network, images: NDArray[np.uint8]) -> NDArray[Any]:
        return images if network.takes_pixels else self.preprocessing(images)
