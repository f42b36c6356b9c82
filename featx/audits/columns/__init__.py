"""The further columns of a manifest: what they have to do with the class, the features and the accuracy."""
