"""Networks of Hugging Face's transformers, from the hub or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import UsageError, WeightsError
from featx.networks.cards.card import AboutPart, InputPart, OutputPart, Tokens
from featx.networks.cards.derived import hub_pixels
from featx.networks.importing.built import Built, Floats, load_packages
from featx.networks.importing.hubs import fetching, licence_in, local_folder, quiet_hub
from featx.networks.importing.onnx_export import INPUT, make_module, outputs_of, write_onnx

# Networks of images and texts, and the class that has their image part alone.
VISION_PARTS = {
    "clip": "CLIPVisionModelWithProjection",
    "clip_vision_model": "CLIPVisionModelWithProjection",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
}
NAMES = ("image_embeds", "pooler_output", "last_hidden_state")


class _Loaded(NamedTuple):
    """A model, its configuration and its processor; `untrained` has the weights that the files lack."""

    model: Any
    config: Any
    processor: Any
    untrained: list[str]


def build_hub(name: str, tokens: Tokens | None = None) -> Built:
    """Build a network of transformers with its weights.

    Its outputs are those of `image_embeds` (CLIP), `pooler_output` and `last_hidden_state` that it has. Without
    `tokens`, the first of them is the features, but the class token of `last_hidden_state` for networks whose pooler
    is a layer for a classifier (ViT) or was not trained.

    Args:
        name: A name on the hub, or a folder with `config.json`, `preprocessor_config.json` and safetensors.
        tokens: What to make of the tokens of `last_hidden_state`.

    Raises:
        UsageError: There is no such network, it takes no images alone, or it has no such tokens.
        WeightsError: Its weights cannot be had, or are no safetensors.
    """
    folder = local_folder(name)
    source = f"hf:{folder.name if folder else name}"
    torch, transformers, hub = load_packages(source, "torch", "transformers", "huggingface_hub")
    with fetching(f"hf:{name}"), quiet_hub(), _silence(transformers):
        loaded = _load(transformers, source, str(folder or name))
        licence = licence_in(folder / "README.md") if folder else _hub_licence(hub, name)
    given, pixels = hub_pixels(loaded.processor.to_dict(), f"of {source}")
    shape = (3, *given.size)
    module, names, output = _outputs(torch, loaded, source, shape, tokens)

    def prepare(image: NDArray[np.uint8]) -> Floats:
        prepared = loaded.processor(images=Image.fromarray(image), return_tensors="np")
        return np.asarray(prepared["pixel_values"][0], np.float32)

    return Built(
        name=source.rpartition("/")[2].removeprefix("hf:"),
        kind="onnx",
        input=InputPart(name=INPUT, layout="nchw", colour="rgb", size=given.size),
        pixels=pixels,
        output=output,
        about=AboutPart(
            licence=licence,
            source=source,
            made_with=f"transformers {transformers.__version__}, torch {torch.__version__}",
        ),
        prepare=prepare,
        outputs=outputs_of(module, names),
        write=lambda folder: write_onnx(module, shape, names, folder),
    )


def _load(transformers: Any, source: str, name: str) -> _Loaded:
    config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    part = VISION_PARTS.get(config.model_type)
    if part is None and hasattr(config, "vision_config"):
        raise UsageError(
            f"Expected a network of images, but {source} is one of images and texts ({config.model_type}), whose "
            f"image part featx cannot take out; it can for {', '.join(sorted(VISION_PARTS))}."
        )
    processor = transformers.AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
    kind = getattr(transformers, part) if part else transformers.AutoModel
    options = {"use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    if part:
        del options["trust_remote_code"]
    model, info = kind.from_pretrained(name, dtype="float32", **options)
    untrained = sorted(info["missing_keys"])
    others = [key for key in untrained if "pooler." not in key]
    if others:
        raise WeightsError(
            f"Expected the weights of {source} to be complete, but {len(others)} are missing, such as {others[0]}; "
            "nothing is imported."
        )
    return _Loaded(model.eval(), model.config, processor, untrained)


def _outputs(
    torch: Any, loaded: _Loaded, source: str, shape: tuple[int, ...], tokens: Tokens | None
) -> tuple[Any, list[str], OutputPart]:
    """Return a module with the outputs that are trained, their names, and the one that is the features."""
    model = loaded.model

    def raw(pixels: Any) -> Any:
        return model(pixel_values=pixels)

    with fetching(source), torch.inference_mode():
        trial = raw(torch.zeros(1, *shape))
    shapes = {name: tuple(trial[name].shape) for name in NAMES if isinstance(trial.get(name), torch.Tensor)}
    if loaded.untrained:
        shapes.pop("pooler_output", None)
    if not shapes:
        raise UsageError(f"Expected a network that gives features, but {source} gives only {', '.join(trial)}.")

    def forward(pixels: Any) -> list[Any]:
        values = raw(pixels)
        return [values[name].flatten(1) if name == "pooler_output" else values[name] for name in shapes]

    output = _output(loaded, source, shapes, shape, tokens)
    return make_module(forward, model), list(shapes), output


def _output(
    loaded: _Loaded, source: str, shapes: dict[str, tuple[int, ...]], shape: tuple[int, ...], tokens: Tokens | None
) -> OutputPart:
    last = shapes.get("last_hidden_state", ())
    prefix = _prefix_tokens(loaded.config, last, shape)
    if tokens is None:
        for_classifier = hasattr(getattr(loaded.model, "pooler", None), "dense")
        first = next(name for name in NAMES if name in shapes and not (name == "pooler_output" and for_classifier))
        if first != "last_hidden_state":
            return OutputPart(name=first)
        if len(last) == 4:
            return OutputPart(name=first, pooling="avg")
        tokens = "cls" if prefix else "mean"
    if len(last) != 3 or ("cls" in tokens and prefix == 0):
        what = "a class token" if len(last) == 3 else "tokens"
        raise UsageError(
            f"Expected a network with {what} for --tokens {tokens}, but {source} has none; leave it out."
        )
    return OutputPart(name="last_hidden_state", tokens=tokens, prefix_tokens=prefix)


def _prefix_tokens(config: Any, last: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Return the number of tokens before those of patches: the class token and registers."""
    patch = getattr(config, "patch_size", None)
    if len(last) != 3 or patch is None:
        return 0
    height, width = patch if isinstance(patch, list | tuple) else (patch, patch)
    patches = (shape[1] // height) * (shape[2] // width)
    return max(0, last[1] - int(patches))


def _hub_licence(hub: Any, name: str) -> str:
    try:
        return licence_in(Path(hub.hf_hub_download(name, "README.md")))
    except hub.errors.EntryNotFoundError:
        return ""


@contextmanager
def _silence(transformers: Any) -> Iterator[None]:
    """Hide what transformers says of weights that are not needed, such as those of a classifier."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
