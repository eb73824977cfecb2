"""Lesson 5: What a network looks for

The first layer detects edges, the middle layer pieces of strokes, the last one digits. Nobody
taught it to.
"""

import marimo

app = marimo.App(app_title="What a network looks for", css_file="style.css")

with app.setup:
    from itertools import pairwise

    import marimo as mo
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image, ImageDraw

    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        accuracy_score,
        cross_entropy,
        digit_classifier,
        load_digits,
        to_tensor,
        train_steps,
    )
    from foveate.models import backbone, convolution


@app.cell(hide_code=True)
def _():
    mo.md("""
    # What a network looks for

    A network learns to classify digits. Nobody tells it what an edge is, or a curve, or a loop. It
    receives only the labels.

    So how does it do it? Open it, and look at what its **units** respond to. A unit is one filter
    of one layer, together with its feature map.
    """)
    return


@app.cell
def _():
    digit_images, labels = load_digits()
    images = np.stack(
        [
            np.asarray(Image.fromarray(one).resize((16, 16), Image.Resampling.BICUBIC))
            for one in digit_images[:1000]
        ]
    )
    TARGET = torch.from_numpy(labels[:1000])
    TRAIN, VALID = slice(0, 700), slice(700, 1000)
    DEPTHS = {"first": 0, "middle": 1, "last": 2}

    net, untrained = (
        digit_classifier("tiny_cnn", images[TRAIN]),
        digit_classifier("tiny_cnn", images[TRAIN]),
    )
    for _step in train_steps(
        net,
        cross_entropy,
        to_tensor(images[TRAIN]),
        TARGET[TRAIN],
        count=36,
        lr=5e-3,
        batch_size=32,
    ):
        pass
    accuracy = accuracy_score(net, to_tensor(images[VALID]), TARGET[VALID])

    def backbone_of(model):
        """The network without its head: it maps images to the feature maps of each depth."""
        return next(one for one in model.modules() if isinstance(one, backbone.Backbone))

    def feature_maps(model):
        """All feature maps: (1000, 32, 16, 16), (1000, 64, 8, 8) and (1000, 128, 4, 4)."""
        model.eval()
        with torch.no_grad():
            chunks = [
                backbone_of(model)(model.normalise(chunk)) for chunk in to_tensor(images).split(250)
            ]
        return [torch.cat(depth) for depth in zip(*chunks, strict=True)]

    MAPS = feature_maps(net)
    return (
        DEPTHS,
        MAPS,
        TRAIN,
        TARGET,
        VALID,
        accuracy,
        backbone_of,
        images,
        feature_maps,
        net,
        untrained,
    )


@app.cell
def _(accuracy, backbone_of, net):
    first_layer = next(
        one for one in backbone_of(net).modules() if isinstance(one, torch.nn.Conv2d)
    )
    FILTERS = first_layer.weight.detach()[:, 0].numpy()  # (32, 3, 3)

    def draw_filters(figure):
        limit = np.abs(FILTERS).max()
        for axis, values in zip(figure.subplots(4, 8).ravel(), FILTERS, strict=True):
            shades = np.zeros((3, 3, 4))
            for colour, sign in ((show.MODEL, values > 0), (show.OTHER, values < 0)):
                shades[sign, :3] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            shades[..., 3] = np.abs(values) / limit
            axis.pcolormesh(shades, edgecolors=show.LINE, linewidth=0.4)
            axis.set(xlim=(0, 3), ylim=(3, 0), aspect="equal")
            show.hide_axes(axis)

    show.html(
        show.figure(draw_filters, "The 32 filters of the first layer", (4.8, 2.5)),
        show.caption(
            "The 32 filters of the first layer of foveate's <code>tiny_cnn</code>, trained for a "
            f"few seconds; its accuracy on new digits is {accuracy:.0%}. "
            '<span class="model">Blue</span> weights respond to ink, '
            '<span class="other">orange</span> weights to its absence.'
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    A filter that is blue on one side and orange on the other responds to an edge. The filters of
    deeper layers take *feature maps* as input, not pixels. A drawing of their weights tells us
    little. But there are two other ways to examine them.

    ## Two questions for a unit

    **Which digits activate it most?** Search all digits for the unit's largest activations (Zeiler
    and Fergus, 2014).

    **Which image would activate it most?** Begin with a nearly blank image, and change its pixels
    so that the activation grows. This is the training loop with the roles reversed: the weights
    stay fixed, and the *image* is optimised.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>x</i> ← <i>x</i> + <i>η</i> · ∂<i>a</i><sub>unit</sub>/∂<i>x</i>",
        "(-activation(image)).backward()\noptimizer.step()  # changes the pixels",
    )
    return


@app.cell
def _(DEPTHS, MAPS, TARGET, backbone_of, net):
    def by_class(activations):
        """The mean activation of each unit by digit: (N, units) -> (10, units)."""
        return torch.stack(
            [activations[TARGET[: len(activations)] == digit].mean(0) for digit in range(10)]
        )

    def selectivity(activations):
        """(units,) from 0, all digits alike, to 1, a single digit."""
        means = by_class(activations)
        preferred = means.max(0).values
        others = (means.sum(0) - preferred) / 9
        return (preferred - others) / (preferred + others + 1e-6)

    # The maximum over each map: (1000, units) per layer.
    MAX_ACTIVATIONS = [feature_map.amax((2, 3)) for feature_map in MAPS]
    spread = [activations.std(0) for activations in MAX_ACTIVATIONS]
    UNITS = [spread[depth].argsort(descending=True)[:10].tolist() for depth in (0, 1)]
    # In the last layer, the unit with the strongest preference for each digit.
    preference = by_class(MAX_ACTIVATIONS[2]) / (by_class(MAX_ACTIVATIONS[2]).sum(0) + 1)
    UNITS.append([int(preference[digit].argmax()) for digit in range(10)])

    def activation(images, depth):
        """Each unit's activation before ReLU, so that it always has a gradient.

        It is taken at the centre of the map; in the last layer, it is the map's maximum.
        """
        x = net.normalise(images)
        stages = backbone_of(net).stages
        for stage in stages[:depth]:
            x = stage(x)
        x = stages[depth][-1][:-1](stages[depth][:-1](x))
        unit_maps = x[torch.arange(10), UNITS[depth]]
        return (
            unit_maps.amax((1, 2))
            if depth == 2
            else unit_maps[:, unit_maps.shape[1] // 2, unit_maps.shape[2] // 2]
        )

    BLUR = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None] / 16

    def maximise(depth, count=40):
        """Ten images that maximise their unit, and its first and last activation."""
        raw = torch.full((10, 1, 16, 16), -1.5) + 0.1 * torch.randn(
            (10, 1, 16, 16), generator=torch.Generator().manual_seed(0)
        )
        raw.requires_grad_()
        optimizer = torch.optim.Adam([raw], lr=0.25)
        history = []
        for _ in range(count):
            # Without the blur the result is high-frequency noise.
            optimised = 255 * F.conv2d(raw, BLUR, padding=1).sigmoid()
            current = activation(optimised, depth)
            optimizer.zero_grad()
            # A small penalty on ink keeps the background blank.
            (1.5 * optimised.mean((1, 2, 3)) / 255 - current).sum().backward()
            optimizer.step()
            history.append(current.detach())
        return optimised.detach()[:, 0].numpy(), history[0].numpy(), history[-1].numpy()

    net.eval()
    net.requires_grad_(False)
    OPTIMISED = [maximise(depth) for depth in DEPTHS.values()]
    unit = show.slider(range(1, 11), 4)
    depth = mo.ui.radio(DEPTHS, value="first", inline=True)
    return MAX_ACTIVATIONS, UNITS, OPTIMISED, depth, selectivity, unit


@app.cell
def _(DEPTHS, MAPS, UNITS, OPTIMISED, depth, images, unit):
    SIDE = 96
    INK, PAPER, GREY, ORANGE = (
        np.array([27, 31, 36]),
        np.array([252, 252, 251]),
        np.array([236, 238, 240]),
        (214, 110, 20),
    )

    def receptive_field(depth, row, column):
        """The receptive field of a position in a map: top, left, bottom, right."""
        if depth == 0:
            return row - 1, column - 1, row + 2, column + 2
        if depth == 1:
            return 2 * row - 4, 2 * column - 4, 2 * row + 6, 2 * column + 6
        return 0, 0, 16, 16

    def tile(image, field, framed=True):
        """Enlarge a 16 x 16 image to (96, 96, 3), pale outside the receptive field."""
        top, left, bottom, right_ = (min(16, max(0, one)) for one in field)
        ink = image[..., None] / 255
        pale = GREY + 0.3 * ink * (INK - GREY)
        whole = pale.copy()
        whole[top:bottom, left:right_] = (PAPER + ink * (INK - PAPER))[top:bottom, left:right_]
        big = Image.fromarray(whole.clip(0, 255).astype(np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.NEAREST
        )
        if framed:
            edge = SIDE // 16
            ImageDraw.Draw(big).rectangle(
                (left * edge, top * edge, right_ * edge - 1, bottom * edge - 1),
                outline=ORANGE,
                width=2,
            )
        return np.asarray(big)

    def sheet(tiles, columns):
        """Arrange tiles in rows with white gaps."""
        gap = 6
        framed = [np.pad(one, ((0, gap), (0, gap), (0, 0)), constant_values=255) for one in tiles]
        rows = [
            np.concatenate(framed[start : start + columns], 1)
            for start in range(0, len(framed), columns)
        ]
        return np.concatenate(rows)[:-gap, :-gap]

    def top_activations(depth, unit, count=6):
        """The digits that activate this unit most, and the positions."""
        unit_maps = MAPS[depth][:, unit]
        top = []
        for index in unit_maps.amax((1, 2)).argsort(descending=True)[:count].tolist():
            row, column = divmod(int(unit_maps[index].argmax()), unit_maps.shape[2])
            top.append((index, row, column))
        return top

    def draw_unit(unit, depth):
        filter_index = UNITS[depth][unit - 1]
        centre = (16, 8, 4)[depth] // 2
        optimised_tile = sheet(
            [tile(OPTIMISED[depth][0][unit - 1], receptive_field(depth, centre, centre))], 1
        )
        top_tiles = sheet(
            [
                tile(images[index], receptive_field(depth, row, column))
                for index, row, column in top_activations(depth, filter_index)
            ],
            3,
        )
        layer = list(DEPTHS)[depth]
        return show.side_by_side(
            "<div>"
            + show.caption("the image that activates it most")
            + show.pixel_image(
                np.kron(optimised_tile, np.ones((2, 2, 1), np.uint8)),
                f"An image optimised for unit {filter_index} of the {layer} layer",
                200,
            )
            + "</div>",
            "<div>"
            + show.caption("the digits that activate it most")
            + show.pixel_image(
                top_tiles,
                f"The six digits that activate unit {filter_index} of the {layer} layer most",
                300,
            )
            + "</div>",
        )

    show.InteractiveFigure(draw_unit, {"unit": unit, "layer": depth})
    return top_activations, tile, receptive_field


@app.cell(hide_code=True)
def _():
    mo.md("""
    The orange frame is all that the unit can see from there: its **receptive field**. In the first
    layer it covers a scrap of an edge, whatever the digit. In the middle layer it covers a piece:
    the end of a stroke, a bend, a crossing. In the last layer each unit responds to one class of
    digit. The image that would activate it most is not quite that digit: it has ink where this
    digit has ink, and none where others have it.

    ## Why deeper layers see more

    Each 3 × 3 filter widens the receptive field by one pixel on every side. After pooling, a pixel
    stands for two, so the same filter widens it by two.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>r</i> ← <i>r</i> + (<i>k</i> − 1) · <i>j</i><br>pooling doubles <i>j</i>",
        show.source_line(convolution, "pool = [nn.MaxPool2d(2)]").split("  #")[0],
    )
    return


@app.cell
def _(OPTIMISED, backbone_of):
    def measure_field(depth):
        """The rows with a gradient from the centre of the map, for any of 40 random images."""
        noise = torch.randn(
            (40, 1, 16, 16), generator=torch.Generator().manual_seed(0)
        ).requires_grad_()
        feature_map = backbone_of(net)(noise)[depth]
        centre = feature_map.shape[2] // 2
        feature_map[:, :, centre, centre].sum().backward()
        return int((noise.grad.abs().amax((0, 1, 3)) > 0).sum())

    def compute_field(layers):
        """Compute the receptive field of a list of kernel sizes and "pool"."""
        field, jump = 1, 1
        for layer in layers:
            if layer == "pool":
                field, jump = field + jump, 2 * jump
            else:
                field += (layer - 1) * jump
        return field

    FIELDS = [
        compute_field([3]),
        compute_field([3, 3, "pool", 3]),
        compute_field([3, 3, "pool", 3, 3, "pool", 3]),
    ]
    assert [measure_field(0), measure_field(1)] == FIELDS[:2], (
        "a unit depends on the pixels of its receptive field, and no others"
    )
    assert FIELDS[2] > 16 == measure_field(2), "the last layer sees the whole image"
    increased = [
        float(np.mean(OPTIMISED[depth][2] > OPTIMISED[depth][1] + 1)) for depth in range(3)
    ]
    assert min(increased) > 0.7, "gradient ascent on the image activates the units"
    show.claim(
        "A unit sees 3 pixels across, then 10, and in the last layer the whole image.",
        f"the formula gives {FIELDS[0]}, {FIELDS[1]} and {FIELDS[2]} pixels; gradients reach "
        f"{measure_field(0)}, {measure_field(1)} and all 16.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## From pixels to meaning

    A unit that responds to every digit alike says nothing about the class. A unit that responds to
    a single digit identifies it. The **selectivity** measures how far a unit has come from the
    first to the second.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>s</i> = (<i>μ</i><sub>preferred</sub> − <i>μ</i><sub>others</sub>) / "
        "(<i>μ</i><sub>preferred</sub> + <i>μ</i><sub>others</sub>)",
        "(preferred - others) / (preferred + others)",
    )
    return


@app.cell
def _(MAX_ACTIVATIONS, TRAIN, TARGET, VALID, images, feature_maps, selectivity, untrained):
    def nearest_mean_accuracy(activations):
        """The share of new digits that are nearest to the mean of their class."""
        train_activations = activations[TRAIN]
        scaled = (activations - train_activations.mean(0)) / (train_activations.std(0) + 1e-6)
        means = torch.stack([scaled[TRAIN][TARGET[TRAIN] == digit].mean(0) for digit in range(10)])
        return float((torch.cdist(scaled[VALID], means).argmin(1) == TARGET[VALID]).float().mean())

    PIXELS = torch.from_numpy(images.reshape(len(images), -1)).float()
    SELECTIVITY = [float(selectivity(activations).mean()) for activations in MAX_ACTIVATIONS]
    ACCURACY = {"pixels": nearest_mean_accuracy(PIXELS)}
    ACCURACY |= {
        name: nearest_mean_accuracy(activations)
        for name, activations in zip(("first", "middle", "last"), MAX_ACTIVATIONS, strict=True)
    }
    ACCURACY["last, untrained"] = nearest_mean_accuracy(feature_maps(untrained)[2].amax((2, 3)))

    def draw_accuracy(figure):
        left, right_ = figure.subplots(1, 2, width_ratios=(1, 1.35))
        left.bar(["first", "middle", "last"], SELECTIVITY, color=show.MODEL, width=0.6)
        for position, value in enumerate(SELECTIVITY):
            left.text(position, value, f"{value:.2f}", ha="center", va="bottom", fontsize=10)
        left.set(yticks=[], ylim=(0, 1.2 * max(SELECTIVITY)))
        left.set_title("mean selectivity")
        rows = list(ACCURACY)
        right_.barh(
            rows,
            list(ACCURACY.values()),
            color=[show.OTHER, show.MODEL, show.MODEL, show.MODEL, show.OTHER],
            height=0.62,
        )
        for position, value in enumerate(ACCURACY.values()):
            right_.text(value + 0.03, position, f"{value:.0%}", va="center", fontsize=10)
        right_.invert_yaxis()
        right_.set(xlim=(0, 1.25), xticks=[])
        right_.set_title("accuracy")
        for axis in (left, right_):
            axis.grid(visible=False)

    alt = ", ".join(f"{name} {value:.0%}" for name, value in ACCURACY.items())
    show.html(
        show.figure(
            draw_accuracy,
            f"Selectivity rises with depth; accuracy of the nearest class mean: {alt}",
            (5.1, 2.5),
        ),
        show.caption(
            "Right: the accuracy when each digit is assigned to the nearest class mean. "
            '<span class="model">Layers</span> of the trained network, '
            '<span class="other">raw pixels and the untrained network</span>.'
        ),
    )
    return ACCURACY, SELECTIVITY


@app.cell
def _(ACCURACY, SELECTIVITY, accuracy):
    assert accuracy > 0.9, "the network classifies digits"
    for shallow, deep in pairwise(SELECTIVITY):
        assert deep > 1.5 * shallow, "deeper units are more selective"
    assert ACCURACY["last"] > ACCURACY["middle"] > ACCURACY["first"], (
        "deeper layers separate the classes better"
    )
    assert ACCURACY["last"] > ACCURACY["pixels"] + 0.03, "and better than the pixels do"
    assert 1 - ACCURACY["last"] < 0.6 * (1 - ACCURACY["last, untrained"]), (
        "depth alone is not enough: training matters"
    )
    show.claim(
        "The deeper the layer, the more its units respond to a digit instead of to ink.",
        f"selectivity {', '.join(f'{value:.2f}' for value in SELECTIVITY)}; accuracy "
        + ", ".join(f"{name} {value:.0%}" for name, value in ACCURACY.items())
        + ".",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    The first layer alone does worse than raw pixels: it detects *that* there are edges, but the
    maximum over its map has dropped their positions. Every drawing is made of edges. What matters
    is how they combine, and the later layers learn that.

    A surprise: even the untrained network classifies most digits. Random filters respond to edges,
    too. Training removes most of the remaining errors.

    That is also why first layers can be transferred: edges are useful for every kind of image.
    Yosinski et al. (2014) moved them from one task to another, and lost almost nothing. foveate's
    pretrained models are used in this way.

    ## What you saw

    - First edges, then pieces, then whole objects: nobody programmed that. It emerges from the
      labels.

    - A unit can be examined: which images activate it, and which image would activate it most?

    - Deep layers see more of the image, and respond to its meaning more than to its pixels.

    Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014. Yosinski,
    Clune, Bengio and Lipson, "How transferable are features in deep neural networks?", 2014. Olah,
    Mordvintsev and Schubert, "Feature visualization", Distill, 2017. Morcos et al., "On the
    importance of single directions for generalization", 2018, for selectivity (and a warning: a
    unit that is easy to interpret need not be an important one).
    """)
    return


@app.cell(hide_code=True)
def _(UNITS, OPTIMISED, images, top_activations, tile, receptive_field):
    def draw_poster(figure):
        for position, (above, below) in enumerate(figure.subplots(2, 3).T):
            index, row, column = top_activations(position, UNITS[position][3], 1)[0]
            centre = (16, 8, 4)[position] // 2
            above.imshow(tile(images[index], receptive_field(position, row, column)))
            below.imshow(tile(OPTIMISED[position][0][3], receptive_field(position, centre, centre)))
            for axis in (above, below):
                show.hide_axes(axis)

    poster = show.figure(
        draw_poster,
        "What a unit of the first, middle and last layer responds to",
        (4.4, 2.9),
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
