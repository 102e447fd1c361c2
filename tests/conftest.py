import os

# One thread a process: two test processes share two cores, and small tensors gain nothing from more.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that reaches for a hub fails at once
os.environ["TOKENIZERS_PARALLELISM"] = "false"
