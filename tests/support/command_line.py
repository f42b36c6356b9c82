"""The command line, run in the process of the tests."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from featx.cli import console, main
from featx.networks import framework


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


Featx = Callable[..., Outcome]


@pytest.fixture
def featx(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Featx]:
    """Run the command line in this process, in a folder of its own."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr("threading.excepthook", threading.excepthook)
    obeyed = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(framework, "_quiet", False)
    monkeypatch.setattr(console.State, "debug", False)

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["featx", *map(str, words)])
        with pytest.raises(SystemExit) as leave:
            main()
        out, err = capfd.readouterr()
        return Outcome(int(leave.value.code or 0), out, err)

    yield run
    signal.signal(signal.SIGTERM, obeyed)
    logging.captureWarnings(False)
