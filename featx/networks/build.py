"""Which engine runs a network, and the network itself: built by Keras, or read converted from the store."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from featx.digests import digest_of
from featx.errors import EngineError, RecipeError, StoreError, UsageError
from featx.images import Preprocessing
from featx.networks.backbones import is_model_file
from featx.networks.framework import gpu_is_there, has_gpu, has_openvino
from featx.networks.keras import KerasNetwork, Network
from featx.networks.memory import check_maps, map_values_of_graph
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
# Raised by hand when networks in users' files must be looked at again before their rows are used.
FILES_RULE = 1
# The largest difference of a feature between a conversion and its original: a share of the row's largest, or this
# much. On radiographs the share is 2e-5; layers in half precision come to 4e-4.
TOLERANCE = 2e-3
SMALLEST = 1e-6


class NetworkFacts(NamedTuple):
    """What is known about a network once it has been built.

    That is: features of an image, number of weights, and whether it takes pixels from 0 to 255.
    """

    width: int
    parameters: int
    raw: bool = False


@dataclass(frozen=True)
class NetworkSource:
    """All that it takes to build a network; the store keeps converted networks and facts.

    Attributes:
        shape: Height and width of the input in pixels.
        weights: What `find_weights` returned for the backbone.
        preprocessing: How its pixels are made, to check that it fits; None if its input is not pixels.
    """

    backbone: BackbonePart
    shape: tuple[int, int]
    weights: Weights
    store: Store
    preprocessing: Preprocessing | None = None

    @property
    def size(self) -> int:
        """The input's height."""
        return self.shape[0]

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
        """Return what is known about the network, from the store or by building it.

        Raises:
            RecipeError: The preprocessing is not the one that the network needs.
            FeatxError: What `KerasNetwork` raises.
        """
        facts = self._stored_facts()
        if facts is None:
            facts = _facts_of(KerasNetwork(self.backbone, self.size, self.weights))
            with suppress(StoreError):  # a cache that is only read
                self._save(facts)
        self._check_pixels(facts)
        return facts

    def build(self, engine: Engine = "auto", batch_size: int | None = None) -> Network:
        """Return the network, ready to run; its facts and its conversion are kept in the store.

        Args:
            engine: `auto` falls back on Keras, with a notice, where OpenVINO cannot run the network.
            batch_size: Images in a batch; the engine's default if not given.

        Raises:
            UsageError: There is no such engine, or it is not installed.
            EngineError: The engine that was named cannot run the network, or gives other rows than Keras.
            RecipeError: The preprocessing is not the one that the network needs.
            FeatxError: What `KerasNetwork` raises.
        """
        if chosen_engine(engine, self.backbone.precision) == "openvino":
            try:
                return self._openvino(batch_size or BATCH_SIZES["openvino"])
            except EngineError as error:
                if engine == "openvino":
                    raise
                log.info("Keras runs the network, because OpenVINO does not: %s", error)
        network = self._keras(batch_size or BATCH_SIZES["keras"])
        self._check_memory(network, network.batch_size, on_gpu=True)
        return network

    def _keras(self, batch_size: int) -> KerasNetwork:
        if self.backbone.precision == "mixed" and not has_gpu():
            log.warning("Mixed precision is for GPUs with units for it; TensorFlow finds none here, so it is slower.")
        network = KerasNetwork(self.backbone, self.size, self.weights, batch_size)
        self._check_pixels(_facts_of(network))
        self._save(_facts_of(network))
        return network

    def _openvino(self, batch_size: int) -> OpenVINONetwork:
        key = digest_of({**self._key(), "engine": "openvino", "rule": CONVERSION_RULE})
        files = load_network(self.store.root, key)
        facts = self._stored_facts()
        if files is not None and facts is not None:
            self._check_pixels(facts)
            try:
                network = OpenVINONetwork(files.model, facts.parameters, batch_size, files.compiled)
            except EngineError as error:
                # The file is what was written, so another version of OpenVINO has written it.
                log.info("The network is converted again: %s", error)
            else:
                seal_compiled(self.store.root, files)
                return network
        original = self._keras(batch_size=1)
        self._check_memory(original, batch_size)

        def write(target: Path) -> None:
            convert(original, target)
            self._compare(original, OpenVINONetwork(target, original.parameters, batch_size=1))

        files = save_network(self.store.root, key, self._key(), write)
        network = OpenVINONetwork(files.model, original.parameters, batch_size, files.compiled)
        seal_compiled(self.store.root, files)
        return network

    def _compare(self, original: KerasNetwork, converted: OpenVINONetwork) -> None:
        """Check on two images, noise and a ramp from black to white, that a conversion gives its original's rows."""
        shape = (self.size, self.size, 3)
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        ramp = np.broadcast_to(np.linspace(0, 255, self.size).astype(np.uint8)[:, None], shape)
        preprocess = self.preprocessing or Preprocessing("raw" if original.raw else "rescale")
        # One at a time: more might not fit into memory.
        trials = [preprocess(image[None]) for image in (noise, ramp)]
        rows, expected = (np.concatenate([one.rows(trial) for trial in trials]) for one in (converted, original))
        # Values that are not finite differ.
        with np.errstate(invalid="ignore", over="ignore"):
            differences = np.abs(rows - expected).max(axis=1) - TOLERANCE * np.abs(expected).max(axis=1)
        if not (differences <= SMALLEST).all():
            raise EngineError(
                f"Expected the features of {original.label} from OpenVINO to be those from Keras, but they differ on "
                "trial images; use the engine keras (--engine keras)."
            )

    def _check_memory(self, network: KerasNetwork, images: int, *, on_gpu: bool = False) -> None:
        check_maps(self.size, images, lambda: map_values_of_graph(network.traced().graph), on_gpu=on_gpu)

    def _check_pixels(self, facts: NetworkFacts) -> None:
        """Check that a network that scales pixels itself gets them unscaled."""
        if facts.raw and self.preprocessing is not None and not self.preprocessing.keeps_pixels:
            raise RecipeError(
                f"Expected the preprocessing 'raw' for {Path(self.backbone.name).name}, which takes pixels from 0 to "
                f"255 and scales them itself, received {self.preprocessing.rule!r}; use --preprocess raw "
                '(preprocess.mode = "raw" in a recipe).'
            )

    def _stored_facts(self) -> NetworkFacts | None:
        document = load_document(self.store.root, NETWORKS, self._facts_key())
        return None if document is None else NetworkFacts(**document)

    def _save(self, facts: NetworkFacts) -> None:
        save_document(self.store.root, NETWORKS, self._facts_key(), facts._asdict())

    def _facts_key(self) -> str:
        own = self.weights.path is not None and self.weights.source != "imagenet"
        return digest_of({**self._key(), "rule": FILES_RULE} if own else self._key())

    def _key(self) -> dict[str, Any]:
        return {**self.identity(), "size": self.size if len(set(self.shape)) == 1 else list(self.shape)}


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


def _facts_of(network: KerasNetwork) -> NetworkFacts:
    return NetworkFacts(network.width, network.parameters, network.raw)
