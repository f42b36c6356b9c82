"""Tests of what is said where a framework cannot fetch a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from featx.errors import FeatxError, UsageError, WeightsError
from featx.networks.importing.hubs import fetching, licence_in


def of_kind(name: str, base: type[Exception] = Exception) -> type[Exception]:
    """An error class of this name, as hubs and HTTP libraries have them."""
    return type(name, (base,), {})


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (of_kind("GatedRepoError", of_kind("RepositoryNotFoundError"))("403"), WeightsError, "hf auth login"),
        (of_kind("RepositoryNotFoundError")("404"), UsageError, "check the spelling"),
        (of_kind("ConnectError", of_kind("TransportError"))("refused"), WeightsError, "the hub cannot be reached"),
        (of_kind("LocalEntryNotFoundError", OSError)("no"), WeightsError, "hf:FOLDER"),
        (RuntimeError("Unknown model (resnet19)"), UsageError, "check the spelling"),
        (OSError("x does not appear to have a file named model.safetensors."), WeightsError, "loads no pickle"),
        (ValueError("set trust_remote_code=True"), WeightsError, "code of its own"),
        (ValueError("mat1 and mat2\nshapes"), WeightsError, "could not be built: mat1 and mat2 shapes"),
    ],
)
def test_an_error_of_a_hub_becomes_one_sentence(error: Exception, kind: type[FeatxError], words: str) -> None:
    with pytest.raises(kind) as raised, fetching("hf:some/network"):
        raise error
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is error


def test_the_cause_of_an_error_is_looked_at_too() -> None:
    error = OSError("you need access")
    error.__cause__ = of_kind("GatedRepoError")("403")
    with pytest.raises(WeightsError, match="accept them"), fetching("hf:some/network"):
        raise error


def test_an_error_that_nobody_knows_stays_as_it_is() -> None:
    class StrangeError(Exception):
        pass

    with pytest.raises(StrangeError), fetching("timm:resnet18"):
        raise StrangeError


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: mit\ntags:\n- vision\n---\n# A model", "mit"),
        ("---\nlicense: other\nlicense_name: dinov3-license\n---\n", "dinov3-license"),
        ("# A model\n", ""),
    ],
)
def test_the_licence_is_read_from_the_first_lines_of_the_readme(tmp_path: Path, text: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(text)
    assert licence_in(tmp_path / "README.md") == licence
    assert licence_in(tmp_path / "absent.md") == ""
