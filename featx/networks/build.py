"""Which engine runs a network, and the network itself: built by Keras, or read converted from the store."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from featx.digests import digest_of
from featx.errors import EngineError, UsageError
from featx.networks.backbones import is_model_file
from featx.networks.framework import gpu_is_there, has_gpu, has_openvino
from featx.networks.keras import KerasNetwork, Network
from featx.networks.openvino import CONVERSION_RULE, OpenVINONetwork, convert
from featx.networks.weights import Weights
from featx.recipes import BackbonePart, Precision
from featx.store import Store, load_document, load_network, save_document, save_network, seal_compiled

log = logging.getLogger("featx")

Engine = Literal["auto", "keras", "openvino"]
NETWORKS = "networks"
# Images in a batch with which each engine was fastest, or nearly so, on VGG16 and MobileNetV2. OpenVINO computes
# several batches at once, and the feature maps of a few images stay in a core's cache.
BATCH_SIZES = {"keras": 16, "openvino": 2}


class NetworkFacts(NamedTuple):
    """What is known about a network once it has been built: features of an image, and number of weights."""

    width: int
    parameters: int


@dataclass(frozen=True)
class NetworkSource:
    """All that it takes to build a network; the store keeps converted networks and facts.

    Attributes:
        size: Width and height of the input in pixels.
        weights: What `find_weights` returned for the backbone.
    """

    backbone: BackbonePart
    size: int
    weights: Weights
    store: Store

    def identity(self) -> dict[str, Any]:
        """Return what distinguishes the network from others; where a file lies is not part of it."""
        part = self.backbone
        return {
            "name": "file" if is_model_file(part.name) else part.name.lower(),
            "weights": self.weights.digest,
            "cut": part.cut,
            "pooling": part.pooling,
        }

    def facts(self) -> NetworkFacts:
        """Return width and number of parameters, from the store or by building the network."""
        return self._stored_facts() or _facts_of(KerasNetwork(self.backbone, self.size, self.weights))

    def build(self, engine: Engine = "auto", batch_size: int | None = None) -> Network:
        """Return the network, ready to run; its facts and its conversion are kept in the store.

        Args:
            engine: `auto` falls back on Keras, with a notice, where OpenVINO cannot run the network.
            batch_size: Images in a batch; the engine's default if not given.

        Raises:
            UsageError: There is no such engine, or it is not installed.
            EngineError: The engine that was named cannot run the network.
            FeatxError: What `KerasNetwork` raises.
        """
        if chosen_engine(engine, self.backbone.precision) == "openvino":
            try:
                return self._openvino(batch_size or BATCH_SIZES["openvino"])
            except EngineError as error:
                if engine == "openvino":
                    raise
                log.info("Keras runs the network, because OpenVINO does not: %s", error)
        return self._keras(batch_size or BATCH_SIZES["keras"])

    def _keras(self, batch_size: int) -> KerasNetwork:
        if self.backbone.precision == "mixed" and not has_gpu():
            log.warning("Mixed precision is for GPUs with units for it; TensorFlow finds none here, so it is slower.")
        network = KerasNetwork(self.backbone, self.size, self.weights, batch_size)
        save_document(self.store.root, NETWORKS, digest_of(self._key()), _facts_of(network)._asdict())
        return network

    def _openvino(self, batch_size: int) -> OpenVINONetwork:
        key = digest_of({**self._key(), "engine": "openvino", "rule": CONVERSION_RULE})
        files = load_network(self.store.root, key)
        facts = self._stored_facts()
        if files is not None and facts is not None:
            try:
                network = OpenVINONetwork(files.model, facts.parameters, batch_size, files.compiled)
            except EngineError as error:
                # The file is what was written, so another version of OpenVINO has written it.
                log.info("The network is converted again: %s", error)
            else:
                seal_compiled(self.store.root, files)
                return network
        original = self._keras(batch_size)
        files = save_network(self.store.root, key, self._key(), lambda target: convert(original, target))
        network = OpenVINONetwork(files.model, original.parameters, batch_size, files.compiled)
        seal_compiled(self.store.root, files)
        return network

    def _stored_facts(self) -> NetworkFacts | None:
        document = load_document(self.store.root, NETWORKS, digest_of(self._key()))
        return None if document is None else NetworkFacts(**document)

    def _key(self) -> dict[str, Any]:
        return {**self.identity(), "size": self.size}


def chosen_engine(engine: str, precision: Precision = "float32") -> Literal["keras", "openvino"]:
    """Return the engine that `engine` means on this machine, without loading any.

    `auto` is OpenVINO where it is installed, unless there is a GPU, which only Keras uses, or the precision is
    mixed, in which only Keras computes.

    Raises:
        UsageError: There is no such engine, it is not installed, or it does not compute in this precision.
    """
    if engine not in ("auto", "keras", "openvino"):
        raise UsageError(f"Expected the engine auto, keras or openvino, received {engine!r}.")
    if engine == "openvino" and precision == "mixed":
        raise UsageError(
            "Expected the engine keras for mixed precision, received openvino; use --engine keras, or "
            "--precision float32."
        )
    if engine == "openvino" and not has_openvino():
        raise UsageError(
            "Expected the package openvino for the engine openvino, but it is not installed; install it with "
            "pip install 'featx[openvino]', or use the engine keras (--engine keras)."
        )
    if engine == "auto":
        engine = "openvino" if precision != "mixed" and has_openvino() and not gpu_is_there() else "keras"
    return "openvino" if engine == "openvino" else "keras"


def _facts_of(network: Network) -> NetworkFacts:
    return NetworkFacts(network.width, network.parameters)
