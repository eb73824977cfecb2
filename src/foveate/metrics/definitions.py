"""What each metric means, in a sentence or two, for reports."""

from __future__ import annotations

import re

from foveate.metrics.names import display_name
from foveate.wording import count_noun

_IOU = "IoU, intersection over union, is the pixels that both share divided by those of either."
_AP = "the area under the precision-recall curve, averaged over classes"
_DEFINITIONS = {
    "accuracy": "The share of images whose class is predicted correctly.",
    "balanced_accuracy": "The share of each class's images that are predicted correctly, averaged "
    "over classes: rare classes count as much as frequent ones.",
    "macro_f1": "F1 is the harmonic mean of precision and recall; macro F1 is its mean over "
    "classes.",
    "log_loss": "Minus the logarithm of the probability that was given to the right class, "
    "averaged over images. 0 is perfect; confident mistakes cost most.",
    "calibration_error": "How far confidence and accuracy differ, on average: 0% where predictions "
    "with a confidence of 80% are right in 80% of the cases, and so on.",
    "map": f"Mean average precision: {_AP} and over IoU thresholds from 0.5 to 0.95.",
    "map50": f"Mean average precision, {_AP}. A prediction counts as correct if its IoU with a "
    f"target of its class is 0.5 or more. {_IOU}",
    "map75": f"Mean average precision, {_AP}, where only predictions with an IoU of 0.75 or more "
    "count as correct: it asks for a closer fit than mAP50.",
    "map_small": "mAP of the objects below 32 x 32 pixels.",
    "map_medium": "mAP of the objects from 32 x 32 to 96 x 96 pixels.",
    "map_large": "mAP of the objects above 96 x 96 pixels.",
    "recall": "The share of objects that are found, whatever the confidence, averaged over classes "
    "and over IoU thresholds from 0.5 to 0.95.",
    "pq": "Panoptic quality: the mean IoU of the objects that are found, multiplied by the F1 of "
    "finding them; averaged over classes.",
    "count_error": "How far the number of objects in an image is off, on average, as a share of "
    "the mean number of objects.",
    "miou": "Mean IoU, intersection over union: of the pixels that belong to a class or are "
    "predicted as it, the share that are both; averaged over classes.",
    "dice": "Twice the pixels that prediction and target share, divided by the sum of the pixels "
    "of both; averaged over classes.",
    "pixel_accuracy": "The share of labelled pixels whose class is predicted correctly.",
    "boundary_f1": "F1 of the edges alone: a pixel of an edge is correct if the other edge is "
    "within 0.75% of the image diagonal.",
    "within_5_clicks": "The share of objects whose mask reaches an IoU of 85% within 5 clicks.",
    "mean_clicks": "How many clicks an object needs, on average, until its mask reaches an IoU of "
    "85%; 6 where 5 are not enough.",
    "likeness": "How alike generated and real images of the same captions are to the evaluator, a "
    "network trained on real images: 100% for equal distributions.",
    "image_likeness": "How alike generated and real images are, whatever their captions.",
    "real_likeness": "The likeness of real images among themselves: what a perfect model reaches.",
    "prompt_accuracy": "The share of generated images in which the evaluator recognises the whole "
    "caption.",
    "word_accuracy": "The share of words that the evaluator recognises in generated images, of "
    "those that are not in every caption.",
    "real_accuracy": "The share of real images in which the evaluator recognises the caption: what "
    "a perfect model reaches.",
    "diversity": "How far images of one caption differ, divided by how far real ones do: 1 is as "
    "varied as real images, 0 always the same image.",
    "copies": "The share of generated images that lie as near to a training image as only 1% of "
    "real ones do.",
}  # fmt: skip
_BY_DISPLAY_NAME = {display_name(name): text for name, text in _DEFINITIONS.items()} | {
    "IoU": _IOU,
    "AP": f"Average precision: {_AP.removesuffix(', averaged over classes')}, averaged over IoU "
    "thresholds from 0.5 to 0.95.",
    "AP50": "Average precision, where a prediction counts as correct if its IoU with a target is "
    "0.5 or more.",
    "F1": "The harmonic mean of precision and recall.",
    "precision": "The share of the predictions of a class that are correct.",
    "recall": "The share of the objects or images of a class that are predicted correctly.",
    "AUC": "Area under the ROC curve: 0.50 is chance, 1.00 a perfect distinction.",
}


def definition(name: str) -> str:
    """The definition of a metric by its name in results.json; empty for one that is unknown."""
    if clicks := re.fullmatch(r"iou_(\d+)", name):
        count = count_noun(int(clicks[1]), "click")
        return f"Mean IoU of predicted and target masks after {count} on each object. {_IOU}"
    return _DEFINITIONS.get(name, "")


def definition_of_column(title: str) -> str:
    """The definition of a table's column by its title; empty for one that needs none."""
    return _BY_DISPLAY_NAME.get(title, "")
