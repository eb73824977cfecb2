"""Lesson 11: One scene, six questions

Class, boxes, pixels, instances, an image from text, a mask from a click: the input and output of
six tasks.
"""

import marimo

app = marimo.App(app_title="One scene, six questions", css_file="style.css")

with app.setup:
    import ast
    import inspect
    import textwrap
    from functools import cache

    import marimo as mo
    import numpy as np

    from foveate.annotations import Boxes, Captions, Instances, Label
    from foveate.data import task_views
    from foveate.data.dataset import ArraySource, Dataset, Sample
    from foveate.data.resizing import fit
    from foveate.data.rng import SampleRNG, sample_keys
    from foveate.experiment import pipeline
    from foveate.lessons import drawings as show
    from foveate.lessons.training import train_task
    from foveate.tasks.capabilities import with_prompts
    from foveate.tasks.presenters import promptable, text_to_image
    from foveate.training import loop


@app.cell(hide_code=True)
def _():
    mo.md("""
    # One scene, six questions

    Houses and trees, by day, at dusk, at night. *What is this place? Where are the houses? Which
    pixels belong to that tree?* Each is a different question about the same image, and each needs
    a different type of answer.

    Six small networks learn to answer them on this page, in some seconds each. None of the scenes
    below was in their training data.
    """)
    return


@app.cell(hide_code=True)
def _():
    SIDE = 32
    Y, X = np.mgrid[:SIDE, :SIDE] + 0.5
    PLACES = {"town": "houses", "forest": "trees", "village": "houses and trees"}
    CLASSES = ("house", "tree")
    SKIES = {
        "by day": ((120, 185, 240), (190, 225, 250)),
        "at dusk": ((90, 60, 120), (250, 150, 90)),
        "at night": ((8, 10, 40), (30, 36, 80)),
    }  # above and at the horizon
    LANDS = {"by day": (196, 214, 120), "at dusk": (150, 120, 90), "at night": (50, 66, 84)}
    LIGHT = {"by day": (1, 1, 1), "at dusk": (0.9, 0.68, 0.62), "at night": (0.5, 0.52, 0.68)}
    WALLS = ((214, 60, 48), (240, 238, 228), (244, 196, 70))
    # The last crown is that of an autumn tree, as yellow as some walls.
    CROWNS = ((34, 110, 52), (70, 140, 50), (226, 142, 44))

    def draw_house(light, rng):
        """Its position on the ground, and its layers: pixels, colour, whether the light dims it."""
        width, height, ground = rng.integers(6, 17), rng.integers(4, 9), rng.integers(21, 31)
        left, eaves = rng.integers(1, 31 - width), ground - height
        centre, peak = left + width / 2, eaves - width / 2
        walls = (left < X) & (left + width > X) & (ground > Y) & (eaves < Y)
        roof = (eaves >= Y) & (peak < Y) & (np.abs(X - centre) < (Y - peak) * (1 + 2 / width))
        window = (np.abs(X - centre) < 1.1) & (np.abs(Y - ground + height / 2 + 0.5) < 1.1)
        glass = (70, 90, 120) if light == "by day" else (255, 220, 110)
        return ground, [
            (walls, WALLS[rng.integers(3)], True),
            (roof, (120, 52, 40), True),
            (window, glass, False),
        ]

    def draw_tree(rng):
        radius, tall, centre, ground = (
            rng.uniform(2.8, 5),
            rng.uniform(1, 1.7),
            rng.uniform(5, 27),
            rng.integers(21, 31),
        )
        trunk = (np.abs(X - centre) < 1.1) & (ground > Y) & (ground - 4 < Y)
        crown = (X - centre) ** 2 + ((Y - (ground - 3 - tall * radius)) / tall) ** 2 < radius**2
        return ground, [(trunk, (96, 62, 36), True), (crown, CROWNS[rng.integers(3)], True)]

    def scene(rng):
        """Draw a scene: (32, 32, 3) uint8, its instances, its place and its light."""
        place, light = list(PLACES)[rng.integers(3)], list(SKIES)[rng.integers(3)]
        object_classes = {"town": [0], "forest": [1], "village": [0, 1]}[place]
        while len(object_classes) < rng.integers(2, 4):
            object_classes = [*object_classes, object_classes[rng.integers(len(object_classes))]]
        while True:  # until each object is clearly visible
            objects = sorted(
                ((*(draw_tree(rng) if k else draw_house(light, rng)), k) for k in object_classes),
                key=lambda item: item[0],
            )
            masks = [np.any([pixels for pixels, _, _ in layers], 0) for _, layers, _ in objects]
            ids = np.zeros((SIDE, SIDE), np.int32)
            for number, mask in enumerate(masks, 1):
                ids[mask] = number  # nearer objects hide those behind them
            if all(
                (ids == number).sum() > 0.88 * mask.sum() for number, mask in enumerate(masks, 1)
            ):
                break
        above, at_horizon = (np.array(colour, float) for colour in SKIES[light])
        horizon = rng.integers(15, 19)
        image = above + np.clip(Y / horizon, 0, 1)[..., None] * (at_horizon - above)
        if light != "at dusk":
            disc = (X - rng.uniform(3, 29)) ** 2 + (Y - rng.uniform(3, 7)) ** 2 < 5.5
            image[disc] = (255, 236, 120) if light == "by day" else (235, 235, 220)
        image[horizon < Y] = LANDS[light]
        for _, layers, _ in objects:
            for pixels, colour, lit in layers:
                image[pixels] = np.array(colour) * (LIGHT[light] if lit else 1)
        image += rng.normal(0, 4, image.shape)
        classes = Boxes(np.zeros((len(object_classes), 4)), np.array([k for _, _, k in objects]))
        return (
            np.clip(image, 0, 255).astype(np.uint8),
            Instances.from_label_map(ids, classes),
            place,
            light,
        )

    return CLASSES, LANDS, PLACES, SIDE, SKIES, scene


@app.cell
def _(CLASSES, PLACES, scene):
    def make_datasets(count, seed):
        """The same scenes as a dataset for each of the six tasks."""
        rng = np.random.default_rng(seed)
        scenes = [scene(rng) for _ in range(count)]
        images = np.stack([image for image, *_ in scenes])

        def dataset(task, classes, targets, pixels=images):
            sources = [
                Sample(f"{seed}/{row}", ArraySource(pixels, row), target)
                for row, target in enumerate(targets)
            ]
            return Dataset("landscapes", task, classes, sources)

        objects = dataset("instance", CLASSES, [objects for _, objects, _, _ in scenes])
        labels = [Label(list(PLACES).index(place)) for _, _, place, _ in scenes]
        captions = [Captions((f"{PLACES[place]} {light}",)) for _, _, place, light in scenes]
        thumbnails = images.reshape(count, 8, 4, 8, 4, 3).mean((2, 4)).round().astype(np.uint8)
        return {
            "classification": dataset("classification", tuple(PLACES), labels),
            "detection": task_views.for_task(objects, "detection"),
            "semantic": task_views.for_task(objects, "semantic"),
            "instance": objects,
            "text_to_image": dataset("text_to_image", (), captions, thumbnails),
            "promptable": task_views.for_task(objects, "promptable"),
        }

    TRAIN, TEST = make_datasets(240, seed=0), make_datasets(40, seed=1)
    return TEST, TRAIN


@app.cell
def _(TRAIN):
    SETTINGS = {
        "classification": ("tiny_cnn", {"count": 80, "lr": 5e-3, "batch_size": 10}),
        "detection": ("cnn", {"count": 30, "lr": 5e-3, "batch_size": 8}),
        "semantic": ("tiny_cnn", {"count": 45, "lr": 5e-3, "batch_size": 8}),
        "instance": ("tiny_cnn", {"count": 65, "lr": 6e-3, "batch_size": 8}),
        "text_to_image": ("patch_resnet", {"count": 150, "lr": 3e-3, "batch_size": 16}),
        "promptable": ("cnn", {"count": 75, "lr": 8e-3, "batch_size": 6}),
    }  # the backbone, steps, the peak learning rate, and the batch size
    TRAINED = {
        name: train_task(TRAIN[name], model, **how) for name, (model, how) in SETTINGS.items()
    }
    return (TRAINED,)


@app.cell
def _(TEST, TRAINED):
    IMAGES = TEST["instance"].samples[0].source.rows  # (40, 32, 32, 3)
    TIMES = 6  # the enlargement leaves room for a readable caption

    def enlarge(image):
        return image.repeat(TIMES, 0).repeat(TIMES, 1)

    def generate(texts, noises):
        """Generate an image per text and noise number; all 11 stages, each (8, 8, 3)."""
        task, net = TRAINED["text_to_image"]
        rng = SampleRNG(sample_keys([f"noise {noise}" for noise in noises]), 0)
        return list(task.generate(net, texts, rng, guidance=1.5, steps=10))

    @cache
    def generate_one(text, noise):
        return generate([text], [noise])[0]

    def smooth(thumbnail):
        return fit(thumbnail, 32 * TIMES, 3)

    @cache
    def predictor(row):
        task, net = TRAINED["promptable"]
        return task.set_image(net, IMAGES[row])

    @cache
    def click_mask(row, x, y):
        """The (32, 32) bool mask for a click on that pixel, and its predicted IoU."""
        prompted = predictor(row)
        prompted.reset()
        mask = prompted.click(x + 0.5, y + 0.5)
        return mask, prompted.predicted_iou

    def mark_click(image, x, y):
        """Mark that pixel of the scene with a white dot."""
        image, scale = image.copy(), len(image) // 32
        down, across = np.mgrid[: len(image), : len(image)]
        distance = np.hypot(across - scale * (x + 0.5), down - scale * (y + 0.5)) / scale
        image[distance < 1.0], image[distance < 0.65] = 20, 255
        return image

    def deepest_pixel(mask):
        """x and y of the pixel that is farthest from the mask's border."""
        from scipy.ndimage import distance_transform_edt

        y, x = np.unravel_index(
            distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1].argmax(), mask.shape
        )
        return int(x), int(y)

    return IMAGES, click_mask, deepest_pixel, generate, enlarge, mark_click, generate_one, smooth


@app.cell
def _(TEST, IMAGES, TRAINED, click_mask, deepest_pixel, enlarge, mark_click, generate_one, smooth):
    @cache
    def predict_scene(name, row):
        """Prediction and target of a test scene, drawn by the task, each with its text."""
        task, net = TRAINED[name]
        image, target = IMAGES[row], TEST[name][row].target
        if name == "text_to_image":
            text = target.texts[0]
            caption = Captions((text,))
            return (
                task.draw(smooth(generate_one(text, row)[-1]), caption),
                f"made from “{text}”",
            ), (
                task.draw(enlarge(image), target),
                "the scene with this caption",
            )
        if name == "promptable":
            instance = target[np.array([0])]
            mask = instance.masks((32, 32))[0]
            x, y = deepest_pixel(mask)
            predicted_mask, iou = click_mask(row, x, y)
            prediction = Instances.from_masks(predicted_mask[None], np.array([iou]))
            drawings = [mark_click(task.draw(image, one), x, y) for one in (prediction, instance)]
            return (drawings[0], task.summary(prediction)), (drawings[1], f"{mask.sum()} pixels")
        (prediction,) = task.predict(net, [image])
        background = enlarge(image) if name == "classification" else image
        return (task.draw(background, prediction), task.summary(prediction)), (
            task.draw(background, target),
            task.summary(target),
        )

    QUESTIONS = {
        "classification": "What is it?",
        "detection": "Where are the objects?",
        "semantic": "What class is each pixel?",
        "instance": "Which pixels belong to which object?",
        "text_to_image": "Draw this text",
        "promptable": "What did I click on?",
    }
    N_SCENES = 6
    scene_number = show.slider(range(1, N_SCENES + 1), 2)
    return QUESTIONS, N_SCENES, predict_scene, scene_number


@app.cell
def _(QUESTIONS, predict_scene, scene_number):
    def draw_all(number):
        tiles = []
        for name, question in QUESTIONS.items():
            (image, text), _ = predict_scene(name, number - 1)
            tiles.append((image, f"{name}: {text}", f"<b>{question}</b><br>{name}"))
        return show.gallery(*tiles)

    show.InteractiveFigure(draw_all, {"scene": scene_number})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## A task is a function

    A task has an input and an output of a certain type. A class. Boxes. A class for each pixel.
    For semantic segmentation, two trees that touch are *one* region. For instance segmentation,
    they are *two* objects. The output type is the whole difference.

    Two tasks take a different input: an image with a **click**, or a **text** and no image at all.

    Choose a task. The lines are foveate's source code: the type of the prediction, the layers that
    compute it, and its primary metric.
    """)
    return


@app.cell
def _(TRAINED, QUESTIONS, N_SCENES):
    IN_OUT = {
        "classification": ("image", "Label", "a class and its confidence"),
        "detection": ("image", "Boxes", "corners, class and score of each object"),
        "semantic": ("image", "Mask", "a class for each pixel"),
        "instance": ("image", "Instances", "a box and a mask for each object"),
        "text_to_image": ("Captions", "GeneratedImage", "an image, made from noise"),
        "promptable": ("image and clicks", "Instances", "the mask of the object under the click"),
    }
    OUTPUT_MODULES = {"promptable": promptable, "text_to_image": text_to_image}

    def head_source(task_type):
        """The method that builds the head, without its docstring."""
        method = ast.parse(textwrap.dedent(inspect.getsource(task_type.head))).body[0]
        if ast.get_docstring(method):
            del method.body[0]
        return textwrap.indent(ast.unparse(method), "    ")

    def source(name):
        task_type = type(TRAINED[name][0])
        lines = [
            show.source_line(task_type, f"class {task_type.__name__}"),
            f"    primary_metric = {task_type.primary_metric!r}",
            head_source(task_type),
        ]
        if name in OUTPUT_MODULES:
            lines.insert(0, show.source_line(OUTPUT_MODULES[name], "Prediction = "))
        return "\n".join(lines)

    task_name = mo.ui.radio(list(QUESTIONS), value="instance", inline=True)
    of_scene = show.slider(range(1, N_SCENES + 1), 2)
    return IN_OUT, of_scene, source, task_name


@app.cell
def _(IN_OUT, predict_scene, of_scene, source, task_name):
    def draw_task(name, number):
        input_type, output_type, description = IN_OUT[name]
        (prediction, text), (target, target_text) = predict_scene(name, number - 1)
        math = f"{input_type} → <b>{output_type}</b><br><small>{description}</small>"
        return show.formula(math, source(name)).text + show.gallery(
            (prediction, f"{name}: {text}", f"<b>prediction</b><br>{text}"),
            (target, f"target: {target_text}", f"<b>target</b><br>{target_text}"),
        )

    show.InteractiveFigure(draw_task, {"task": task_name, "scene": of_scene})
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Point at it

    This task does not ask for a class, only for the object under the click. Move the click over a
    house, a tree, the sky. The image is encoded once; each click then runs only the last layers
    (Segment Anything works in this way). The network also predicts the IoU of its mask: the area
    of the intersection with the target mask, divided by the area of the union.
    """)
    return


@app.cell
def _():
    ACROSS, DOWN = range(2, 31, 3), range(6, 31, 3)
    click_x, click_y = show.slider(ACROSS, 11), show.slider(DOWN, 24)
    click_scene = mo.ui.radio([str(number) for number in range(1, 7)], value="2", inline=True)
    return click_scene, click_x, click_y


@app.cell
def _(IMAGES, TRAINED, click_mask, click_scene, click_x, click_y, mark_click):
    def draw_click(x, y, number):
        mask, iou = click_mask(int(number) - 1, x, y)
        task = TRAINED["promptable"][0]
        drawing = task.draw(
            IMAGES[int(number) - 1], Instances.from_masks(mask[None], np.array([iou]))
        )
        description = f"{mask.sum()} pixels, predicted IoU {iou:.0%}"
        return show.gallery(
            (
                mark_click(drawing, x, y),
                f"A click at {x}, {y}: {description}",
                f"<b>click at x = {x}, y = {y}</b><br>{description}",
            )
        )

    show.InteractiveFigure(
        draw_click,
        {"click x": click_x, "click y": click_y, "scene": click_scene},
        static_controls=2,
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## From text to image

    The other direction: text in, an image out. Generation begins with noise. In ten steps the
    network predicts in which direction each pixel has to change (**flow matching**). Choose the
    words. Different noise gives a different image for the same words.

    In these few seconds it learns thumbnails of 8 × 8 pixels, enough for a sky and some spots
    below it. `foveate train mnist --task text_to_image` takes minutes, and draws digits.
    """)
    return


@app.cell
def _(PLACES, SKIES):
    place = mo.ui.radio(list(PLACES.values()), value="trees", inline=True)
    light_choice = mo.ui.radio(list(SKIES), value="by day", inline=True)
    noise = show.slider(range(1, 5), 1)
    return noise, place, light_choice


@app.cell
def _(noise, generate_one, place, light_choice):
    def draw_generation(place, light, noise):
        stages = generate_one(f"{place} {light}", noise)

        def draw(figure):
            axes = figure.subplots(1, 5, width_ratios=(1, 1, 1, 1, 1.9))
            for axis, at in zip(axes, (0, 3, 6, 8, 10), strict=True):
                axis.imshow(stages[at], interpolation="bicubic")
                show.hide_axes(axis, {0: "noise", 10: f"{place} {light}"}.get(at, f"step {at}"))

        return show.figure(draw, f"Noise becomes an image of {place} {light}", (5.2, 1.8))

    show.InteractiveFigure(draw_generation, {"place": place, "light": light_choice, "noise": noise})
    return


@app.cell
def _(LANDS, PLACES, SKIES, TRAIN, generate):
    prompts = [(place, light) for place in PLACES.values() for light in SKIES for _ in range(6)]
    generated = [
        stages[-1]
        for stages in generate([" ".join(prompt) for prompt in prompts], range(len(prompts)))
    ]
    by_prompt = {prompt: [] for prompt in prompts}
    for prompt, generated_image in zip(prompts, generated, strict=True):
        by_prompt[prompt].append(generated_image.astype(float))
    by_prompt = {prompt: np.stack(images) for prompt, images in by_prompt.items()}
    thumbnails = TRAIN["text_to_image"].samples[0].source.rows.astype(float)
    captions = np.array([sample.target.texts[0] for sample in TRAIN["text_to_image"]])
    mean_colour = {
        light: thumbnails[np.char.endswith(captions, light)].mean((0, 1, 2)) for light in LANDS
    }
    light_accuracy = np.mean(
        [
            min(
                mean_colour, key=lambda light: np.abs(mean_colour[light] - image.mean((0, 1))).sum()
            )
            == light
            for (_, light), images in by_prompt.items()
            for image in images
        ]
    )

    def green_excess(images):
        """The mean excess of green over red in the rows of the objects."""
        return float((images[:, 3:7, :, 1] - images[:, 3:7, :, 0]).mean())

    greenness = {
        place: np.mean([green_excess(by_prompt[place, light]) for light in SKIES])
        for place in ("houses", "trees")
    }
    assert light_accuracy > 0.8, "the generated images have the light of their text"
    assert greenness["trees"] > greenness["houses"], (
        "images of trees are greener than images of houses"
    )
    show.claim(
        "The generated image follows the text.",
        f"{light_accuracy:.0%} of {6 * len(by_prompt)} generated images have the mean colour of "
        f"their light; green exceeds red by {greenness['trees']:.0f} in images of trees and by "
        f"{greenness['houses']:.0f} in images of houses, on a scale of 255.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Are the predictions any good?

    Each task needs its own metric. But the question is the same: is the network better than the
    simplest method that could work? Each task provides such **baselines**: the most frequent
    class, boxes at the usual positions, colour alone, a flood fill from the click.
    """)
    return


@app.cell
def _(TEST, TRAINED, TRAIN):
    METRICS = {
        "classification": "accuracy",
        "detection": "mAP50",
        "semantic": "mIoU",
        "instance": "mAP50",
        "promptable": "IoU, 1 click",
    }
    SCORES, BEST_BASELINE = {}, {}
    for _name in METRICS:
        _task, _net = TRAINED[_name]
        _rows = TEST[_name].samples
        _targets = [sample.target for sample in _rows]
        _images = [sample.source.read() for sample in _rows]
        _prompted = with_prompts(_task, _images, _targets)
        _train_targets = [sample.target for sample in TRAIN[_name]]
        _baselines = _task.baselines(TRAIN[_name].samples[0].source.rows, _train_targets, seed=0)(
            _prompted
        )
        SCORES[_name] = _task.score(_task.predict(_net, _prompted), _targets)[_task.primary_metric]
        _baseline_scores = {
            name: _task.score(predictions, _targets)[_task.primary_metric]
            for name, predictions in _baselines.items()
        }
        BEST_BASELINE[_name] = max(_baseline_scores.items(), key=lambda pair: pair[1])
    return BEST_BASELINE, METRICS, SCORES


@app.cell
def _(BEST_BASELINE, METRICS, SCORES):
    def draw_scores(figure):
        axis = figure.subplots()
        for place, name in enumerate(METRICS):
            axis.barh(place - 0.2, SCORES[name], 0.36, color=show.MODEL)
            axis.barh(place + 0.2, BEST_BASELINE[name][1], 0.36, color=show.OTHER)
            axis.text(
                SCORES[name] + 0.015,
                place - 0.2,
                f"{SCORES[name]:.0%}",
                va="center",
                color=show.MODEL,
                weight="bold",
            )
            axis.text(
                BEST_BASELINE[name][1] + 0.015,
                place + 0.2,
                f"{BEST_BASELINE[name][1]:.0%} {BEST_BASELINE[name][0]}",
                va="center",
                fontsize=8,
            )
        axis.set(
            yticks=range(len(METRICS)), xlim=(0, 1.12), xticks=[], ylim=(len(METRICS) - 0.5, -0.5)
        )
        axis.set_yticklabels([f"{name}\n{metric}" for name, metric in METRICS.items()])
        axis.grid(visible=False)

    alt_scores = "; ".join(
        f"{name}: {SCORES[name]:.0%}, {BEST_BASELINE[name][0]} {BEST_BASELINE[name][1]:.0%}"
        for name in METRICS
    )
    show.html(
        show.figure(draw_scores, alt_scores, (5.0, 3.6)),
        show.caption(
            '<span class="model">The network</span> and '
            '<span class="other">the best baseline of the task</span>.'
        ),
    )
    return


@app.cell
def _(BEST_BASELINE, SCORES):
    for _name in ("classification", "detection", "semantic", "instance"):
        assert SCORES[_name] > BEST_BASELINE[_name][1], (
            f"{_name} beats its best baseline on scenes that it never saw"
        )
    assert SCORES["promptable"] > 0.5, "one click cuts out more than half of what either mask has"
    show.claim(
        "In seconds, each network learns what no baseline can.",
        "on held-out scenes "
        + ", ".join(
            f"{name} {SCORES[name]:.0%} against {BEST_BASELINE[name][1]:.0%}" for name in SCORES
        )
        + ".",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What stays the same

    A task's file holds only what differs: its head, its loss, its metrics. Any of foveate's
    backbones can encode the image. Here they are `tiny_cnn`, the `cnn` of lesson 3, and
    `patch_resnet`, which never pools. All tasks share one training loop, and the steps around it:
    split, baseline, train, evaluate. These lines run for each of the six:
    """)
    return


@app.cell(hide_code=True)
def _():
    _loop = ("output = net(", "losses = loss(", ".backward()", "optimizer.step()")
    _steps = ("# 2. collect", "# 4. baseline", "# 5. train", "# 6. evaluate")
    show.html(
        show.formula(
            "the loop<br><small>predict, loss, gradients, step</small>",
            "\n".join(show.source_line(loop.steps, part).split("  #")[0] for part in _loop),
        ).text,
        "<br>",
        show.formula(
            "the steps around it<br><small>nowhere does foveate ask which task it is</small>",
            "\n".join(show.source_line(pipeline, part) for part in _steps),
        ).text,
    )
    return


@app.cell
def _(TRAIN):
    pairs = []
    for _name, _data in TRAIN.items():
        for _model in ("cnn", "tiny_cnn", "tiny_encoder"):
            if _name != "text_to_image" or _model != "tiny_encoder":  # which wants 32 pixels
                _task, _net = train_task(_data, _model, count=1, lr=1e-3, batch_size=4)
                pairs.append((type(_task), _model))
    assert len(set(pairs)) == 17, "each task takes each backbone, and the loop trains them all"
    assert len({task_type for task_type, _ in pairs}) == 6, "what differs is the task"
    show.claim(
        "Another question is another task, not another program.",
        f"{len(pairs)} pairs of a task and a backbone went through the same loop.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A task says what goes in, what comes out, and how to score it. Choose it by your question,
      not by your images.

    - From class to boxes to pixels to instances, the predictions say more, and their targets are
      more work to annotate.

    - The networks of all tasks consist of the same parts and learn by the same loop. They all need
      the same proof: held-out scenes, and a baseline.

    Lin et al., "Microsoft COCO: Common objects in context", 2014 (boxes and masks of objects).
    Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015.
    He, Gkioxari, Dollár and Girshick, "Mask R-CNN", 2017 (a mask for each object). Kirillov et
    al., "Segment anything", 2023 (clicks). Lipman et al., "Flow matching for generative modeling",
    2023 (images from noise).
    """)
    return


@app.cell(hide_code=True)
def _(QUESTIONS, predict_scene):
    def draw_poster(figure):
        for axis, name in zip(figure.subplots(2, 3).flat, QUESTIONS, strict=True):
            prediction = predict_scene(name, 1)[0][0]
            axis.imshow(prediction[: prediction.shape[1]])
            show.hide_axes(axis)

    poster = show.figure(draw_poster, "A little landscape, and six answers about it", (4.4, 2.9))
    return (poster,)


if __name__ == "__main__":
    app.run()
