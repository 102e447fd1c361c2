"""Curation: datasets as material, to look at, draw again, correct by a file, merge and split.

listing.py   which images there are, what filters say of each, and contact sheets of them
sheets.py    the contact sheets
redraw.py    an image drawn again, held against the stored one
comparing.py whether two images are the same but for rounding
relabel.py   other classes for images, from a table
merge.py     several datasets to one
split.py     one dataset to parts for training, validation and tests
writing.py   a dataset made of images that others have
"""
