"""Draws the miniature's world and trains its parts: `python -m tools.miniature` makes it from nothing."""
