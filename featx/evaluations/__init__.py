"""Evaluations: a run's head or a saved classifier on new labelled images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
