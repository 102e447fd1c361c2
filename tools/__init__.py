"""Development tools; the package needs none of them."""
