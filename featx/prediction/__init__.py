"""Predictions: classes and probabilities of new images, by a run's head or a saved classifier."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
