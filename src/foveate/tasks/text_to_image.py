"""Text-to-image generation: a network leads noise to an image of a caption."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from annotated_types import Interval
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate import processes
from foveate.annotations import Captions
from foveate.data.dataset import Dataset, Images
from foveate.data.rng import SampleRNG
from foveate.data.subset import ImageArray
from foveate.data.vocabulary import PAD_INDEX, TextReader, Vocabulary
from foveate.metrics.baselines.generation import fit_baselines
from foveate.metrics.generation import GeneratedImage, GenerationMetric, image_keys
from foveate.models import text_encoder as text_encoders
from foveate.models.backbone import Backbone
from foveate.models.heads.flow_matching import FlowMatchingModel, sample, to_pixels
from foveate.models.model import VisionModel
from foveate.models.search import SearchSpace
from foveate.models.text_encoder import TextEncoder
from foveate.ops.timesteps import shift_timesteps
from foveate.settings import Settings
from foveate.tasks.capabilities import HasEvaluator, PromptedByTargets
from foveate.tasks.generating import DEFAULT_STEPS, MAX_STEPS, Generating
from foveate.tasks.policies import caption_policy
from foveate.tasks.presenters.text_to_image import Prediction
from foveate.tasks.prompted import CaptionedImages
from foveate.tasks.task import BaselinePredictors, Task
from foveate.training.caption_evaluator import CaptionEvaluator, train_evaluator

CAPTION_DROPOUT = 0.1
"""Share of training images shown without their caption, so that the network also learns the
unconditional direction (Ho and Salimans, 2021)."""
GUIDANCE_SCALES = (1.0, 2.0, 3.0)
"""Candidates, of which one is chosen on the validation split."""
CALIBRATION_IMAGES = 64
"""Images that each candidate is tried on."""


class TextToImage(
    Generating[VisionModel],
    Task[Prediction],
    PromptedByTargets[Prediction],
    HasEvaluator[Prediction],
):
    """Flow matching with classifier-free guidance; see `models.heads.flow_matching`.

    Attributes:
        reader: Turns captions into tokens: the vocabulary of the training captions, or a CLIP
            text encoder.
        guidance: Default scale of the guidance; chosen on the validation split.
        steps: Default number of integration steps.
        evaluator: Scores generated images; None before `load_evaluator`.
    """

    curve_metric = "explained_variance"
    curve_reaches_one = False  # noise cannot be predicted
    lower_is_better = frozenset({"copies"})
    raw_metrics = frozenset({"diversity"})
    demo_data: ClassVar[str] = "duos"
    default_settings: ClassVar[Mapping[str, Any]] = {
        "model": "patch_resnet",
        "batch_size": 64,
        "ema": 0.999,
        "clip": 1.0,
        "schedule": "cosine",
    }
    search_space: ClassVar[SearchSpace] = {}  # any augmentation would be generated too
    extra_settings: ClassVar[Mapping[str, Callable[[Any], None]]] = {
        "text_encoder": text_encoders.check
    }
    augmentation = staticmethod(caption_policy)
    single_class_ok = True
    max_default_size = 64
    max_eval_images = 256

    def __init__(
        self,
        classes: Sequence[str],
        *,
        words: Sequence[str] = (),
        max_length: int = 0,
        text_encoder: Mapping[str, Any] | None = None,
        guidance: float = 2.0,
        steps: Annotated[int, Interval(ge=1, le=MAX_STEPS)] = DEFAULT_STEPS,
    ):
        super().__init__(classes)
        self.reader: TextReader = (
            TextEncoder(**text_encoder) if text_encoder else Vocabulary(tuple(words), max_length)
        )
        self.guidance, self.steps = guidance, steps
        self.evaluator: CaptionEvaluator | None = None

    @classmethod
    def from_settings(
        cls,
        dataset: Dataset[Prediction],
        settings: Settings,
        targets: Sequence[Prediction],
        *,
        hflip: bool,
    ) -> TextToImage:
        """Collect the vocabulary of the captions, or encode them once with the text encoder."""
        texts = [text for target in _captions(targets) for text in target.texts]
        task = cls(dataset.classes)
        if settings.text_encoder is None:
            task.reader = Vocabulary.of(texts)
        else:
            task.reader = encoder = TextEncoder.of(settings.text_encoder)
            encoder.cache(texts)  # here, once: never in the loop
        return task

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that rebuild this task."""
        return {**self.reader.options(), "guidance": self.guidance, "steps": self.steps}

    # --- learn

    def head(self, backbone: Backbone) -> nn.Module:
        """A flow-matching model on the backbone."""
        reader = self.reader
        return FlowMatchingModel(backbone, reader.vocabulary_size, reader.max_length, reader.width)

    def collate(
        self, images: Tensor, targets: Sequence[Prediction], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Draw noise, a time and one of the captions, or none, for each image.

        Returns:
            ((B, C, H, W) uint8 images, noise of that shape, (B,) times from 0 to 1, tokens of the
            captions), and the times.
        """
        which, dropout, time = rng.uniform(3).T
        noise = torch.from_numpy(rng.normal(images[0].numel() if len(images) else 0)).reshape(
            images.shape
        )
        texts = [
            target.texts[int(share * len(target.texts))]
            for target, share in zip(_captions(targets), which, strict=True)
        ]
        words = self.reader.read(texts)
        words[dropout < CAPTION_DROPOUT] = PAD_INDEX
        times = shift_timesteps(torch.from_numpy(time.copy()))
        return (images, noise, times, torch.from_numpy(words)), times

    def loss(self, output: tuple[Tensor, Tensor], target: Tensor) -> dict[str, Tensor]:
        """Predicted and true velocity, (B, C, H, W) each -> their mean squared difference."""
        predicted, true = output
        total = F.mse_loss(predicted.float(), true) if len(target) else predicted.sum() * 0
        return {"total": total}

    def batch_metric(self, output: tuple[Tensor, Tensor], target: Tensor, *, quick: bool) -> float:
        """Explained variance of the velocity; below 1, as noise cannot be predicted."""
        predicted, true = output
        return 1 - (F.mse_loss(predicted.float(), true) / true.square().mean()).item()

    def make_prompts(self, images: Images, targets: Sequence[Prediction]) -> Images:
        """One caption for each image, drawn from its pixels: it is always the same one."""
        shares = SampleRNG(image_keys(images), 0, 1).uniform(1)[:, 0]
        texts = [
            target.texts[int(share * len(target.texts))]
            for target, share in zip(_captions(targets), shares, strict=True)
        ]
        return CaptionedImages(images, texts)

    def _shape(self, net: VisionModel) -> tuple[int, int, int]:
        return net.channels, net.size, net.size

    def _stages(
        self,
        net: VisionModel,
        noise: NDArray[np.float32],
        words: NDArray[Any],
        guidance: float,
        steps: int,
        *,
        every: bool,
    ) -> list[NDArray[np.uint8]]:
        first, read = (torch.from_numpy(one).to(net.mean.device) for one in (noise, words))
        states = sample(net, first, read, guidance=guidance, steps=steps)
        return [to_pixels(net, x).numpy() for x in (states if every else deque(states, maxlen=1))]

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Prediction]) -> None:
        """Choose the guidance of the highest likeness, among equals that of the best accuracy."""
        images, targets = images[:CALIBRATION_IMAGES], targets[:CALIBRATION_IMAGES]
        prompted = self.make_prompts(images, targets)

        def quality(guidance: float) -> tuple[float, float]:
            self.guidance = guidance
            generated = processes.map_shares(partial(self.predict, net), prompted)
            metrics = self.score(generated, targets)
            return round(metrics[self.primary_metric], 2), metrics["prompt_accuracy"]

        self.guidance = max(GUIDANCE_SCALES, key=quality)

    def calibration_predictions(self, images: int) -> int:
        """One for each of the scales and of a few images."""
        return len(GUIDANCE_SCALES) * min(images, CALIBRATION_IMAGES)

    # --- measure

    def fit_evaluator(
        self,
        images: ImageArray,
        targets: Sequence[Prediction],
        seed: int,
        say: Callable[[str], None] = lambda line: None,
        *,
        device: str = "auto",
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Train a network that recognises the captions of training images."""
        say("an evaluator learns to recognise the captions of the training images")
        return train_evaluator(images, _captions(targets), seed, device).to_tensors()

    def load_evaluator(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Restore the evaluator."""
        self.evaluator = CaptionEvaluator.from_tensors(tensors, record)

    def metric(self) -> GenerationMetric:
        """Likeness to real images, and how often the caption is recognised."""
        return GenerationMetric(self.evaluator)

    def baselines(
        self, images: ImageArray, targets: Sequence[Prediction], seed: int
    ) -> BaselinePredictors[Prediction]:
        """Noise, the mean image, and the mean image of the same words."""
        predict = fit_baselines(images, _captions(targets), seed)

        def predict_all(prompted: Images) -> dict[str, list[Prediction]]:
            assert isinstance(prompted, CaptionedImages)
            return {
                name: [
                    GeneratedImage(image, text, real)
                    for image, text, real in zip(generated, prompted.texts, prompted, strict=True)
                ]
                for name, generated in predict(prompted.texts).items()
            }

        return predict_all

    # --- present

    def _words(self, tokens: Sequence[int]) -> str:
        return "" if self.evaluator is None else self.evaluator.vocabulary.decode(tokens)


def _captions(targets: Sequence[Prediction]) -> list[Captions]:
    """The targets: predictions are never among them."""
    return [target for target in targets if isinstance(target, Captions)]
