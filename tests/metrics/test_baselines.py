import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import foveate as fv
from foveate.metrics.baselines.classification import fit_baselines


@pytest.fixture(scope="module")
def digits():
    data = fv.load("digits")
    return np.stack([s.source.read() for s in data]), np.array([s.target.index for s in data])


def test_equal_to_scikit_learn_on_the_same_pixels(digits):
    pixels, labels = digits
    predictions = fit_baselines(pixels[:1000], labels[:1000], 10, seed=0)(pixels[1000:])
    order = np.random.default_rng(0).permutation(1000)
    x, y = pixels[order].reshape(1000, -1) / 255, labels[order]
    held_out = pixels[1000:].reshape(797, -1) / 255
    near = KNeighborsClassifier(1).fit(x, y).predict(held_out)
    assert (
        predictions["nearest neighbour"].argmax(1) == near
    ).mean() > 0.995  # ties may fall either way in float32
    regression = LogisticRegression(max_iter=1000).fit(x, y)
    np.testing.assert_allclose(
        predictions["logistic regression"], regression.predict_proba(held_out), atol=0.05
    )


def test_all_predictions_are_probabilities_and_the_simplest_are_what_they_say(digits):
    pixels, labels = digits
    labels = np.where(labels < 7, 0, labels)  # one large class
    predictions = fit_baselines(pixels[:600], labels[:600], 12, seed=0)(pixels[600:700])
    for probabilities in predictions.values():
        assert probabilities.shape == (100, 12)
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
        assert (probabilities >= 0).all()
    np.testing.assert_allclose(
        predictions["majority class"][0], np.bincount(labels[:600], minlength=12) / 600
    )
    assert len(set(predictions["random guess"].argmax(1))) == 12
    np.testing.assert_allclose(predictions["random guess"], 1 / 12, atol=1e-5)


def test_a_class_without_train_images_gets_no_probability(digits):
    pixels, labels = digits
    few = labels < 3
    predictions = fit_baselines(pixels[few], labels[few], 5, seed=0)(pixels[:10])
    assert (predictions["logistic regression"][:, 3:] == 0).all()


def test_same_seed_same_predictions(digits):
    pixels, labels = digits
    one, other = (
        fit_baselines(pixels[:200], labels[:200], 10, seed=1)(pixels[:50]) for _ in range(2)
    )
    assert all(np.array_equal(one[name], other[name]) for name in one)
