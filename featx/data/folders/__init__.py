"""Folders of images: which files are images, and which folders are splits and classes."""
