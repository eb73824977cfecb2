"""Lesson 11: One scene, six questions

What is it, where, which pixels, which thing, draw it, cut out what I point at: what goes in, what comes out.
"""

import marimo

app = marimo.App(app_title="One scene, six questions", css_file="style.css")

with app.setup:
    from functools import cache

    import marimo as mo
    import numpy as np

    from foveate.annotations import Boxes, Captions, Label
    from foveate.data import label_maps, task_views
    from foveate.data.dataset import ArraySource, Dataset, Sample
    from foveate.data.images import fit
    from foveate.data.rng import SampleRNG, keys
    from foveate.experiment import pipeline
    from foveate.lessons import drawings as show
    from foveate.lessons.training import taught
    from foveate.tasks import promptable, text_to_image
    from foveate.training import loop


@app.cell(hide_code=True)
def _():
    mo.md("""
    # One scene, six questions

    Houses and trees, by day, at dusk, at night. *What is this place? Where are the houses? What is that thing there?*
    Each is another question to the same picture, and each wants another kind of answer.

    Six small networks learn them on this page, in some seconds each. None of the scenes below was shown to them before.
    """)
    return


@app.cell(hide_code=True)
def _():
    SIDE = 32
    Y, X = np.mgrid[:SIDE, :SIDE] + 0.5
    PLACES = {"town": "houses", "forest": "trees", "village": "houses and trees"}
    KINDS = ("house", "tree")
    SKIES = {
        "by day": ((120, 185, 240), (190, 225, 250)),
        "at dusk": ((90, 60, 120), (250, 150, 90)),
        "at night": ((8, 10, 40), (30, 36, 80)),
    }  # above and at the horizon
    LANDS = {"by day": (196, 214, 120), "at dusk": (150, 120, 90), "at night": (50, 66, 84)}
    LIGHT = {"by day": (1, 1, 1), "at dusk": (0.9, 0.68, 0.62), "at night": (0.5, 0.52, 0.68)}
    WALLS = ((214, 60, 48), (240, 238, 228), (244, 196, 70))
    DROPPABLE = (
        (34, 110, 52),
        (70, 140, 50),
        (226, 142, 44),
    )  # the last in autumn, as yellow as some walls

    def house(when, rng):
        """Where it stands on the ground, and its parts: pixels, colour, whether the light falls on them."""
        wide, high, ground = rng.integers(6, 17), rng.integers(4, 9), rng.integers(21, 31)
        left, eaves = rng.integers(1, 31 - wide), ground - high
        middle, peak = left + wide / 2, eaves - wide / 2
        walls = (left < X) & (left + wide > X) & (ground > Y) & (eaves < Y)
        roof = (eaves >= Y) & (peak < Y) & (np.abs(X - middle) < (Y - peak) * (1 + 2 / wide))
        window = (np.abs(X - middle) < 1.1) & (np.abs(Y - ground + high / 2 + 0.5) < 1.1)
        glass = (70, 90, 120) if when == "by day" else (255, 220, 110)
        return ground, [
            (walls, WALLS[rng.integers(3)], True),
            (roof, (120, 52, 40), True),
            (window, glass, False),
        ]

    def tree(when, rng):
        del when
        radius, tall, middle, ground = (
            rng.uniform(2.8, 5),
            rng.uniform(1, 1.7),
            rng.uniform(5, 27),
            rng.integers(21, 31),
        )
        trunk = (np.abs(X - middle) < 1.1) & (ground > Y) & (ground - 4 < Y)
        crown = (X - middle) ** 2 + ((Y - (ground - 3 - tall * radius)) / tall) ** 2 < radius**2
        return ground, [(trunk, (96, 62, 36), True), (crown, DROPPABLE[rng.integers(3)], True)]

    def scene(rng):
        """(32, 32, 3) uint8, its things, what place it is, and when."""
        place, when = list(PLACES)[rng.integers(3)], list(SKIES)[rng.integers(3)]
        own = {"town": [0], "forest": [1], "village": [0, 1]}[place]
        while len(own) < rng.integers(2, 4):
            own = [*own, own[rng.integers(len(own))]]
        while True:  # until each is seen well
            things = sorted(
                ((*(house, tree)[k](when, rng), k) for k in own), key=lambda thing: thing[0]
            )
            masks = [np.any([where for where, _, _ in parts], 0) for _, parts, _ in things]
            ids = np.zeros((SIDE, SIDE), np.int32)
            for number, mask in enumerate(masks, 1):
                ids[mask] = number  # nearer things hide those behind them
            if all(
                (ids == number).sum() > 0.88 * mask.sum() for number, mask in enumerate(masks, 1)
            ):
                break
        above, below = (np.array(colour, float) for colour in SKIES[when])
        horizon = rng.integers(15, 19)
        picture = above + np.clip(Y / horizon, 0, 1)[..., None] * (below - above)
        if when != "at dusk":
            disc = (X - rng.uniform(3, 29)) ** 2 + (Y - rng.uniform(3, 7)) ** 2 < 5.5
            picture[disc] = (255, 236, 120) if when == "by day" else (235, 235, 220)
        picture[horizon < Y] = LANDS[when]
        for _, parts, _ in things:
            for where, colour, lit in parts:
                picture[where] = np.array(colour) * (LIGHT[when] if lit else 1)
        picture += rng.normal(0, 4, picture.shape)
        classes = Boxes(np.zeros((len(own), 4)), np.array([k for _, _, k in things]))
        return (
            np.clip(picture, 0, 255).astype(np.uint8),
            label_maps.instances(ids, classes),
            place,
            when,
        )

    return KINDS, LANDS, PLACES, SIDE, SKIES, scene


@app.cell
def _(KINDS, PLACES, scene):
    def six(count, seed):
        """The same scenes as data for each of the six tasks."""
        rng = np.random.default_rng(seed)
        made = [scene(rng) for _ in range(count)]
        rows = np.stack([picture for picture, *_ in made])

        def of(task, classes, truths, pixels=rows):
            sources = [
                Sample(f"{seed}/{row}", ArraySource(pixels, row), truth)
                for row, truth in enumerate(truths)
            ]
            return Dataset("landscapes", task, classes, sources)

        things = of("instance", KINDS, [things for _, things, _, _ in made])
        labels = [Label(list(PLACES).index(place)) for _, _, place, _ in made]
        told = [Captions((f"{PLACES[place]} {when}",)) for _, _, place, when in made]
        small = rows.reshape(count, 8, 4, 8, 4, 3).mean((2, 4)).round().astype(np.uint8)
        return {
            "classification": of("classification", tuple(PLACES), labels),
            "detection": task_views.for_task(things, "detection"),
            "semantic": task_views.for_task(things, "semantic"),
            "instance": things,
            "text_to_image": of("text_to_image", (), told, small),
            "promptable": task_views.for_task(things, "promptable"),
        }

    TRAIN, HELD = six(240, seed=0), six(40, seed=1)
    return HELD, TRAIN


@app.cell
def _(TRAIN):
    HOW = {
        "classification": ("tiny_cnn", {"count": 80, "lr": 5e-3, "batch": 10}),
        "detection": ("cnn", {"count": 30, "lr": 5e-3, "batch": 8}),
        "semantic": ("tiny_cnn", {"count": 45, "lr": 5e-3, "batch": 8}),
        "instance": ("tiny_cnn", {"count": 65, "lr": 6e-3, "batch": 8}),
        "text_to_image": ("patch_resnet", {"count": 150, "lr": 3e-3, "batch": 16}),
        "promptable": ("cnn", {"count": 75, "lr": 8e-3, "batch": 6}),
    }  # the backbone, steps, the largest learning rate, and scenes a step
    LEARNT = {name: taught(TRAIN[name], model, **how) for name, (model, how) in HOW.items()}
    return (LEARNT,)


@app.cell
def _(HELD, LEARNT):
    IMAGES = HELD["instance"].samples[0].source.rows  # (40, 32, 32, 3)
    TIMES = 6  # enlarged, so that words below a picture can be read

    def large(image):
        return image.repeat(TIMES, 0).repeat(TIMES, 1)

    def drawn(texts, noises):
        """For each text, and the number of the noise that it begins with, all that this is on its way: 11 of (8, 8, 3) each."""
        task, net = LEARNT["text_to_image"]
        draws = SampleRNG(keys([f"noise {noise}" for noise in noises]), 0)
        return list(task.generate(net, texts, draws, guidance=1.5, steps=10))

    @cache
    def painted(text, noise):
        return drawn([text], [noise])[0]

    def smooth(thumbnail):
        return fit(thumbnail, 32 * TIMES, 3)

    @cache
    def seer(row):
        task, net = LEARNT["promptable"]
        return task.set_image(net, IMAGES[row])

    @cache
    def clicked(row, x, y):
        """What is cut out by one click on that pixel: (32, 32) bool, and the IoU that it is estimated to have."""
        asked = seer(row)
        asked.forget()
        mask = asked.click(x + 0.5, y + 0.5)
        return mask, asked.sure

    def marked(picture, x, y):
        """A white spot with a dark edge at that pixel of the scene."""
        picture, times = picture.copy(), len(picture) // 32
        down, across = np.mgrid[: len(picture), : len(picture)]
        away = np.hypot(across - times * (x + 0.5), down - times * (y + 0.5)) / times
        picture[away < 1.0], picture[away < 0.65] = 20, 255
        return picture

    def deepest(mask):
        """x and y of the pixel that lies deepest in it."""
        from scipy.ndimage import distance_transform_edt

        y, x = np.unravel_index(
            distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1].argmax(), mask.shape
        )
        return int(x), int(y)

    return IMAGES, clicked, deepest, drawn, large, marked, painted, smooth


@app.cell
def _(HELD, IMAGES, LEARNT, clicked, deepest, large, marked, painted, smooth):
    @cache
    def answered(name, row):
        """Answer and truth of a held-out scene, drawn by the task itself, and both in words."""
        task, net = LEARNT[name]
        image, truth = IMAGES[row], HELD[name][row].target
        if name == "text_to_image":
            text = truth.texts[0]
            made = Captions((text,))
            return (task.draw(smooth(painted(text, row)[-1]), made), f"made from “{text}”"), (
                task.draw(large(image), truth),
                "the scene that has these words",
            )
        if name == "promptable":
            thing = truth[np.array([0])]
            mask = thing.masks((32, 32))[0]
            x, y = deepest(mask)
            found, sure = clicked(row, x, y)
            answer = label_maps.from_masks(found[None], np.array([sure]))
            pictures = [marked(task.draw(image, one), x, y) for one in (answer, thing)]
            return (pictures[0], task.summary(answer)), (pictures[1], f"{mask.sum()} pixels")
        (answer,) = task.predict(net, [image])
        below = large(image) if name == "classification" else image
        return (task.draw(below, answer), task.summary(answer)), (
            task.draw(below, truth),
            task.summary(truth),
        )

    QUESTIONS = {
        "classification": "What is it?",
        "detection": "Where are things?",
        "semantic": "What is each pixel?",
        "instance": "Which pixels are which thing?",
        "text_to_image": "Draw what I say",
        "promptable": "Cut out what I click",
    }
    SHOWN = 6
    scene_number = show.slider(range(1, SHOWN + 1), 2)
    return QUESTIONS, SHOWN, answered, scene_number


@app.cell
def _(QUESTIONS, answered, scene_number):
    def all_six(number):
        tiles = []
        for name, question in QUESTIONS.items():
            (picture, said), _ = answered(name, number - 1)
            tiles.append((picture, f"{name}: {said}", f"<b>{question}</b><br>{name}"))
        return show.tiles(*tiles)

    show.Moving(all_six, {"scene": scene_number})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A task is a function

    Something goes in, something of a certain type comes out. A class. Boxes. A class for each pixel. Two trees that touch are *one* patch
    for the third question and *two* things for the fourth. That is the whole difference between them.

    Two tasks take more than a picture: a **click**, or **words** and no picture at all.

    Choose a task. The lines are foveate's own: the type of the answer, the last layers that give it, and the figure that it is judged by.
    """)
    return


@app.cell
def _(LEARNT, QUESTIONS, SHOWN):
    IN_OUT = {
        "classification": ("picture", "Label", "a class, and how sure"),
        "detection": ("picture", "Boxes", "corners, class and score of each"),
        "semantic": ("picture", "Mask", "a class for each pixel"),
        "instance": ("picture", "Instances", "a box and pixels for each thing"),
        "text_to_image": ("Captions", "Drawn", "a picture, out of noise"),
        "promptable": ("picture and clicks", "Instances", "the pixels of what was meant"),
    }
    NETS = {"instance": ("head = ", "return "), "promptable": ("return ",)}
    ALIAS = {"promptable": promptable, "text_to_image": text_to_image}

    def source(name):
        kind = type(LEARNT[name][0])
        lines = [show.line_of(ALIAS[name], "Answer = ")] if name in ALIAS else []
        lines += [
            show.line_of(kind, f"class {kind.__name__}"),
            "    " + show.line_of(kind, "primary = "),
            show.line_of(kind.net, "def net("),
            *("    " + show.line_of(kind.net, part) for part in NETS.get(name, ("return ",))),
        ]
        return "\n".join(lines)

    task_name = mo.ui.radio(list(QUESTIONS), value="instance", inline=True)
    of_scene = show.slider(range(1, SHOWN + 1), 2)
    return IN_OUT, of_scene, source, task_name


@app.cell
def _(IN_OUT, answered, of_scene, source, task_name):
    def one_task(name, number):
        given, type_, told = IN_OUT[name]
        (answer, said), (truth, known) = answered(name, number - 1)
        words = f"{given} → <b>{type_}</b><br><small>{told}</small>"
        return show.formula(words, source(name)).text + show.tiles(
            (answer, f"{name}: {said}", f"<b>answer</b><br>{said}"),
            (truth, f"truth: {known}", f"<b>truth</b><br>{known}"),
        )

    show.Moving(one_task, {"task": task_name, "scene": of_scene})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Point at it

    Classes are not asked for here, only: *that thing*. Move the click over a house, a tree, the sky. The picture is looked at once; each click
    then costs only the last layers (Segment Anything works so). The network also says what IoU it expects:
    the share of pixels, of those in its mask or in the true one, that are in both.
    """)
    return


@app.cell
def _():
    ACROSS, DOWN = range(2, 31, 3), range(6, 31, 3)
    click_x, click_y = show.slider(ACROSS, 11), show.slider(DOWN, 24)
    click_scene = mo.ui.radio([str(number) for number in range(1, 7)], value="2", inline=True)
    return click_scene, click_x, click_y


@app.cell
def _(IMAGES, LEARNT, clicked, click_scene, click_x, click_y, marked):
    def at_click(x, y, number):
        mask, sure = clicked(int(number) - 1, x, y)
        task = LEARNT["promptable"][0]
        cut = task.draw(
            IMAGES[int(number) - 1], label_maps.from_masks(mask[None], np.array([sure]))
        )
        told = f"{mask.sum()} pixels, IoU expected {sure:.0%}"
        return show.tiles(
            (
                marked(cut, x, y),
                f"A click at {x}, {y}: {told}",
                f"<b>click at x = {x}, y = {y}</b><br>{told}",
            )
        )

    show.Moving(at_click, {"click x": click_x, "click y": click_y, "scene": click_scene}, offered=2)
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Say it

    The other way round: words in, a picture out. It begins as noise. The network says which way each pixel has to go, ten times
    (**flow matching**). Choose the words. Other noise, another picture of the same words.

    In these few seconds it learns thumbnails of 8 × 8 pixels, enough for a sky and some spots below it. `foveate train mnist --task text_to_image` takes minutes, and draws digits.
    """)
    return


@app.cell
def _(PLACES, SKIES):
    what = mo.ui.radio(list(PLACES.values()), value="trees", inline=True)
    when_said = mo.ui.radio(list(SKIES), value="by day", inline=True)
    noise = show.slider(range(1, 5), 1)
    return noise, what, when_said


@app.cell
def _(noise, painted, what, when_said):
    def on_its_way(what, when, noise):
        stages = painted(f"{what} {when}", noise)

        def paint(figure):
            axes = figure.subplots(1, 5, width_ratios=(1, 1, 1, 1, 1.9))
            for axis, at in zip(axes, (0, 3, 6, 8, 10), strict=True):
                axis.imshow(stages[at], interpolation="bicubic")
                show.bare(axis, {0: "noise", 10: f"{what} {when}"}.get(at, f"step {at}"))

        return show.image(paint, f"Noise becomes a picture of {what} {when}", (5.2, 1.8))

    show.Moving(on_its_way, {"draw": what, "when": when_said, "noise": noise})
    return


@app.cell
def _(LANDS, PLACES, SKIES, TRAIN, drawn):
    asked_for = [(thing, when) for thing in PLACES.values() for when in SKIES for _ in range(6)]
    finished = [
        stages[-1]
        for stages in drawn([" ".join(words) for words in asked_for], range(len(asked_for)))
    ]
    made = {words: [] for words in asked_for}
    for words, picture in zip(asked_for, finished, strict=True):
        made[words].append(picture.astype(float))
    made = {words: np.stack(pictures) for words, pictures in made.items()}
    small = TRAIN["text_to_image"].samples[0].source.rows.astype(float)
    said = np.array([sample.target.texts[0] for sample in TRAIN["text_to_image"]])
    middle = {
        when: small[np.char.endswith(said, when)].mean((0, 1, 2)) for when in LANDS
    }  # a mean colour for each light
    right_light = np.mean(
        [
            min(middle, key=lambda light: np.abs(middle[light] - picture.mean((0, 1))).sum())
            == when
            for (_, when), pictures in made.items()
            for picture in pictures
        ]
    )

    def green(pictures):
        """How much greener than red it is where things stand."""
        return float((pictures[:, 3:7, :, 1] - pictures[:, 3:7, :, 0]).mean())

    greens = {
        thing: np.mean([green(made[thing, when]) for when in SKIES])
        for thing in ("houses", "trees")
    }
    assert right_light > 0.8, "made pictures have the light that was asked for"
    assert greens["trees"] > greens["houses"], (
        "where trees were asked for it is greener than where houses were"
    )
    show.headline(
        "What is made follows the words.",
        f"of {6 * len(made)} made pictures {right_light:.0%} are nearest in colour to scenes of the light that was asked for; where things stand, "
        f"green exceeds red by {greens['trees']:.0f} in trees and by {greens['houses']:.0f} in houses, of 255.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Are the answers any good?

    Each kind of answer needs its own figure. But the question is the same: is it better than the simplest thing that could
    work? Each task brings such **baselines**: the commonest class, boxes at the usual places, colour alone, a flood fill from the click.
    """)
    return


@app.cell
def _(HELD, LEARNT, TRAIN):
    FIGURES = {
        "classification": "accuracy",
        "detection": "mAP50",
        "semantic": "mIoU",
        "instance": "mAP50",
        "promptable": "IoU, 1 click",
    }
    MINE, BEST = {}, {}
    for _name in FIGURES:
        _task, _net = LEARNT[_name]
        _rows = HELD[_name].samples
        _truths = [sample.target for sample in _rows]
        _asked = _task.make_prompts([sample.source.read() for sample in _rows], _truths)
        _known = [sample.target for sample in TRAIN[_name]]
        _rivals = _task.baselines(TRAIN[_name].samples[0].source.rows, _known, seed=0)(_asked)
        MINE[_name] = _task.score(_task.predict(_net, _asked), _truths)[_task.primary_metric]
        _theirs = {
            rival: _task.score(said, _truths)[_task.primary_metric]
            for rival, said in _rivals.items()
        }
        BEST[_name] = max(_theirs.items(), key=lambda pair: pair[1])
    return BEST, FIGURES, MINE


@app.cell
def _(BEST, FIGURES, MINE):
    def against_baselines(figure):
        axis = figure.subplots()
        for place, name in enumerate(FIGURES):
            axis.barh(place - 0.2, MINE[name], 0.36, color=show.MODEL)
            axis.barh(place + 0.2, BEST[name][1], 0.36, color=show.OTHER)
            axis.text(
                MINE[name] + 0.015,
                place - 0.2,
                f"{MINE[name]:.0%}",
                va="center",
                color=show.MODEL,
                weight="bold",
            )
            axis.text(
                BEST[name][1] + 0.015,
                place + 0.2,
                f"{BEST[name][1]:.0%} {BEST[name][0]}",
                va="center",
                fontsize=8,
            )
        axis.set(
            yticks=range(len(FIGURES)), xlim=(0, 1.12), xticks=[], ylim=(len(FIGURES) - 0.5, -0.5)
        )
        axis.set_yticklabels([f"{name}\n{figure}" for name, figure in FIGURES.items()])
        axis.grid(visible=False)

    told = "; ".join(
        f"{name}: {MINE[name]:.0%}, {BEST[name][0]} {BEST[name][1]:.0%}" for name in FIGURES
    )
    show.show(
        show.image(against_baselines, told, (5.0, 3.6)),
        show.caption(
            '<span class="model">The network</span>, and <span class="other">the best baseline of the task</span>.'
        ),
    )
    return


@app.cell
def _(BEST, MINE):
    for _name in ("classification", "detection", "semantic", "instance"):
        assert MINE[_name] > BEST[_name][1], (
            f"{_name} beats its best baseline on scenes that it never saw"
        )
    assert MINE["promptable"] > 0.5, "one click cuts out more than half of what either mask has"
    show.headline(
        "In seconds, each network learns what no baseline can.",
        "on held-out scenes "
        + ", ".join(f"{name} {MINE[name]:.0%} against {BEST[name][1]:.0%}" for name in MINE)
        + ".",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What stays

    Of all this the task's file is what differs: its net's last layers, its loss, its figures. Any backbone of foveate's can look at the picture; here
    it is `tiny_cnn`, the `cnn` of lesson 3, or `patch_resnet`, which never pools. The loop is one, and so are the steps around it: split, baseline, train, evaluate.
    These lines run for each of the six:
    """)
    return


@app.cell(hide_code=True)
def _():
    _loop = ("output = net(", "losses = loss(", ".backward()", "optimizer.step()")
    _steps = ("# 2. collect, 3. split", "# 4. baseline", "# 5. train", "# 6. evaluate")
    show.show(
        show.formula(
            "the loop<br><small>answer, how wrong, which way, change</small>",
            "\n".join(show.line_of(loop.steps, part).split("  #")[0] for part in _loop),
        ).text,
        "<br>",
        show.formula(
            "the steps around it<br><small>nowhere does foveate ask which task it is</small>",
            "\n".join(show.line_of(pipeline, part) for part in _steps),
        ).text,
    )
    return


@app.cell
def _(TRAIN):
    fits = []
    for _name, _data in TRAIN.items():
        for _model in ("cnn", "tiny_cnn", "tiny_encoder"):
            if _name != "text_to_image" or _model != "tiny_encoder":  # which wants 32 pixels
                _task, _net = taught(_data, _model, count=1, lr=1e-3, batch=4)
                fits.append((type(_task), _model))
    assert len(set(fits)) == 17, "each task takes each backbone, and the loop trains them all"
    assert len({kind for kind, _ in fits}) == 6, "what differs is the task"
    show.headline(
        "Another question is another task, not another program.",
        f"{len(fits)} pairs of a task and a backbone went through the same loop.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A task says what goes in, what comes out, and what is right. Choose it by the question that you have, not by the picture.
    - From class to box to pixels to things the answers say more, and truths for them are more work to draw.
    - Nets for all of them are made of the same parts, trained by the same loop, and owe you the same proof: held-out scenes, and a baseline.

    Lin et al., "Microsoft COCO: Common objects in context", 2014 (boxes and masks of things). Long, Shelhamer and Darrell, "Fully convolutional
    networks for semantic segmentation", 2015. He, Gkioxari, Dollár and Girshick, "Mask R-CNN", 2017 (a mask for each thing). Kirillov et al.,
    "Segment anything", 2023 (clicks). Lipman et al., "Flow matching for generative modeling", 2023 (pictures from noise).
    """)
    return


@app.cell(hide_code=True)
def _(QUESTIONS, answered):
    def on_the_index(figure):
        for axis, name in zip(figure.subplots(2, 3).flat, QUESTIONS, strict=True):
            answer = answered(name, 1)[0][0]
            axis.imshow(answer[: answer.shape[1]])
            show.bare(axis)

    poster = show.image(on_the_index, "A little landscape, and six answers about it", (4.4, 2.9))
    return (poster,)


if __name__ == "__main__":
    app.run()
