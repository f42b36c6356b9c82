"""Which engine runs the network, and the network itself: built by Keras, or read converted from the store."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from featx.digests import digest_of
from featx.errors import EngineError, UsageError
from featx.networks.backbones import is_model_file
from featx.networks.framework import gpu_is_there, has_gpu, has_openvino
from featx.networks.keras import KerasNetwork, Network
from featx.networks.openvino import CONVERSION_RULE, OpenVINONetwork, convert
from featx.networks.weights import Weights
from featx.recipes import BackbonePart, FeatureSpec, Precision
from featx.store import Store


def describe_backbone(part: BackbonePart, weights: Weights) -> dict[str, Any]:
    """Return what tells one network from another; where a file lies is not part of it."""
    return {
        "name": "file" if is_model_file(part.name) else part.name.lower(),
        "weights": weights.digest,
        "cut": part.cut,
        "pooling": part.pooling,
    }


log = logging.getLogger("featx")

Engine = Literal["auto", "keras", "openvino"]
NETWORKS = "networks"
# Images a call at which each engine was fastest, or nearly so, on VGG16 and MobileNetV2. OpenVINO computes several
# calls at once, and a few images' maps stay in a core's cache.
BATCH_SIZES = {"keras": 16, "openvino": 2}


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a network once it has been built: features a row, and parameters."""

    width: int
    parameters: int


def chosen_engine(engine: str, precision: Precision = "float32") -> Literal["keras", "openvino"]:
    """Return the engine that `engine` stands for on this machine; nothing is loaded to tell.

    `auto` is OpenVINO where it is installed, unless there is a GPU, which only Keras uses, or the precision is
    mixed, in which only Keras computes.

    Raises:
        UsageError: There is no such engine, it is not installed, or it has no such precision.
    """
    if precision == "mixed" and engine in ("auto", "keras"):
        return "keras"
    if engine == "auto":
        return "openvino" if has_openvino() and not gpu_is_there() else "keras"
    if engine == "openvino":
        if precision == "mixed":
            raise UsageError(
                "Expected the engine keras for mixed precision, received openvino; use --engine keras, or "
                "--precision float32."
            )
        if not has_openvino():
            raise UsageError(
                "Expected the package openvino for the engine openvino, but it is not installed; install it with "
                "pip install 'featx[openvino]', or use the engine keras (--engine keras)."
            )
        return "openvino"
    if engine == "keras":
        return "keras"
    raise UsageError(f"Expected the engine auto, keras or openvino, received {engine!r}.")


def network_facts(spec: FeatureSpec, weights: Weights, store: Store) -> NetworkFacts:
    """Return a network's facts from the store, or by building it."""
    known = _known_facts(spec, weights, store)
    return known or _facts(KerasNetwork(spec.backbone, spec.images.size, weights))


def build_network(
    spec: FeatureSpec, weights: Weights, store: Store, engine: Engine, batch_size: int | None = None
) -> Network:
    """Return the network of a spec, ready to run; what is learnt of it is kept in the store.

    Args:
        spec: Which network.
        weights: What `find_weights` found for it.
        store: Where converted networks and facts are kept.
        engine: `auto` falls back on Keras, with a notice, where OpenVINO cannot run the network.
        batch_size: Images a call; the engine's own if not given.

    Raises:
        UsageError: There is no such engine, or it is not installed.
        EngineError: The engine asked for cannot run the network.
        FeatxError: What `KerasNetwork` raises.
    """
    if chosen_engine(engine, spec.backbone.precision) == "openvino":
        try:
            return _openvino(spec, weights, store, batch_size or BATCH_SIZES["openvino"])
        except EngineError as error:
            if engine == "openvino":
                raise
            log.info("Keras runs the network, because OpenVINO does not: %s", error)
    return _keras(spec, weights, store, batch_size or BATCH_SIZES["keras"])


def _keras(spec: FeatureSpec, weights: Weights, store: Store, batch_size: int) -> KerasNetwork:
    if spec.backbone.precision == "mixed" and not has_gpu():
        log.warning("Mixed precision is for GPUs with units for it; TensorFlow finds none here, so it is slower.")
    network = KerasNetwork(spec.backbone, spec.images.size, weights, batch_size)
    store.save_document(NETWORKS, digest_of(_about(spec, weights)), asdict(_facts(network)))
    return network


def _openvino(spec: FeatureSpec, weights: Weights, store: Store, batch_size: int) -> OpenVINONetwork:
    about = _about(spec, weights)
    key = digest_of({**about, "engine": "openvino", "rule": CONVERSION_RULE})
    files = store.load_network(key)
    facts = _known_facts(spec, weights, store)
    if files is not None and facts is not None:
        try:
            network = OpenVINONetwork(files.model, facts.parameters, batch_size, files.compiled)
        except EngineError as error:
            # It is what was written, so another version of OpenVINO has written it.
            log.info("A converted network is made again: %s", error)
        else:
            store.seal_compiled(files)
            return network
    source = _keras(spec, weights, store, batch_size)

    def write(target: Path) -> None:
        convert(source, target)

    files = store.save_network(key, about, write)
    network = OpenVINONetwork(files.model, source.parameters, batch_size, files.compiled)
    store.seal_compiled(files)
    return network


def _known_facts(spec: FeatureSpec, weights: Weights, store: Store) -> NetworkFacts | None:
    document = store.load_document(NETWORKS, digest_of(_about(spec, weights)))
    return None if document is None else NetworkFacts(**document)


def _facts(network: Network) -> NetworkFacts:
    return NetworkFacts(network.width, network.parameters)


def _about(spec: FeatureSpec, weights: Weights) -> dict[str, Any]:
    return {**describe_backbone(spec.backbone, weights), "size": spec.images.size}
