import math

import pytest
import torch

from foveate.errors import Diverged
from foveate.training.finite import FiniteCheck


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("every", [1, 4])
def test_the_first_bad_step_is_named(every, bad):
    check = FiniteCheck(every)

    def add_all() -> None:
        for step, value in enumerate([1.0, -3e38, bad, 2.0, bad, 3.0, 4.0, 5.0]):
            check.add(step, "loss", torch.tensor(value))

    with pytest.raises(Diverged, match=r"the loss of step 2 is -?(nan|inf), not a finite number"):
        add_all()


def test_values_are_read_when_it_is_time_or_asked_for():
    check = FiniteCheck(4)
    for step in range(3):
        check.add(step, "gradient", torch.tensor(math.nan))
    with pytest.raises(Diverged, match="the gradient of step 0"):
        check.read()
    check.read()  # nothing is left
    check.add(3, "loss", torch.tensor(1.0, dtype=torch.bfloat16))
