"""Classifiers: any architecture, trained from scratch on synthetic images and tested on real ones.

models.py    an architecture by name, fitted to the image size; saving and loading
augment.py   augmentation of whole batches, each image its own draw
train.py     synthetic images -> a trained model
training_set.py, checkpoints.py  what is held back; what is kept, and how training resumes
evaluate.py  a classifier and real images -> accuracy with its interval, confusion matrix
"""
