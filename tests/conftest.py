"""What tests of several modules share. Fixtures that need files from outside the project skip without them."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_data import write_model

# TensorFlow reads it when it is first loaded; errors still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# A program that a shell runs in the background ignores Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["browser", "command_line"]  # the fixtures `browser` and `featx`

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def logger_as_it_was() -> Iterator[None]:
    """Put featx's logger back after each test: a command line that ran in this process has taken it over."""
    log = logging.getLogger("featx")
    handlers, propagate, level = list(log.handlers), log.propagate, log.level
    yield
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a seeded Keras network of two convolutions, `conv_1` and `conv_2`, on 32 × 32 RGB images."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny.keras")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of real weights beside the project."""
    return _folder(SHARED / "weights")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs beside the project, with `two` and `all` in it."""
    return _folder(SHARED / "data" / "covid_xray")


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder where no weights are found and from which none can be downloaded; Keras's cache is KERAS_HOME."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KERAS_HOME", str(home / "keras"))
    monkeypatch.delenv("FEATX_WEIGHTS_DIR", raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # a port that nothing listens to
    # It is made once a process, with the proxies of that moment.
    monkeypatch.setattr("urllib.request._opener", None)
    return home


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"there is no folder {path.parent.name}/{path.name} beside the project")
    return path
