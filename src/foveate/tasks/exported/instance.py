"""Instance segmentation after the net: probabilities and votes, which are then grouped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from foveate.annotations import Instances
from foveate.data.dataset import Image
from foveate.data.resizing import fit_within
from foveate.tasks.exported.exported_task import ExportedNet, Outputs, WholeTask
from foveate.tasks.grouping import OFFSET_UNIT, group
from foveate.tasks.presenters.instance import InstancePresenter
from foveate.tasks.tiling import MAX_SIDE, Tiled, check_tile, merge_instances


class ExportedInstance(InstancePresenter, WholeTask[Instances], Tiled[Instances, ExportedNet]):
    """Objects whose pixels vote for one centre; ONNX has no operation that groups them.

    Attributes:
        blur: Pixels that votes are spread over.
    """

    letterbox = True
    net_outputs = ("maps",)
    outputs: ClassVar = {
        "probabilities": "(N, 1 + K, h, w) float32 of background and the classes, at the training "
        "size",
        "offsets": "(N, 2, h, w) float32: rows and columns from each pixel to the centre of its "
        "object; foveate groups pixels whose votes meet, see ops/centre_voting.py",
    }

    def __init__(
        self,
        classes: Sequence[str],
        *,
        thresholds: Sequence[float] | None = None,
        blur: float = 2.0,
    ):
        super().__init__(classes, thresholds=thresholds)
        self.blur = blur

    def graph(self) -> str:
        """Softmax, and offsets in pixels, without the padding."""
        return f"""
            after (float[N, M, H, W] maps, int64[2] content)
                => (float[N, P, h, w] probabilities, float[N, 2, h, w] offsets) {{
              starts = Constant <value_ints = [0, 0]> ()
              sides = Constant <value_ints = [2, 3]> ()
              inside = Slice (maps, starts, content, sides)
              parts = Constant <value_ints = [{len(self.classes) + 1}, 2]> ()
              logits, votes = Split <axis = 1> (inside, parts)
              probabilities = Softmax <axis = 1> (logits)
              unit = Constant <value = float {{{OFFSET_UNIT!r}}}> ()
              offsets = Mul (votes, unit)
            }}"""

    def decode(self, outputs: Outputs, row: int, size: tuple[int, int]) -> Instances:
        """The objects of an image, each as every class that it may be."""
        probabilities, offsets = outputs["probabilities"][row], outputs["offsets"][row]
        content = (probabilities.shape[1], probabilities.shape[2])
        return group(probabilities, offsets, self.blur).resize(content, size)

    def predict_tiled(self, net: ExportedNet, image: Image, side: int) -> Instances:
        """Merge the predictions for overlapping tiles with that for the whole image."""
        check_tile(net.size, side)
        small = fit_within(image, min(net.size, MAX_SIDE), net.channels)
        return merge_instances(lambda one: net.predict_images([one])[0], image, small, side)
