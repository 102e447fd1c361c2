"""Pre-training: a backbone from synthetic images, with their labels or without any.

He et al. 2023, section 3.3: images drawn by language enhancement, a network that learns from them, and transfer of it
to real images. MoCo v2 is that of Chen et al. 2020, "Improved Baselines with Momentum Contrastive Learning".
"""
