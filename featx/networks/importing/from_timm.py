"""Networks of timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import UsageError
from featx.networks.cards.card import AboutPart, InputPart, OutputPart, Tokens
from featx.networks.cards.derived import timm_pixels
from featx.networks.importing.built import Built, Floats, load_packages
from featx.networks.importing.hubs import fetching, quiet_hub
from featx.networks.importing.onnx_export import INPUT, make_module, outputs_of, write_onnx

# What the authors of networks on the hub add to its configuration, as their pages say. Names of classes are those of
# timm.layers and torch.nn.
SWIGLU = {"mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "mahmoodlab/uni": {"init_values": 1e-5},
    "mahmoodlab/uni2-h": {
        **SWIGLU,
        "img_size": 224,
        "patch_size": 14,
        "depth": 24,
        "num_heads": 24,
        "init_values": 1e-5,
        "embed_dim": 1536,
        "mlp_ratio": 2.66667 * 2,
        "no_embed_class": True,
        "reg_tokens": 8,
    },
    "paige-ai/virchow": SWIGLU,
    "paige-ai/virchow2": SWIGLU,
    "bioptimus/h-optimus-0": {"init_values": 1e-5},
}


def build_timm(name: str, tokens: Tokens | None = None, *, pretrained: bool = True) -> Built:
    """Build a network of timm with its weights.

    Its outputs are `features`, pooled as timm does it before the classifier, and the last `tokens` or `map` before. A
    network that timm does not pool has the second alone.

    Args:
        name: A name of `timm.list_models()`, also with a tag, or one after `hf-hub:` or a folder after `local-dir:`.
        tokens: What to make of the tokens; None: the features as timm pools them.
        pretrained: False: random weights, for tests.

    Raises:
        UsageError: There is no such network, or it has no tokens.
        WeightsError: Its weights cannot be had, or are those of another network.
    """
    source = f"timm:{Path(name).name}" if name.startswith("local-dir:") else f"timm:{name}"
    torch, timm = load_packages(source, "torch", "timm")
    with fetching(source), quiet_hub():
        model = _create(timm, torch, name, pretrained)
    config = timm.data.resolve_data_config({}, model=model)
    given, pixels = timm_pixels({"pretrained_cfg": config}, f"of {source}")
    names, forward = _outputs(model, torch, config["input_size"])
    module = make_module(forward, model)
    transform = timm.data.create_transform(**config, is_training=False)

    def prepare(image: NDArray[np.uint8]) -> Floats:
        return np.asarray(transform(Image.fromarray(image)), np.float32)

    about = model.pretrained_cfg or {}
    return Built(
        name=f"{about.get('architecture', name)}.{about['tag']}"
        if about.get("tag")
        else source.removeprefix("timm:"),
        kind="onnx",
        input=InputPart(name=INPUT, layout="nchw", colour="rgb", size=given.size),
        pixels=pixels,
        output=_output(source, model, names, tokens),
        about=AboutPart(
            licence=str(about.get("license") or ""),
            source=source if pretrained else f"{source} with random weights",
            made_with=f"timm {timm.__version__}, torch {torch.__version__}",
            notes="" if pretrained else "The weights are random.",
        ),
        prepare=prepare,
        outputs=outputs_of(module, names),
        write=lambda folder: write_onnx(module, config["input_size"], names, folder),
    )


def _create(timm: Any, torch: Any, name: str, pretrained: bool) -> Any:
    given = ARGUMENTS.get(name.partition(":")[2].partition("@")[0].lower(), {})
    classes = {"mlp_layer": timm.layers, "act_layer": torch.nn}
    arguments = {key: getattr(classes[key], value) if key in classes else value for key, value in given.items()}
    # First with its classifier: where the number of classes is another, timm accepts weights that are missing.
    model = timm.create_model(name, pretrained=pretrained, **arguments)
    if getattr(model, "dynamic_img_size", False):
        # An exported network would resample its position embedding, which engines do in different ways.
        size = tuple(timm.data.resolve_data_config({}, model=model)["input_size"][1:])
        arguments |= {"img_size": size, "dynamic_img_size": False}
        model = timm.create_model(name, pretrained=pretrained, **arguments)
    model.reset_classifier(0)
    return model.eval()


def _outputs(model: Any, torch: Any, shape: tuple[int, int, int]) -> tuple[list[str], Any]:
    """Return the names of a model's outputs, and the function that gives them."""

    def pooled(pixels: Any) -> list[Any]:
        return [model(pixels)]

    def unpooled(pixels: Any) -> list[Any]:
        last = model.forward_features(pixels)
        # Some networks have their channels last; the file has them where its input has them.
        turned = last.permute(0, 3, 1, 2) if last.ndim == 4 and _channels_last(model) else last
        return [model.forward_head(last), turned] if rows else [turned]

    with torch.inference_mode():
        last = model.forward_features(torch.zeros(1, *shape))
        if not isinstance(last, torch.Tensor) or last.ndim not in (3, 4):
            return ["features"], pooled
        rows = model.forward_head(last).ndim == 2
    name = "tokens" if last.ndim == 3 else "map"
    return (["features", name] if rows else [name]), unpooled


def _channels_last(model: Any) -> bool:
    return str(getattr(model, "output_fmt", "NCHW")).upper().endswith("NHWC")


def _output(source: str, model: Any, names: list[str], tokens: Tokens | None) -> OutputPart:
    if tokens is None and "features" in names:
        return OutputPart(name="features")
    if tokens is None and "map" in names:
        return OutputPart(name="map", pooling="avg")
    prefix = int(getattr(model, "num_prefix_tokens", 0) or 0)
    tokens = tokens or ("cls" if prefix else "mean")
    if "tokens" not in names or ("cls" in tokens and prefix == 0):
        what = "a class token" if "tokens" in names else "tokens"
        raise UsageError(
            f"Expected a network with {what} for --tokens {tokens}, but {source} has none; leave it out."
        )
    return OutputPart(name="tokens", tokens=tokens, prefix_tokens=prefix)
