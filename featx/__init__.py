"""featx: run a frozen network over your images once, then do everything else on its cached features.

The public names load what they need when they are first used; `import featx` itself is cheap.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
