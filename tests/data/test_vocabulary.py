"""Words of captions, the vocabulary, and captions from names of classes."""

from __future__ import annotations

import numpy as np
import pytest

from foveate.annotations import Captions, Label
from foveate.annotations.captions import class_captions, split_words
from foveate.data import task_views
from foveate.data.dataset import ArraySource, Dataset, Sample
from foveate.data.vocabulary import MAX_WORDS, Vocabulary
from foveate.errors import SettingError

KNOWN = Vocabulary.of(["a red 3 left of a blue 7", "A blue 7, right of: a red 3!"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" .,;! ", []),
        ("T-shirt/top", ["t", "shirt", "top"]),
        ("snake_case", ["snake", "case"]),
        ("Été, ЁЖ 東京", ["été", "ёж", "東京"]),
    ],
)
def test_texts_are_cut_at_whatever_is_no_letter_or_digit(text, words):
    assert split_words(text) == words


def test_numbers_of_words_are_read_and_told():
    (row,) = KNOWN.read(["a blue 7 left of a red 3"])
    assert len(row) == KNOWN.max_length == 8
    assert KNOWN.decode(row.tolist()) == "a blue 7 left of a red 3"
    assert (row > 0).all()


def test_unknown_words_and_those_beyond_the_longest_are_left_out_of_what_is_read():
    assert KNOWN.read(["a green 7"]).tolist() == KNOWN.read(["a 7"]).tolist()
    assert KNOWN.read(["a " * 100]).tolist() == [[1 + KNOWN.words.index("a")] * 8]
    assert not KNOWN.read([""]).any()
    assert KNOWN.read([]).shape == (0, 8)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "words are expected, got none"),
        ("?!", "words are expected, got none"),
        (
            "a " * 10_000,
            "at most 8 words are expected, as in the training captions, got 10,000",
        ),
        ("a gren 3", "contains 'gren'"),
        ("a bleu 3", "Did you mean 'blue'?"),
        ("a dog and a cat", "'dog' or 'and' or 'cat'"),
    ],
)
def test_prompts_that_were_not_learnt_are_refused(text, told):
    with pytest.raises(SettingError) as error:
        KNOWN.check(text)
    assert told in str(error.value)


def test_a_book_is_no_caption():
    assert Vocabulary.of(["word " * 100_000]).max_length == MAX_WORDS


def test_no_caption_at_all():
    nothing = Vocabulary.of([])
    assert nothing.max_length == 0
    assert nothing.read([""]).shape == (1, 0)


@pytest.mark.parametrize("name", [*"0123456789", "cat", "Ankle boot", "T-shirt/top", "10", "?"])
def test_every_name_of_a_class_has_several_wordings_with_words(name):
    texts = class_captions(name)
    assert len(set(texts)) == len(texts) >= 3
    assert all(texts)


def test_digits_are_told_as_numbers_and_as_words():
    assert class_captions("7")[:2] == ("the digit 7", "a handwritten seven")
    assert "an ankle boot" in class_captions("Ankle boot")


def test_labels_become_captions():
    rows = np.zeros((3, 8, 8, 1), np.uint8)
    samples = [Sample(str(k), ArraySource(rows, k), Label(k)) for k in range(3)]
    seen = task_views.for_task(
        Dataset("few", "classification", ("cat", "dog"), samples), "text_to_image"
    )
    assert (seen.task, seen.classes) == ("text_to_image", ())
    assert [sample.target for sample in seen][:2] == [
        Captions(class_captions("cat")),
        Captions(class_captions("dog")),
    ]
    assert isinstance(seen[2].target, Label)  # of no class that exists: for the audit to find
