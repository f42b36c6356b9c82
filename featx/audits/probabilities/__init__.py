"""Probabilities: whether they are right, and what can be decided with them."""
