"""`foveate.train`, with every setting as a keyword: editors complete them, type checkers know them.

A test holds names, types, defaults and descriptions to those of `Settings`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Never

from foveate import processes
from foveate.console import choose_reporter
from foveate.data.dataset import Dataset
from foveate.experiment import pipeline
from foveate.experiment.run import Run, as_run
from foveate.experiment.verdict import conclusion
from foveate.progress import Reporter
from foveate.settings import Settings, check_given


class _TaskDefault:
    """The default of a setting that differs from task to task."""

    def __repr__(self) -> str:
        return "<the task's default>"


DEFAULT: Any = _TaskDefault()


def train(
    data: str | Path | Dataset[Any],
    *,
    out: str | Path | None = None,
    download: bool = False,
    progress: bool = True,
    reporter: Reporter | None = None,
    task: str | None = None,
    model: str = "auto",
    minutes: float | None = None,
    epochs: float | None = None,
    size: int | None = None,
    batch_size: int | None = DEFAULT,
    lr: float | Literal["find"] | None = None,
    weights: str | None = None,
    freeze: bool = False,
    augment: Literal["auto", "none", "strong"] = "auto",
    flip: bool | None = None,
    seed: int = 0,
    device: str = "auto",
    root: str | None = None,
    data_format: str | None = None,
    text_encoder: str | None = None,
    black: float | None = None,
    white: float | None = None,
    pages: Literal["first", "max", "bands"] | None = None,
    max_pixels: int = 89_478_485,
    split_seed: int | None = None,
    progress_segments: list[tuple[int, float, int]] | None = None,
    optimizer: Literal["sgd", "adam", "adamw", "muon"] | None = None,
    schedule: Literal["one-cycle", "cosine", "constant"] = DEFAULT,
    weight_decay: float = 5e-4,
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    compile: bool = False,
    clip: float | None = DEFAULT,
    accumulate: int = 1,
    ema: float | None = DEFAULT,
    patience: int | None = None,
    label_smoothing: float = 0.1,
    class_weights: Literal["balanced"] | list[float] | None = None,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    group_by: str | None = None,
    time_by: str | None = None,
    fold: str | None = None,
    split: str | None = None,
    allow_leak: bool = False,
    drop_leaks: bool = False,
    rare_classes: Literal["refuse", "train", "merge", "drop"] = "refuse",
    allow_skipped: bool = False,
    allow_errors: bool = False,
    log: Literal["tensorboard", "mlflow", "wandb"] | None = None,
    save_seconds: float = 10.0,
    **unknown: Never,
) -> Run:
    """From images to a trained, evaluated and reported model. The test split stays locked.

    Args:
        data: A path, the name of a known dataset, or a Dataset.
        out: A new run folder; by default runs/DATA-MODEL-N.
        download: Whether a known dataset may be downloaded.
        progress: Whether the progress is shown.
        reporter: Receives the progress in place of the screen.
        task: A name that `foveate tasks` lists; None: what the data fits.
        model: A name that `foveate models` lists; auto: chosen by the task, the images and the
            time, see `experiment.choice`.
        minutes: Time budget, counted from the start of the command.
        epochs: Passes over the train split; None: as the time budget or the model's recipe says.
        size: Side of the images in pixels.
        batch_size: Images in a batch; None: as many as suit the model.
        lr: Peak learning rate; "find" measures it; None: that of the model's recipe.
        weights: Pretrained weights to start from: a local file, "download", the folder of a hf:
            model, or "included" for those that are installed with foveate.
        freeze: Whether the pretrained weights stay as they are and the head alone is trained.
        augment: How strongly training images are changed at random.
        flip: Whether a mirrored image is still a good example of its class.
        seed: Seed of all that is random: same seed, same machine, same numbers.
        device: What computes: "cpu", "cuda", "cuda:1", "mps" or "xpu"; "auto" is the best of the
            machine.
        root: Folder in which known datasets are looked for first.
        data_format: Format of the data, where it cannot be recognised.
        text_encoder: clip:DIR, a CLIP text encoder, frozen, instead of a vocabulary; for
            text_to_image.
        black: The value that is black in images with more than 8 bits a channel; None measures
            it.
        white: The value that is white in them.
        pages: What is made of the pages of a TIFF and the frames of a DICOM file: the first one,
            the maximum of all, or a band of each. None: the first one, and the audit reports the
            others.
        max_pixels: Largest number of pixels that an image file may have.
        split_seed: Seed of the split, where another seed trains on the same split; None: `seed`.
        progress_segments: What a run of so many minutes made of its schedule; it repeats that run
            to the bit. See `training.time_budget`.
        optimizer: None: the one of the model's recipe.
        schedule: How the learning rate changes over the steps.
        weight_decay: How much the optimizer shrinks the weights.
        precision: Of the forward pass in training; weights and predictions are float32. auto:
            bfloat16 where the hardware multiplies it faster, and float16 on GPUs that have it
            alone.
        compile: Whether torch.compile makes the training steps faster; it takes a minute to
            begin, and a C++ compiler.
        clip: Largest norm of the gradient.
        accumulate: Batches whose gradients are summed before the weights change.
        ema: Decay of the exponential moving average of the weights; None: no average.
        patience: Stop after so many epochs without a lower validation loss.
        label_smoothing: Share of the target that is spread over all classes.
        class_weights: Weights of the classes in the loss, in their order; "balanced": rare
            classes count more.
        fractions: Shares of train, valid and test, where the data brings no split.
        group_by: What stays in one split: "folder:N", or a regular expression on the sample's id.
        time_by: Split by time: "exif", "data" (a field of the data), or a regular expression on
            the id.
        fold: I/K: the I-th of K equal folds is the test split, the next one the validation split.
        split: A split.csv to use.
        allow_leak: Whether to train although the splits share images.
        drop_leaks: Whether to leave train and valid images out that belong with images of a later
            split.
        rare_classes: Classes with fewer images than splits: "train" has them in train alone,
            "merge" makes one class of them, "drop" leaves them and their images out.
        allow_skipped: Whether to train although many images are unreadable.
        allow_errors: Whether to train although the audit finds errors.
        log: A tracker that gets curves, settings and report too. It writes on this machine,
            unless it is set up otherwise (MLFLOW_TRACKING_URI, WANDB_API_KEY).
        save_seconds: Shortest time between two checkpoints: about what a kill loses. Large
            checkpoints are saved less often, so that saving takes a few percent of the time; 0
            saves after every step.
        **unknown: No other setting exists.

    Returns:
        The run, ready to predict.

    Raises:
        FoveateError: Data or settings cannot work; before training, where that can be known.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    given = {name: value for name, value in locals().items() if name in _DEFAULTS}
    check_given(unknown)
    settings = {
        name: value
        for name, value in given.items()
        if value is not DEFAULT and value != _DEFAULTS[name]
    }
    shown = choose_reporter(reporter, progress=progress)
    run = as_run(pipeline.train(data, out=out, reporter=shown, download=download, **settings))
    if progress and reporter is None and not processes.launched():
        for line in conclusion(run, "valid"):
            shown.info(line)
    return run


_DEFAULTS: dict[str, Any] = {
    name: value
    for name, value in (train.__kwdefaults__ or {}).items()
    if name in Settings.model_fields
}
