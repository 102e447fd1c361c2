"""Create: plan × generator × executor to a dataset."""
