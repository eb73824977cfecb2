"""Lesson 5: What a network looks for

The first layer sees edges, the middle one pieces of strokes, the last one whole digits. Nobody told it to.
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
    from foveate.lessons.training import as_input, cross_entropy, digits, learn, right, seeing
    from foveate.models import backbone, convolution


@app.cell(hide_code=True)
def _():
    mo.md("""
    # What a network looks for

    A network learns to read digits. Nobody tells it what an edge is, or a curve, or a loop. It only hears *right* and *wrong*.

    So how does it do it? Open it, and look at what its **units** respond to. A unit is one filter of one layer, with its map of answers.
    """)
    return


@app.cell
def _():
    small, labels = digits()
    images = np.stack(
        [
            np.asarray(Image.fromarray(one).resize((16, 16), Image.Resampling.BICUBIC))
            for one in small[:1000]
        ]
    )
    TRUTH = torch.from_numpy(labels[:1000])
    TRAIN, VALID = slice(0, 700), slice(700, 1000)
    DEPTHS = {"first": 0, "middle": 1, "last": 2}

    net, untrained = seeing("tiny_cnn", images[TRAIN]), seeing("tiny_cnn", images[TRAIN])
    for _step in learn(
        net, cross_entropy, as_input(images[TRAIN]), TRUTH[TRAIN], count=36, lr=5e-3, batch=32
    ):
        pass
    accuracy = right(net, as_input(images[VALID]), TRUTH[VALID])

    def body(some):
        """The net without its last linear layer: pictures in, a map of each depth out."""
        return next(one for one in some.modules() if isinstance(one, backbone.Backbone))

    def maps_of(some):
        """(1000, 32, 16, 16), (1000, 64, 8, 8), (1000, 128, 4, 4): what every unit answers, everywhere."""
        some.eval()
        with torch.no_grad():
            parts = [body(some)(some.normalised(part)) for part in as_input(images).split(250)]
        return [torch.cat(depth) for depth in zip(*parts, strict=True)]

    MAPS = maps_of(net)
    return DEPTHS, MAPS, TRAIN, TRUTH, VALID, accuracy, body, images, maps_of, net, untrained


@app.cell
def _(accuracy, body, net):
    first = next(one for one in body(net).modules() if isinstance(one, torch.nn.Conv2d))
    FILTERS = first.weight.detach()[:, 0].numpy()  # (32, 3, 3)

    def drawn_filters(figure):
        most = np.abs(FILTERS).max()
        for axis, values in zip(figure.subplots(4, 8).ravel(), FILTERS, strict=True):
            shades = np.zeros((3, 3, 4))
            for colour, some in ((show.MODEL, values > 0), (show.OTHER, values < 0)):
                shades[some, :3] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            shades[..., 3] = np.abs(values) / most
            axis.pcolormesh(shades, edgecolors=show.LINE, linewidth=0.4)
            axis.set(xlim=(0, 3), ylim=(3, 0), aspect="equal")
            show.bare(axis)

    show.show(
        show.image(drawn_filters, "The 32 filters of the first layer", (4.8, 2.5)),
        show.caption(
            f"The 32 filters of the first layer of foveate's <code>quick</code>, after learning for a few seconds; it reads {accuracy:.0%} of new digits. "
            '<span class="model">Blue</span> wants ink, <span class="other">orange</span> wants none.'
        ),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    Blue on one side and orange on the other: that asks for an edge. The filters of deeper layers look at *maps*, not at pixels. To draw their
    weights tells nothing. But one can ask them two things.

    ## Ask it twice

    **Which digits excite you most?** Search all digits, and take those where the unit answers loudest (Zeiler and Fergus, 2014).

    **What would you like best?** Begin with a nearly blank picture, and change its pixels so that the unit answers louder and louder. It is the training
    loop turned round: the weights stand still, and the *picture* learns.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>x</i> ← <i>x</i> + <i>η</i> · ∂<i>a</i><sub>unit</sub>/∂<i>x</i>",
        "(-excited(picture)).backward()\noptimizer.step()  # the picture's pixels",
    )
    return


@app.cell
def _(DEPTHS, MAPS, TRUTH, body, net):
    def by_class(answers):
        """(10, units): how strongly each unit answers to each digit on average. answers: (N, units)"""
        return torch.stack([answers[TRUTH[: len(answers)] == digit].mean(0) for digit in range(10)])

    def selectivity(answers):
        """(units,) from 0, all digits alike, to 1, one digit only."""
        means = by_class(answers)
        favourite = means.max(0).values
        others = (means.sum(0) - favourite) / 9
        return (favourite - others) / (favourite + others + 1e-6)

    STRONGEST = [
        depth.amax((2, 3)) for depth in MAPS
    ]  # (1000, units): the largest answer anywhere in the picture
    spread = [some.std(0) for some in STRONGEST]
    UNITS = [spread[depth].argsort(descending=True)[:10].tolist() for depth in (0, 1)]
    # Of the last layer, for each digit the unit that prefers it most.
    liking = by_class(STRONGEST[2]) / (by_class(STRONGEST[2]).sum(0) + 1)
    UNITS.append([int(liking[digit].argmax()) for digit in range(10)])

    def excited(pictures, depth):
        """How strongly each of the ten units answers: at the middle of its map, of the last layer anywhere. Before ReLU, so that it can always grow."""
        x = net.normalised(pictures)
        stages = body(net).stages
        for stage in stages[:depth]:
            x = stage(x)
        x = stages[depth][-1][:-1](stages[depth][:-1](x))
        own = x[torch.arange(10), UNITS[depth]]
        return own.amax((1, 2)) if depth == 2 else own[:, own.shape[1] // 2, own.shape[2] // 2]

    SOFT = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None] / 16

    def wished(depth, count=40):
        """Ten pictures, each made to excite its unit; how excited it was at first and at the end."""
        raw = torch.full((10, 1, 16, 16), -1.5) + 0.1 * torch.randn(
            (10, 1, 16, 16), generator=torch.Generator().manual_seed(0)
        )
        raw.requires_grad_()
        optimizer = torch.optim.Adam([raw], lr=0.25)
        excitement = []
        for _ in range(count):
            pictures = (
                255 * F.conv2d(raw, SOFT, padding=1).sigmoid()
            )  # softened: else it becomes noise that no eye can read
            now = excited(pictures, depth)
            optimizer.zero_grad()
            (
                1.5 * pictures.mean((1, 2, 3)) / 255 - now
            ).sum().backward()  # ink costs a little, so that none is spilt
            optimizer.step()
            excitement.append(now.detach())
        return pictures.detach()[:, 0].numpy(), excitement[0].numpy(), excitement[-1].numpy()

    net.eval()
    net.requires_grad_(False)
    WISHED = [wished(depth) for depth in DEPTHS.values()]
    unit = show.slider(range(1, 11), 4)
    depth = mo.ui.radio(DEPTHS, value="first", inline=True)
    return STRONGEST, UNITS, WISHED, depth, selectivity, unit


@app.cell
def _(DEPTHS, MAPS, UNITS, WISHED, depth, images, unit):
    SIDE = 96
    INK, PAPER, DIM, ORANGE = (
        np.array([27, 31, 36]),
        np.array([252, 252, 251]),
        np.array([236, 238, 240]),
        (214, 110, 20),
    )

    def window(depth, row, column):
        """Top, left, bottom, right of the pixels that a unit sees from that place of its map: its receptive field."""
        if depth == 0:
            return row - 1, column - 1, row + 2, column + 2
        if depth == 1:
            return 2 * row - 4, 2 * column - 4, 2 * row + 6, 2 * column + 6
        return 0, 0, 16, 16

    def tile(picture, seen, framed=True):
        """A picture of 16 x 16, bright where the unit sees it and pale elsewhere: (96, 96, 3)."""
        top, left, bottom, right_ = (min(16, max(0, one)) for one in seen)
        share = picture[..., None] / 255
        pale = DIM + 0.3 * share * (INK - DIM)
        whole = pale.copy()
        whole[top:bottom, left:right_] = (PAPER + share * (INK - PAPER))[top:bottom, left:right_]
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
        """Tiles in rows with a white gap between."""
        gap = 6
        framed = [np.pad(one, ((0, gap), (0, gap), (0, 0)), constant_values=255) for one in tiles]
        rows = [
            np.concatenate(framed[start : start + columns], 1)
            for start in range(0, len(framed), columns)
        ]
        return np.concatenate(rows)[:-gap, :-gap]

    def loudest(depth, unit, count=6):
        """The digits that excite this unit most, and where."""
        own = MAPS[depth][:, unit]
        found = []
        for which in own.amax((1, 2)).argsort(descending=True)[:count].tolist():
            row, column = divmod(int(own[which].argmax()), own.shape[2])
            found.append((which, row, column))
        return found

    def asked(unit, depth):
        number = UNITS[depth][unit - 1]
        middle = (16, 8, 4)[depth] // 2
        wish = sheet([tile(WISHED[depth][0][unit - 1], window(depth, middle, middle))], 1)
        best = sheet(
            [
                tile(images[which], window(depth, row, column))
                for which, row, column in loudest(depth, number)
            ],
            3,
        )
        told = list(DEPTHS)[depth]
        return show.beside(
            "<div>"
            + show.caption("what it would like best")
            + show.pixels(
                np.kron(wish, np.ones((2, 2, 1), np.uint8)),
                f"A picture made to excite unit {number} of the {told} layer",
                200,
            )
            + "</div>",
            "<div>"
            + show.caption("the digits that excite it most")
            + show.pixels(
                best, f"Six digits that excite unit {number} of the {told} layer most", 300
            )
            + "</div>",
        )

    show.Moving(asked, {"unit": unit, "layer": depth})
    return loudest, tile, window


@app.cell(hide_code=True)
def _():
    mo.md("""
    The orange frame is all that the unit can see from there: its **receptive field**. In the first layer it sees a scrap of an edge, whatever the digit.
    In the middle a piece: the end of a stroke, a bend, a crossing. In the last layer each unit waits for one kind of digit. What
    it would like best is not quite that digit, but ink where this digit has ink, and none where others have it.

    ## Why deeper sees more

    Each 3 × 3 filter widens the view by a pixel on every side. After pooling a pixel stands for two, so the same filter widens it by two.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>r</i> ← <i>r</i> + (<i>k</i> − 1) · <i>j</i><br>pooling doubles <i>j</i>",
        show.line_of(convolution, "pool = [nn.MaxPool2d(2)]").split("  #")[0],
    )
    return


@app.cell
def _(WISHED, body):
    def measured_field(depth):
        """Rows of the picture on which the middle of the map depends: where its gradient is not zero, for some picture."""
        noise = torch.randn(
            (40, 1, 16, 16), generator=torch.Generator().manual_seed(0)
        ).requires_grad_()
        answer = body(net)(noise)[depth]
        middle = answer.shape[2] // 2
        answer[:, :, middle, middle].sum().backward()
        return int((noise.grad.abs().amax((0, 1, 3)) > 0).sum())

    def reckoned(layers):
        """The receptive field of these layers: kernels, and "pool"."""
        field, jump = 1, 1
        for layer in layers:
            if layer == "pool":
                field, jump = field + jump, 2 * jump
            else:
                field += (layer - 1) * jump
        return field

    FIELDS = [reckoned([3]), reckoned([3, 3, "pool", 3]), reckoned([3, 3, "pool", 3, 3, "pool", 3])]
    assert [measured_field(0), measured_field(1)] == FIELDS[:2], (
        "a unit depends on the pixels of its receptive field, and no others"
    )
    assert FIELDS[2] > 16 == measured_field(2), "the last layer sees the whole picture"
    grown = [float(np.mean(WISHED[depth][2] > WISHED[depth][1] + 1)) for depth in range(3)]
    assert min(grown) > 0.7, "gradient ascent on the picture excites the units"
    show.headline(
        "A unit sees 3, then 10 pixels across, at last the whole picture.",
        f"the formula says {FIELDS[0]}, {FIELDS[1]} and {FIELDS[2]}; where gradients arrive is {measured_field(0)}, {measured_field(1)} and all 16.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## From pixels to meaning

    A unit that answers to every digit alike tells nothing about which digit it is. One that answers to a single digit tells all. Its
    **selectivity** says how far it is on the way.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>s</i> = (<i>μ</i><sub>favourite</sub> − <i>μ</i><sub>others</sub>) / (<i>μ</i><sub>favourite</sub> + <i>μ</i><sub>others</sub>)",
        "(favourite - others) / (favourite + others)",
    )
    return


@app.cell
def _(STRONGEST, TRAIN, TRUTH, VALID, images, maps_of, selectivity, untrained):
    def nearest_mean(answers):
        """How many new digits are nearest to the mean of their own class."""
        known = answers[TRAIN]
        scaled = (answers - known.mean(0)) / (known.std(0) + 1e-6)
        middles = torch.stack([scaled[TRAIN][TRUTH[TRAIN] == digit].mean(0) for digit in range(10)])
        return float((torch.cdist(scaled[VALID], middles).argmin(1) == TRUTH[VALID]).float().mean())

    PIXELS = torch.from_numpy(images.reshape(len(images), -1)).float()
    SELECTIVE = [float(selectivity(some).mean()) for some in STRONGEST]
    READ = {"pixels": nearest_mean(PIXELS)}
    READ |= {
        name: nearest_mean(some)
        for name, some in zip(("first", "middle", "last"), STRONGEST, strict=True)
    }
    READ["last, untrained"] = nearest_mean(maps_of(untrained)[2].amax((2, 3)))

    def ladder(figure):
        left, right_ = figure.subplots(1, 2, width_ratios=(1, 1.35))
        left.bar(["first", "middle", "last"], SELECTIVE, color=show.MODEL, width=0.6)
        for place, value in enumerate(SELECTIVE):
            left.text(place, value, f"{value:.2f}", ha="center", va="bottom", fontsize=10)
        left.set(yticks=[], ylim=(0, 1.2 * max(SELECTIVE)))
        left.set_title("selectivity of a unit")
        rows = list(READ)
        right_.barh(
            rows,
            list(READ.values()),
            color=[show.OTHER, show.MODEL, show.MODEL, show.MODEL, show.OTHER],
            height=0.62,
        )
        for place, value in enumerate(READ.values()):
            right_.text(value + 0.03, place, f"{value:.0%}", va="center", fontsize=10)
        right_.invert_yaxis()
        right_.set(xlim=(0, 1.25), xticks=[])
        right_.set_title("digits read")
        for axis in (left, right_):
            axis.grid(visible=False)

    told_read = ", ".join(f"{name} {share:.0%}" for name, share in READ.items())
    show.show(
        show.image(
            ladder,
            f"Selectivity rises with depth; digits read by the nearest class mean: {told_read}",
            (5.1, 2.5),
        ),
        show.caption(
            "Right: which digit is it, judged only by the mean answers of each class? "
            '<span class="model">Layers</span> of the trained network, <span class="other">pixels and a network that learnt nothing</span>.'
        ),
    )
    return READ, SELECTIVE


@app.cell
def _(READ, SELECTIVE, accuracy):
    assert accuracy > 0.9, "the network reads digits"
    for shallow, deep in pairwise(SELECTIVE):
        assert deep > 1.5 * shallow, "deeper units are more selective"
    assert READ["last"] > READ["middle"] > READ["first"], (
        "the class can be read better, the deeper the layer"
    )
    assert READ["last"] > READ["pixels"] + 0.03, "and better than from the pixels"
    assert 1 - READ["last"] < 0.6 * (1 - READ["last, untrained"]), (
        "depth alone does not do it: it must have learnt"
    )
    show.headline(
        "The deeper the layer, the more its units are about digits, and not about ink.",
        f"selectivity {', '.join(f'{one:.2f}' for one in SELECTIVE)}; read from {', '.join(f'{name}: {share:.0%}' for name, share in READ.items())}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    The first layer alone does worse than raw pixels: it knows *that* there are edges and, by taking the strongest answer anywhere, has forgotten where.
    Any drawing is made of edges. What matters is how they are put together, and that is what the later layers learn.

    A surprise: even the network that learnt nothing reads most digits. Filters by chance see edges, too. Learning removes most of the mistakes
    that are left.

    That is also why first layers can be borrowed: edges are useful for every kind of picture. Yosinski et al. (2014) moved them from one task to another,
    and lost almost nothing. foveate's published models are used in that way.

    ## What you saw

    - First edges, then pieces, then things: nobody put that in. It grows from *right* and *wrong*.
    - A unit can be asked: which pictures excite you, and what would excite you most?
    - Deep layers see more of the picture, and say more about what it is.

    Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014. Yosinski, Clune, Bengio and Lipson, "How transferable are features in deep
    neural networks?", 2014. Olah, Mordvintsev and Schubert, "Feature visualization", Distill, 2017. Morcos et al., "On the importance of
    single directions for generalization", 2018, for selectivity (and a warning: a unit that is easy to read need not be one that matters).
    """)
    return


@app.cell(hide_code=True)
def _(UNITS, WISHED, images, loudest, tile, window):
    def on_the_index(figure):
        for place, (above, below) in enumerate(figure.subplots(2, 3).T):
            which, row, column = loudest(place, UNITS[place][3], 1)[0]
            middle = (16, 8, 4)[place] // 2
            above.imshow(tile(images[which], window(place, row, column)))
            below.imshow(tile(WISHED[place][0][3], window(place, middle, middle)))
            for axis in (above, below):
                show.bare(axis)

    poster = show.image(
        on_the_index,
        "What a unit of the first, the middle and the last layer sees and would like best",
        (4.4, 2.9),
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
