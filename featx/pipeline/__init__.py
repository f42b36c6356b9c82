"""The corridor: the only modules that know the order of the steps, and the store."""
