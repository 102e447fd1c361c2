"""The dataset on disk: a Hugging Face dataset repository made of atomic shards."""
