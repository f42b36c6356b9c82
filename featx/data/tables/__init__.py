"""Tables that list images: manifests and data frames, their columns, and the files that their paths mean."""
