"""Batches of an epoch: every image equally often, as a function of id, seed and epoch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
import torch

from foveate.data.batches import Batches, validation_batches
from foveate.data.rng import SampleRNG, sample_keys

IDS = [f"picture {row}" for row in range(7)]


@dataclass(frozen=True)
class Recording:
    """Returns images unchanged, and records the random number and the progress of each."""

    crops_per_image: int = 1
    flip: bool = False

    def batch(self, images, targets, rng, progress):
        drawn = rng.uniform(1)[:, 0].tolist()
        return torch.as_tensor(np.array(images)), [
            (target, draw, progress) for target, draw in zip(targets, drawn, strict=True)
        ]

    def to_dict(self):
        return {}


class Task:
    def collate(self, images, targets, rng):
        return (images,), (list(targets), rng.uniform(1)[:, 0].tolist())


def made(repeats=1, batch_size=3, seed=0, ids=IDS):
    pixels = (
        np.arange(len(ids), dtype=np.uint8)[:, None, None, None]
        .repeat(2, 1)
        .repeat(4, 2)
        .repeat(3, 3)
    )
    targets = [f"truth of {id}" for id in ids]
    return Batches(
        Task(), pixels, targets, ids, batch_size=batch_size, seed=seed, augment=Recording(repeats)
    )


def epochs(batches, start=0, count=1):
    """Each sample shown as (row, what was drawn), batch by batch."""
    shown = []
    for (images,), (targets, _) in islice(batches(start), count * batches.per_epoch):
        rows = images[:, 0, 0, 0].tolist()
        assert [target for target, _, _ in targets] == [f"truth of {IDS[row]}" for row in rows]
        shown.append([(row, draw) for row, (_, draw, _) in zip(rows, targets, strict=True)])
    return shown


@pytest.mark.parametrize("repeats", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_an_epoch_shows_each_image_as_often_as_the_policy_says_and_each_time_by_other_draws(
    repeats, batch_size
):
    shown = epochs(made(repeats, batch_size))
    flat = [one for batch in shown for one in batch]
    assert Counter(row for row, _ in flat) == dict.fromkeys(range(7), repeats)
    assert len({draw for _, draw in flat}) == 7 * repeats
    sizes = [len(batch) for batch in shown]
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == max(1, round(7 * repeats / batch_size))


def test_the_first_showing_is_drawn_by_the_images_own_id_whatever_the_repeats():
    own = SampleRNG(sample_keys(IDS), 0, 0).uniform(1)[:, 0].tolist()
    for repeats in (1, 3):
        shown = [one for batch in epochs(made(repeats)) for one in batch]
        assert set(enumerate(own)) <= set(shown)


@pytest.mark.parametrize("repeats", [1, 3])
def test_showings_depend_on_seed_epoch_and_id_alone(repeats):
    def drawn(**given):
        return {one for batch in epochs(made(repeats, **given)) for one in batch}

    assert drawn(batch_size=2) == drawn(batch_size=5)
    assert not drawn() & drawn(seed=1)
    batches = made(repeats)
    second = {one for batch in epochs(batches, start=batches.per_epoch) for one in batch}
    assert not drawn() & second
    few = Batches(
        Task(),
        np.zeros((2, 2, 2, 1), np.uint8),
        ["", ""],
        IDS[:2],
        batch_size=9,
        seed=0,
        augment=Recording(repeats),
    )
    (_, (targets, _)) = next(few())
    assert {draw for _, draw, _ in targets} == {draw for row, draw in drawn() if row < 2}


@pytest.mark.parametrize("repeats", [1, 3])
def test_begun_anywhere_it_goes_on_as_if_it_had_run_from_the_start(repeats):
    batches = made(repeats)
    whole = epochs(batches, count=3)
    for start in (1, batches.per_epoch - 1, batches.per_epoch, batches.per_epoch + 1):
        assert epochs(batches, start, count=1) == whole[start : start + batches.per_epoch]
    assert whole[: batches.per_epoch] != whole[batches.per_epoch : 2 * batches.per_epoch]


def test_the_showings_of_an_image_lie_anywhere_in_an_epoch():
    """In a hundred epochs of 7 x 40, the second crop comes as often before the first as after."""
    batches, before = made(2, batch_size=1), 0
    own = sample_keys(IDS)
    for epoch in range(100):
        first = SampleRNG(own, 0, epoch).uniform(1)[0, 0]
        order = [batch[0] for batch in epochs(batches, start=epoch * batches.per_epoch)]
        places = [place for place, (row, _) in enumerate(order) if row == 0]
        before += order[places[0]][1] != pytest.approx(first)
    assert 35 <= before <= 65


def test_rows_beyond_the_last_begin_again():
    batches = made(3)
    (images,), (targets, _) = batches.batch(np.array([0, 7, 14, 13]), epoch=4)
    assert images[:, 0, 0, 0].tolist() == [0, 0, 0, 6]
    assert images.shape == (4, 3, 2, 4)
    assert len({draw for _, draw, _ in targets}) == 4


def test_a_policy_is_told_how_far_the_run_is():
    told = [targets[0][2] for _, (targets, _) in islice(made()(0, lambda step: step / 4), 4)]
    assert told == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize("batch_size", [1, 3, 100, None])
def test_validation_shows_each_image_once_in_order_by_draws_of_its_id(batch_size):
    pixels = np.arange(7, dtype=np.uint8)[:, None, None, None].repeat(2, 1).repeat(2, 2)
    rows, drawn = [], []
    for (images,), (targets, rng) in validation_batches(
        Task(), pixels, list(range(7)), IDS, batch_size
    ):
        assert images[:, 0, 0, 0].tolist() == targets
        rows += targets
        drawn += rng
        images.fill_(255)  # a copy
    assert rows == list(range(7))
    assert drawn == SampleRNG(sample_keys(IDS), 0).uniform(1)[:, 0].tolist()
    assert torch.equal(torch.from_numpy(pixels[:, 0, 0, 0]), torch.arange(7, dtype=torch.uint8))
