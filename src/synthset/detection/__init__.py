"""Detection: a pre-trained backbone judged by a detector that begins with it, on Pascal VOC.

He et al. 2023, section 3.3: Faster R-CNN, and average precision.
"""
