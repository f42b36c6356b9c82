"""Images in archives: folders in ZIP files, samples of shards, and rows of tables with bytes."""
