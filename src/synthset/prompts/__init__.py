"""From class names to prompts: names, strategies, phrases, sentences."""
