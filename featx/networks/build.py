"""Which engine runs a network, and the network itself: built by Keras, or read converted from the store."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featx.digests import digest_of
from featx.errors import EngineError, RecipeError, StoreError, UsageError
from featx.images import Preprocessing
from featx.networks.backbones import is_model_file
from featx.networks.cards.card import Card
from featx.networks.engines import BATCH_SIZES, ChosenEngine, Engine, card_engine, chosen_engine
from featx.networks.framework import gpu_is_there, has_gpu
from featx.networks.graphs.network import CardNetwork
from featx.networks.keras import KerasNetwork, Network
from featx.networks.memory import check_maps, map_values_of_graph
from featx.networks.openvino import CONVERSION_RULE, OpenVINONetwork, convert, store_network, stored_network
from featx.networks.trials import same_rows, trial_images
from featx.networks.weights import Weights
from featx.recipes import BackbonePart
from featx.store import Store, load_document, save_document

log = logging.getLogger("featx")

NETWORKS = "networks"
# Raised by hand when networks in users' files must be looked at again before their rows are used.
FILES_RULE = 1


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

    def identity(self) -> dict[str, Any]:
        """Return what distinguishes the network from others; where a file lies is not part of it."""
        part, card = self.backbone, self.weights.card
        name = "file" if is_model_file(part.name) else part.name.lower()
        return {
            "name": name if card is None else "card",
            "weights": self.weights.digest,
            "cut": part.cut,
            "pooling": part.pooling,
            # Its digest is `weights`; this is for people who look for a difference.
            **({} if card is None else {"card": card.key()}),
        }

    def numerics(self, engine: str = "auto") -> str:
        """Return the numerical class of an engine's rows, without loading one if that is known.

        Rows in one class count as the same; mixed precision is a class of its own. On radiographs, the relative
        difference between OpenVINO's rows and those of Keras is 1e-7 (VGG16) and 2e-5 (MobileNetV2); Keras's own
        graphs, eager and compiled runs differ by 1e-6 and 6e-6, and those without oneDNN by 5e-7 and 3e-6.
        Deterministic operations of TensorFlow change no bit.

        onnxruntime has its own class if its rows are not known to be OpenVINO's. The first time that it is asked for,
        both are run on trial images, where both are installed.
        """
        if self.backbone.precision == "mixed":
            return "mixed_float16"
        card = self._graph_card()
        if card is None or self.chosen_engine(engine) != "onnxruntime":
            return "float32"
        return "float32" if self._card_network(card).engines_agree() else "onnxruntime"

    def chosen_engine(self, engine: str) -> ChosenEngine:
        """Return the engine that `engine` means for this network on this machine, without loading any.

        Raises:
            UsageError: There is no such engine, it is not installed, or it cannot run this network.
            RecipeError: Mixed precision is asked of a card's network.
        """
        card = self._graph_card()
        if card is None:
            if engine == "onnxruntime":
                raise UsageError(
                    f"Expected the engine keras or openvino for {Path(self.backbone.name).name}, received "
                    "onnxruntime, which is for networks with a card in the format ONNX; use --engine openvino."
                )
            return chosen_engine(engine, self.backbone.precision)
        if self.backbone.precision == "mixed":
            raise RecipeError(
                f"Expected precision 'float32' for {card.name}, received 'mixed', in which only Keras computes; "
                "leave --precision out."
            )
        chosen_engine(engine)
        return card_engine(engine, card.kind, card.name)

    def facts(self) -> NetworkFacts:
        """Return what is known about the network, from the store or by building it.

        Raises:
            RecipeError: The preprocessing is not the one that the network needs.
            FeatxError: What `KerasNetwork` raises.
        """
        facts = self._stored_facts()
        if facts is None:
            if self._graph_card() is not None:
                facts = _facts_of(self.build())
            else:
                facts = _facts_of(KerasNetwork(self.backbone, self.shape, self.weights))
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
            FeatxError: What `KerasNetwork`, `Graph` and `OnnxRuntimeNetwork` raise.
        """
        chosen = self.chosen_engine(engine)
        card = self._graph_card()
        if card is not None:
            facts = self._stored_facts()
            built = self._card_network(card).build(chosen, batch_size, facts and facts.parameters)
            if facts is None:
                self._save(_facts_of(built))
            return built
        if chosen == "openvino":
            try:
                return self._openvino(batch_size or BATCH_SIZES["openvino"])
            except EngineError as error:
                if engine == "openvino":
                    raise
                log.info("Keras runs the network, because OpenVINO does not: %s", error)
        network = self._keras(batch_size or BATCH_SIZES["keras"])
        if engine == "auto" and gpu_is_there() and not has_gpu():
            log.warning(
                "Keras runs the network on the processor: TensorFlow does not see the GPU (featx doctor says why). "
                "OpenVINO takes less time there; set the engine to openvino, or CUDA_VISIBLE_DEVICES to -1."
            )
        self._check_memory(network, network.batch_size, on_gpu=True)
        return network

    def _keras(self, batch_size: int) -> KerasNetwork:
        if self.backbone.precision == "mixed" and not has_gpu():
            log.warning("Mixed precision is for GPUs with units for it; TensorFlow finds none here, so it is slower.")
        network = KerasNetwork(self.backbone, self.shape, self.weights, batch_size)
        self._check_pixels(_facts_of(network))
        self._save(_facts_of(network))
        return network

    def _openvino(self, batch_size: int) -> OpenVINONetwork:
        key = digest_of({**self._key(), "engine": "openvino", "rule": CONVERSION_RULE})
        facts = self._stored_facts()
        if facts is not None:
            self._check_pixels(facts)
            network = stored_network(self.store.root, key, facts.parameters, batch_size)
            if network is not None:
                return network
        original = self._keras(batch_size=1)
        self._check_memory(original, batch_size)

        def write(target: Path) -> None:
            convert(original, target)
            self._compare(original, OpenVINONetwork(target, original.parameters, batch_size=1))

        return store_network(self.store.root, key, self._key(), write, original.parameters, batch_size)

    def _compare(self, original: KerasNetwork, converted: OpenVINONetwork) -> None:
        """Check on two images, noise and a ramp from black to white, that a conversion gives its original's rows."""
        preprocess = self.preprocessing or Preprocessing("raw" if original.raw else "rescale")
        # One at a time: more might not fit into memory.
        trials = [preprocess(image[None]) for image in trial_images(self.shape)[:2]]
        rows, expected = (np.concatenate([one.rows(trial) for trial in trials]) for one in (converted, original))
        if not same_rows(rows, expected):
            raise EngineError(
                f"Expected the features of {original.label} from OpenVINO to be those from Keras, but they differ on "
                "trial images; use the engine keras (--engine keras)."
            )

    def _check_memory(self, network: KerasNetwork, images: int, *, on_gpu: bool = False) -> None:
        check_maps(self.shape, images, lambda: map_values_of_graph(network.traced().graph), on_gpu=on_gpu)

    def _check_pixels(self, facts: NetworkFacts) -> None:
        """Check that a network that scales pixels itself gets them unscaled."""
        if facts.raw and self.preprocessing is not None and not self.preprocessing.keeps_pixels:
            received, advice = repr(self.preprocessing.rule), ""
            if self.weights.card is not None:
                received, channels = "scaled pixels", self.preprocessing.channels
                advice = f", or write scale = 1.0, mean = {[0] * channels} and std = {[1] * channels} in its card"
            raise RecipeError(
                f"Expected the preprocessing 'raw' for {Path(self.backbone.name).name}, which takes pixels from 0 to "
                f'255 and scales them itself, received {received}; use --preprocess raw (preprocess.mode = "raw" in '
                f"a recipe){advice}."
            )

    def _graph_card(self) -> Card | None:
        """The card of a network that is run as it is; None for those that Keras builds."""
        card = self.weights.card
        return None if card is None or card.kind == "keras" else card

    def _card_network(self, card: Card) -> CardNetwork:
        preprocessing = self.preprocessing or card.preprocessing()
        return CardNetwork(card, self.backbone, self.shape, preprocessing, self.store, self._key())

    def _stored_facts(self) -> NetworkFacts | None:
        document = load_document(self.store.root, NETWORKS, self._facts_key())
        return None if document is None else NetworkFacts(**document)

    def _save(self, facts: NetworkFacts) -> None:
        save_document(self.store.root, NETWORKS, self._facts_key(), facts._asdict())

    def _facts_key(self) -> str:
        own = self.weights.path is not None and self.weights.source != "imagenet"
        return digest_of({**self._key(), "rule": FILES_RULE} if own else self._key())

    def _key(self) -> dict[str, Any]:
        return {**self.identity(), "size": self.shape[0] if len(set(self.shape)) == 1 else list(self.shape)}


def _facts_of(network: Network) -> NetworkFacts:
    return NetworkFacts(network.width, network.parameters, getattr(network, "raw", False))
