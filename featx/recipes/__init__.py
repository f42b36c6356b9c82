"""Recipes: everything that decides the features, the head and its training, as TOML."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
