"""Publishing: a dataset or a model to the Hugging Face hub, with its card and its licence, and nothing else.

privacy.py    paths of this machine, out of all that is published
licences.py   the licence of the models that drew the images
cards.py      the card, as it is published
contents.py   which files of a folder are published, and which never are
datasets.py   those of a dataset
models.py     those of a model
repository.py the repository: what it holds, what is sent, in which commits, and what it answers
stage.py      push
"""
