"""The engine `fused`: training steps of dense layers, compiled by Numba."""
