"""Transfer: how well a backbone's weights serve another task, by fine-tuning, a linear probe or nearest neighbours."""
