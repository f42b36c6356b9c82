"""The fused engine: training steps compiled by Numba."""
