"""Classifiers: any architecture, trained from scratch on synthetic images and tested on real ones.

config.py        the options of training, declared once
stage.py         the stage: images by path to a model's folder
models.py        an architecture by name, fitted to the image size; saving and loading
training_set.py  decoded images, and which of them are held back
augment.py       augmentation of whole batches, each image its own draw
train.py         synthetic images to a trained model
checkpoints.py   the files of a training, and how it resumes
distributed.py   several processes that train one model; launch.py starts them, launched.py is one of them
scoring.py       classes matched, images counted, intervals
evaluate.py      a classifier and real images to scores; confusion_chart.py draws them
"""
