"""From words to a picture: noise that a net leads to what the words say."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from foveate.annotations import Captions
from foveate.data.augment.images import ImageAugment
from foveate.data.dataset import ArraySource, Dataset, Image, Images, Sample
from foveate.data.images import fit
from foveate.data.rng import SampleRNG, keys
from foveate.data.subset import Pixels
from foveate.data.vocabulary import NOTHING, Reader, Vocabulary, cut
from foveate.metrics import generation
from foveate.metrics.baselines.generation import fit_baselines
from foveate.metrics.generation import GeneratedImage
from foveate.metrics.intervals import Score
from foveate.models import text_encoder as text_encoders
from foveate.models.backbone import Backbone
from foveate.models.heads.flow_matching import FlowMatchingModel, sample, shift_timesteps, to_pixels
from foveate.models.model import VisionModel
from foveate.models.text_encoder import TextEncoder
from foveate.report import drawing
from foveate.report.generation_panels import generation_panels
from foveate.report.panels import Panel
from foveate.settings import Settings
from foveate.tasks.task import BaselinePredictors, PerImageStats, Task
from foveate.training import caption_evaluator
from foveate.training.caption_evaluator import CaptionEvaluator

FREE = 0.1
"""The share of train pictures that are shown without their words, so that the net knows where none lead (Ho and Salimans, 2021)."""
STEPS = 20
GUIDANCES = (1.0, 2.0, 3.0)
"""Of which the one is taken that is best on the validation part."""
TRIED = 150
"""Pictures that each is tried on."""
AT_ONCE = 64

Prediction = Captions | GeneratedImage


@dataclass(frozen=True)
class CaptionedImages(Sequence[Image]):
    """Pictures, each with words to make one from."""

    images: Images
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: Any) -> Any:
        return self.images[row]


class TextToImage(Task[Prediction]):
    """Flow matching under classifier-free guidance. See `models.painter`; how pictures are judged is in `evaluation.drawn`.

    words, longest: the vocabulary of the train captions; or text_encoder: what describes the CLIP that reads words instead
    guidance, steps: how pictures are made where nothing else is asked; the first is chosen on the validation part
    """

    name = "text_to_image"
    annotation = Captions
    description = "a picture of what is said"
    primary_metric = "likeness"
    lower_is_better = frozenset({"copies"})
    raw_metrics = frozenset({"diversity"})
    default_settings: ClassVar[Mapping[str, Any]] = {
        "model": "patch_resnet",
        "batch_size": 64,
        "average": 0.999,
        "clip": 1.0,
        "schedule": "cosine",
    }
    single_class_ok = True
    class_aware = False
    largest = 64
    max_eval_images = 500

    def __init__(
        self,
        classes: Sequence[str],
        *,
        words: Sequence[str] = (),
        longest: int = 0,
        text_encoder: Mapping[str, Any] | None = None,
        guidance: float = 2.0,
        steps: int = STEPS,
    ):
        super().__init__(classes)
        self.reader: Reader = (
            TextEncoder(**text_encoder) if text_encoder else Vocabulary(tuple(words), longest)
        )
        self.guidance, self.steps = guidance, steps
        self.referee: CaptionEvaluator | None = None

    @classmethod
    def from_settings(
        cls,
        dataset: Dataset[Prediction],
        settings: Settings,
        targets: Sequence[Prediction],
        *,
        mirror: bool,
    ) -> TextToImage:
        del mirror
        texts = [text for target in _captions(targets) for text in target.texts]
        made = cls(dataset.classes)
        if settings.text_encoder is None:
            made.reader = Vocabulary.of(texts)
        else:
            made.reader = encoder = TextEncoder.of(settings.text_encoder)
            encoder.keep(texts)  # here, once: never in the loop
        return made

    @classmethod
    def check_settings(cls, settings: Settings) -> None:
        if settings.text_encoder is not None:
            text_encoders.check(settings.text_encoder)

    def options(self) -> dict[str, Any]:
        return {**self.reader.options(), "guidance": self.guidance, "steps": self.steps}

    # --- data

    def audit(self, sample: Sample[Prediction]) -> list[str]:
        found = super().audit(sample)
        if not found and not (
            isinstance(sample.target, Captions) and all(map(cut, sample.target.texts))
        ):
            return ["a caption with words in it is expected"]
        return found

    @classmethod
    def augmentation(
        cls,
        size: int,
        *,
        hflip_safe: bool | None,
        classes: Sequence[str],
        kind: str,
        epochs: float | None,
    ) -> ImageAugment:
        del (
            size,
            classes,
            epochs,
        )  # what is done to train pictures would be seen in those that are made
        return ImageAugment(
            flip=bool(hflip_safe) and kind != "none"
        )  # unless it is told: words may say left and right

    def collate(
        self, images: Tensor, targets: Sequence[Prediction], rng: SampleRNG
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """(B, C, H, W) uint8 -> (the same, noise like it, (B,) moments from 0 to 1, words as `reader` reads them), the moments. Noise,
        moment, and one of the wordings or none are drawn.
        """
        which, free, moment = rng.uniform(3).T
        noise = torch.from_numpy(rng.normal(images[0].numel() if len(images) else 0)).reshape(
            images.shape
        )
        texts = [
            target.texts[int(share * len(target.texts))]
            for target, share in zip(_captions(targets), which, strict=True)
        ]
        words = self.reader.read(texts)
        words[free < FREE] = NOTHING
        moments = shift_timesteps(torch.from_numpy(moment.copy()))
        return (images, noise, moments, torch.from_numpy(words)), moments

    # --- learning

    def head(self, backbone: Backbone) -> nn.Module:
        return FlowMatchingModel(
            backbone, self.reader.known, self.reader.longest, self.reader.width
        )

    def loss(self, output: tuple[Tensor, Tensor], target: Tensor) -> dict[str, Tensor]:
        """What the net says and the true direction, (B, C, H, W) each -> their mean squared difference."""
        said, true = output
        return {"total": F.mse_loss(said.float(), true) if len(target) else said.sum() * 0}

    @property
    def curve_metric(self) -> str:
        return "explained"

    def batch_metric(self, output: tuple[Tensor, Tensor], target: Tensor, *, glance: bool) -> float:
        """explained: the share of the direction's variance that is foreseen; noise never can be, so it stays below 1."""
        del target, glance
        said, true = output
        return 1 - (F.mse_loss(said.float(), true) / true.square().mean()).item()

    def calibrate(self, net: VisionModel, images: Images, targets: Sequence[Prediction]) -> None:
        """Choose the guidance of most likeness; of those that so few pictures cannot tell apart by it, the one whose words are read most."""
        asked = self.make_prompts(images[:TRIED], targets[:TRIED])

        def worth(guidance: float) -> tuple[float, float]:
            self.guidance = guidance
            metrics = self.score(self.predict(net, asked), targets[:TRIED])
            return round(metrics[self.primary_metric], 2), metrics["prompt_accuracy"]

        self.guidance = max(GUIDANCES, key=worth)

    def fit_evaluator(
        self,
        images: Pixels,
        targets: Sequence[Prediction],
        seed: int,
        say: Callable[[str], None] = lambda line: None,
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        say("a referee learns to read the train pictures")
        return caption_evaluator.taught(images, _captions(targets), seed).kept()

    def load_evaluator(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        self.referee = CaptionEvaluator.again(tensors, record)

    # --- answers

    def make_prompts(self, images: Images, targets: Sequence[Prediction]) -> Images:
        """The wording is drawn from the picture, so that all are used and a picture is always asked for in the same words."""
        share = SampleRNG(_keys(images), 0, 1).uniform(1)[:, 0]
        return CaptionedImages(
            images,
            [
                one.texts[int(u * len(one.texts))]
                for one, u in zip(_captions(targets), share, strict=True)
            ],
        )

    def predict(self, net: VisionModel, images: Images) -> list[Prediction]:
        """A picture of what is said, of `asked`; for mere pictures one from no words."""
        texts = images.texts if isinstance(images, CaptionedImages) else [""] * len(images)
        made = [stages[-1] for stages in self._made(net, texts, SampleRNG(_keys(images), 0))]
        reals = images if isinstance(images, CaptionedImages) else [None] * len(images)
        return [
            GeneratedImage(one, text, real)
            for one, text, real in zip(made, texts, reals, strict=True)
        ]

    def generate(
        self,
        net: VisionModel,
        texts: Sequence[str],
        rng: SampleRNG,
        *,
        guidance: float | None = None,
        steps: int | None = None,
    ) -> Iterator[list[Image]]:
        for text in dict.fromkeys(texts):
            self.reader.check(text)
        return self._made(net, texts, rng, guidance, steps, whole=True)

    def _made(
        self,
        net: VisionModel,
        texts: Sequence[str],
        rng: SampleRNG,
        guidance: float | None = None,
        steps: int | None = None,
        *,
        whole: bool = False,
    ) -> Iterator[list[Image]]:
        """For each text the picture, from the noise that is drawn for it; whole: with all that it was on the way."""
        size, where = (net.channels, net.size, net.size), net.mean.device
        noise = torch.from_numpy(rng.normal(int(np.prod(size))))
        guidance = self.guidance if guidance is None else guidance
        for start in range(0, len(texts), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            first = noise[rows].reshape(-1, *size).to(where)
            words = torch.from_numpy(self.reader.read(texts[rows])).to(where)
            on_way = sample(net, first, words, guidance=guidance, steps=steps or self.steps)
            kept = [to_pixels(net, x) for x in on_way] if whole else [to_pixels(net, deque(on_way, 1)[0])]
            for row in range(len(first)):
                yield [stage[row].numpy() for stage in kept]

    def per_image_stats(
        self, predicted: Sequence[Prediction], target: Sequence[Prediction]
    ) -> PerImageStats:
        judge = self.referee
        assert judge is not None, "study comes before scoring"
        told = caption_evaluator.told(judge.vocabulary, _captions(target))
        made = [prediction for prediction in predicted if isinstance(prediction, GeneratedImage)]
        if len(made) < len(predicted) or not made:  # a truth as the answer
            own, nothing = np.zeros((len(told), 1)), np.full(len(told), np.nan)
            same = {
                "told": told,
                "read": told,
                "read_real": told,
                "features": own,
                "real_features": own,
            }
            return {
                **same,
                "near": nothing,
                "near_real": nothing,
                "half": np.zeros(len(told), np.int64),
            }
        read, features = judge.read([one.image for one in made])
        reals = [one.image if one.real is None else one.real for one in made]
        read_real, real = judge.read(reals)
        return {
            "told": told,
            "read": read,
            "read_real": read_real,
            "features": features.round(4),
            "real_features": real.round(4),
            "near": judge.nearness(features).round(4),
            "near_real": judge.nearness(real).round(4),
            "half": (_keys(reals) % 2).astype(np.int64),
        }

    def metrics(self, stats: PerImageStats) -> dict[str, float]:
        return generation.Scorer(stats).metrics()

    def bootstrap_scorer(self, stats: PerImageStats) -> Score:
        return generation.Scorer(stats).metrics

    def baselines(
        self, images: Pixels, targets: Sequence[Prediction], seed: int
    ) -> BaselinePredictors[Prediction]:
        rivals = fit_baselines(images, _captions(targets), seed)

        def predict_all(asked: Images) -> dict[str, list[Prediction]]:
            assert isinstance(asked, CaptionedImages)
            return {
                name: [
                    GeneratedImage(one, text, real)
                    for one, text, real in zip(made, asked.texts, asked, strict=True)
                ]
                for name, made in rivals(asked.texts).items()
            }

        return predict_all

    # --- for people

    def to_dict(self, annotation: Prediction) -> dict[str, Any]:
        if isinstance(annotation, Captions):
            return {"texts": list(annotation.texts)}
        return {
            "text": annotation.text,
            "picture": blake2b(annotation.image.tobytes(), digest_size=8).hexdigest(),
        }

    def summary(self, annotation: Prediction) -> str:
        return (
            annotation.texts[0] if isinstance(annotation, Captions) else annotation.text
        ) or "no words"

    def draw(self, image: Image, annotation: Prediction) -> Image:
        """A strip under the picture with the words in it; where one was made from them, it is beside it."""
        if isinstance(annotation, GeneratedImage):
            beside = fit(annotation.image, max(image.shape[:2]), image.shape[2])
            plain = np.zeros((len(beside), image.shape[1], image.shape[2]), np.uint8)
            plain[: len(image)] = image
            image = np.concatenate([plain, beside], 1)
        return drawing.add_caption(image, self.summary(annotation))

    def headline(self, metrics: Mapping[str, Any], split: str) -> str:
        like, right, real = (
            metrics["likeness"],
            metrics["prompt_accuracy"],
            metrics["real_accuracy"],
        )
        return (
            f"at a likeness of {like['value']:.1%} to {self.images(like, split)} of the same words (95% interval {like['low']:.1%} to "
            f"{like['high']:.1%}; real ones {metrics['real_likeness']['value']:.1%} among themselves), and what was asked is read in "
            f"{right['value']:.1%} of what it made (in {real['value']:.1%} of real ones)"
        )

    def report_panels(
        self,
        stats: PerImageStats,
        ids: Sequence[str],
        read_image: Callable[[int], Image | None],
        read_pair: Callable[[int], tuple[Prediction, Prediction]],
    ) -> list[Panel]:
        return generation_panels(stats, ids, read_image, read_pair, self._read)

    def _read(self, numbers: Sequence[int]) -> str:
        """What the referee reads, in words."""
        return "" if self.referee is None else self.referee.vocabulary.decode(numbers)

    @classmethod
    def toy_dataset(cls, count: int, rng: np.random.Generator) -> Dataset[Prediction]:
        """8 x 8 grey pictures, dark above and bright below or the other way round."""
        pixels = rng.integers(20, 50, (count, 8, 8, 1), dtype=np.uint8)
        samples: list[Sample[Prediction]] = []
        for row, image in enumerate(pixels):
            below = row % 2
            edge = int(rng.integers(3, 6))
            image[edge:] += 180 * below
            image[:edge] += 180 * (1 - below)
            texts = ("light below", "dark above") if below else ("light above", "dark below")
            samples.append(Sample(f"example-{row}", ArraySource(pixels, row), Captions(texts)))
        return Dataset("examples", cls.name, (), samples)


def _captions(targets: Sequence[Prediction]) -> list[Captions]:
    return [target for target in targets if isinstance(target, Captions)]


def _keys(images: Images) -> NDArray[np.uint64]:
    """Of the pictures' pixels, so that what is drawn for one depends on nothing else."""
    return keys(
        [
            blake2b(np.ascontiguousarray(image).tobytes(), digest_size=8).hexdigest()
            for image in images
        ]
    )
