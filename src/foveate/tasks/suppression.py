"""Limits of non-maximum suppression, the same for a net in torch and for an exported one."""

MIN_SCORE = 0.01
"""Candidates with a lower score are dropped before non-maximum suppression."""
MAX_CANDIDATES = 1500
"""Candidates of an image that non-maximum suppression compares."""
MAX_DETECTIONS = 500
"""Boxes of an image that remain after it."""
NMS_IOU = 0.6
"""Of two boxes of one class with a larger IoU, the one with the higher score remains."""
