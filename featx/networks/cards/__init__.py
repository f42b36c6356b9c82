"""Cards of networks from elsewhere: their fields, their files, and cards that are derived from other settings."""
