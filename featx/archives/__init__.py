"""Images inside files that hold many: ZIP archives, tar shards and Parquet tables, read without unpacking."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
