"""The forms that journals ask for, filled from a run and its audit: CLAIM, TRIPOD+AI, and a model card."""
