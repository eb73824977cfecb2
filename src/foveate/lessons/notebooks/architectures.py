"""Lesson 10: Five nets, taken apart

AlexNet, VGG, ResNet, U-Net, YOLO: their blocks, what they weigh, what they cost, and one shortcut that made depth work.
"""

import marimo

app = marimo.App(app_title="Five nets, taken apart", css_file="style.css")

with app.setup:
    import re
    import time
    from itertools import groupby

    import marimo as mo
    import numpy as np
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    from foveate import models
    from foveate.lessons import drawings as show
    from foveate.lessons.training import as_input, cross_entropy, digits, learn, right
    from foveate.models.backbone import Backbone, parameters
    from foveate.models.backbones import unet
    from foveate.models.convolution import Residual, convolution
    from foveate.models.model import VisionModel, pixel_statistics


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Five nets, taken apart

    Five names are in every course. What are they made of? Nothing here is copied from a book: we build the real networks, send a picture
    of 224 × 224 pixels through them, and listen at every layer.
    """)
    return


@app.cell
def _():
    # What is built, which of its heads answers, and what it answers with.
    NETS = {
        "AlexNet": ("alexnet", lambda net: net.classifier(1000), "one of 1,000 classes"),
        "VGG-16": ("vgg16", lambda net: net.classifier(1000), "one of 1,000 classes"),
        "ResNet-18": ("resnet18", lambda net: net.classifier(1000), "one of 1,000 classes"),
        "U-Net": ("unet", lambda net: net.segmenter(2), "one of 2 classes for each pixel"),
        "YOLO": (
            "yolo-2016",
            lambda net: net.detector(20),
            "2 boxes and 20 classes for each of 7 × 7 cells",
        ),
    }

    class Whole(nn.Module):
        """A backbone with its head. Classifiers look at the last map alone, the others at all of them."""

        def __init__(self, name, head, channels, size):
            super().__init__()
            self.backbone = models.build(name, channels=channels, size=size)
            self.head = head(self.backbone)
            self.last = isinstance(self.head, nn.Sequential)

        def forward(self, images):
            maps = self.backbone(images)
            return self.head(maps[-1] if self.last else maps)

    def multiply_adds(layer, inputs, output):
        """Of one layer: each weight is used once for every place that it is laid on."""
        if isinstance(layer, nn.ConvTranspose2d):
            return inputs[0].numel() * layer.weight[0].numel()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            return output.numel() * layer.weight[0].numel()
        return 0

    def listened(net, image):
        """(name, layer, shape of its output, weights, multiply-adds) of every layer in the order of their work, by forward hooks."""
        heard, hooks = [], []

        def hook(name):
            def hear(layer, inputs, output):
                heard.append(
                    (
                        name,
                        layer,
                        tuple(output.shape[1:]),
                        parameters(layer),
                        multiply_adds(layer, inputs, output),
                    )
                )

            return hear

        for name, layer in net.named_modules():
            if not list(layer.children()):
                hooks.append(layer.register_forward_hook(hook(name)))
        net.eval()(image)
        for one in hooks:
            one.remove()
        return heard

    return NETS, Whole, listened, multiply_adds


@app.cell
def _(NETS, Whole, listened):
    def block(name, layer, before):
        """Which block a layer belongs to: as the net's own names tell, or from one convolution, pooling or linear layer to the next."""
        told = re.search(r"backbone\.(stem|stages\.\d\.\d|down\.\d|(?:up|enlarge)\.\d)", name)
        if told:
            return told[1].replace("enlarge", "up")
        if isinstance(layer, nn.Linear):
            before["linear"] += 1
        if before["linear"]:
            return f"linear {before['linear']}"
        alex = before["net"] == "AlexNet"
        if "features" in name:
            now = before["features"] + (alex and isinstance(layer, nn.Conv2d))
            before["features"] = now + (not alex and isinstance(layer, nn.MaxPool2d))
            return f"{'convolution' if alex else 'stage'} {now + (not alex)}"
        return "head"

    def counted(number, words):
        return f"{number} {words}" + "s" * (number > 1 and not words.endswith("ing"))

    def blocks(net, heard):
        """The layers put together: a row a block with what is in it, its output, its weights and its multiply-adds."""
        before = {"net": net, "linear": 0, "features": 0}
        marked = [(block(name, layer, before), one) for one in heard for name, layer in [one[:2]]]
        rows = []
        for label, some in groupby(marked, key=lambda pair: pair[0]):
            ones = [one for _, one in some]
            kinds = [type(one[1]).__name__ for one in ones]
            made = [
                counted(kinds.count(kind), words) for kind, words in WORDS.items() if kind in kinds
            ]
            if label == "head" and not sum(one[3] for one in ones):
                continue  # pooling between the features and the linear layers
            rows.append(
                (
                    label,
                    ", ".join(made),
                    ones[-1][2],
                    sum(one[3] for one in ones),
                    sum(one[4] for one in ones),
                )
            )
        return rows

    WORDS = {
        "Conv2d": "convolution",
        "ConvTranspose2d": "enlarging convolution",
        "BatchNorm2d": "batch normalisation",
        "MaxPool2d": "max-pooling",
        "Linear": "linear layer",
    }
    BLOCKS, LAYERS, COUNTED = {}, {}, {}
    for told, (_name, _head, _answer) in NETS.items():
        with torch.device(
            "meta"
        ):  # all shapes, no arithmetic: 138 million weights would take a second and half a gigabyte
            whole = Whole(_name, _head, 3, 224)
            picture = torch.zeros(1, 3, 224, 224)
        LAYERS[told] = listened(whole, picture)
        BLOCKS[told] = blocks(told, LAYERS[told])
        with FlopCounterMode(display=False) as counter:
            whole.eval()(picture)
        COUNTED[told] = (parameters(whole), counter.get_total_flops() / 2)
    return BLOCKS, COUNTED, LAYERS


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Look inside

    Each box is a block. It is as tall as its map (in pixels a side) and as wide as it has channels. Nearly all nets do the same trade: fewer places,
    more things known about each. Lines above are **shortcuts**.

    Below: which blocks hold the weights (orange), and which do the work (blue). They are rarely the same.
    """)
    return


@app.cell
def _(NETS):
    which = mo.ui.radio(list(NETS), value="U-Net")
    number = show.slider(range(1, 11), 9)
    return number, which


@app.cell
def _(BLOCKS, NETS, number, which):
    def short(count):
        """1234567 -> 1.23 M"""
        for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if count >= size:
                return f"{count / size:.3g} {unit}"
        return str(count)

    def drawn(axis, rows, chosen=None):
        """The blocks as boxes, and the shortcuts between them."""
        from matplotlib.patches import FancyArrowPatch, Rectangle

        left, middles, tops = 0.0, [], []
        for place, (_label, _made, shape, *_) in enumerate(rows):
            side = shape[-1] if len(shape) == 3 else 1
            wide, tall = 0.35 + 0.13 * np.log2(shape[0]), 0.28 * np.sqrt(side)
            colour = show.MODEL if place == chosen else show.LINE
            axis.add_patch(
                Rectangle((left, -tall / 2), wide, tall, fc=colour, ec=show.MUTED, lw=0.8)
            )
            middles.append(left + wide / 2)
            tops.append(tall / 2)
            left += wide + 0.35
        labels = [row[0] for row in rows]
        for place, label in enumerate(labels):
            if label.startswith("stages"):
                ends, bend = (place - 1, place), -0.5
            elif label.startswith("up"):
                ends, bend = (labels.index(label.replace("up", "down")), place), -0.28
            else:
                continue
            (a, b) = ends
            axis.add_patch(
                FancyArrowPatch(
                    (middles[a], tops[a] + 0.05), (middles[b], tops[b] + 0.05), connectionstyle=f"arc3,rad={bend}",
                    arrowstyle="-|>", mutation_scale=8, color=show.OTHER, lw=1.3,
                )
            )  # fmt: skip
        room = next(
            (
                space
                for start, space in (("up", 2.9), ("stages", 1.9))
                if labels[-2].startswith(start)
            ),
            1.15,
        )
        axis.set(xlim=(-0.2, left - 0.15), ylim=(-1.1 * max(tops), room * max(tops)))
        axis.axis("off")

    def inside(name, number):
        rows = BLOCKS[name]
        chosen = min(number, len(rows)) - 1
        label, made, shape, weights, work = rows[chosen]
        sums = [sum(row[column] for row in rows) for column in (3, 4)]

        def paint(figure):
            boxes, bars = figure.subplots(2, 1, height_ratios=(1.5, 1))
            drawn(boxes, rows, chosen)
            at = np.arange(len(rows))
            for column, off, colour in ((3, -0.2, show.OTHER), (4, 0.2, show.MODEL)):
                shares = [row[column] / sums[column - 3] for row in rows]
                found = bars.bar(at + off, shares, 0.38, color=colour)
                for place, bar in enumerate(found):
                    bar.set_alpha(1.0 if place == chosen else 0.35)
            bars.set(
                xticks=at,
                xticklabels=[str(place + 1) for place in at],
                yticks=[],
                xlim=(-0.6, len(rows) - 0.4),
            )
            bars.grid(visible=False)

        size = " × ".join(f"{side:,}" for side in shape)
        words = f"{name}, block {chosen + 1} of {len(rows)}: {label}, {made}, gives {size}"
        return show.image(paint, words, (5.2, 3.4)) + show.caption(
            f"<strong>Block {chosen + 1} of {len(rows)}</strong>, <code>{label}</code>: {made or 'pooling'}. Gives {size} numbers. "
            f'<span class="other">{short(weights)} weights ({weights / sums[0]:.1%})</span>, '
            f'<span class="model">{short(work)} multiply-adds ({work / sums[1]:.1%})</span>.<br>'
            f"{name} in all: {short(sums[0])} weights, {short(sums[1])} multiply-adds. It answers with {NETS[name][2]}."
        )

    show.Moving(inside, {"net": which, "block": number})
    return drawn, short


@app.cell(hide_code=True)
def _():
    show.formula(
        "weights = <i>c</i><sub>out</sub> (<i>c</i><sub>in</sub> <i>k</i><sup>2</sup> + 1)<br>work = <i>H</i> <i>W</i> <i>c</i><sub>out</sub> <i>c</i><sub>in</sub> <i>k</i><sup>2</sup>",
        "layer.weight.numel() + layer.bias.numel()\noutput.numel() * layer.weight[0].numel()",
    )
    return


@app.cell
def _(BLOCKS, COUNTED, LAYERS):
    for _net, (weights, work) in COUNTED.items():
        assert sum(row[3] for row in LAYERS[_net]) == weights, (
            "every weight lies in a layer that was heard"
        )
        assert sum(row[4] for row in LAYERS[_net]) == work, (
            "our count is that of torch's own counter"
        )
        assert sum(row[4] for row in BLOCKS[_net]) == work, (
            "and none is lost when layers are put into blocks"
        )
    ends = [row for row in BLOCKS["VGG-16"] if row[0].startswith("linear")]
    heavy = sum(row[3] for row in ends) / COUNTED["VGG-16"][0]
    light = sum(row[4] for row in ends) / COUNTED["VGG-16"][1]
    assert heavy > 0.8, "VGG's linear layers hold nearly all of its weights"
    assert light < 0.02, "and do hardly any of its work"
    show.headline(
        "Weights and work are two things. VGG keeps its weights at the end, and works at the beginning.",
        f"its three linear layers hold {heavy:.0%} of the weights and do {light:.1%} of the work; for all five nets the sums are those of torch's own counter.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Five ideas

    - **AlexNet**, 2012: the same as LeNet twenty years before, but large, with ReLU, dropout, and on GPUs. It won ImageNet by far.
    - **VGG**, 2015: nothing but 3 × 3 filters, one after the other. Two of them see as far as one of 5 × 5, with fewer weights.
    - **ResNet**, 2016: each block only *adds* something to what came in. More of that below.
    - **U-Net**, 2015: down to understand, up again to say *where*. Each step up gets the fine map from the same height on the way down.
    - **YOLO**, 2016: boxes in a single look. The last map is a grid, and each cell answers for what has its middle there. (foveate's `yolo-2016` answers like the
      paper's, with five convolutions instead of 24.)
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "U-Net: join what is fine<br>and what is understood",
        show.line_of(unet.UNet, "maps.append(block("),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Small is not fast, large is not slow

    To the right: more weights. Up: more work for one picture. Both axes are logarithmic: one line is ten times as much.
    """)
    return


@app.cell
def _(COUNTED, short):
    def compared(figure):
        axis = figure.subplots()
        for name, (weights, work) in COUNTED.items():
            axis.plot(weights, work, "o", color=show.MODEL, ms=11)
            axis.annotate(
                f"{name}\n{short(weights)}, {short(work)}", (weights, work), (0, -11), textcoords="offset points",
                ha="center", va="top", fontsize=9,
            )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlim=(2e6, 6e8), ylim=(3e7, 1.5e11), xlabel="weights")
        axis.minorticks_off()
        axis.set_xticks([1e7, 1e8], ["10 M", "100 M"])
        axis.set_yticks([1e8, 1e9, 1e10, 1e11], ["100 M", "1 G", "10 G", "100 G"])
        axis.set_title("multiply-adds for one picture")

    told_all = "; ".join(
        f"{name}: {short(weights)} weights, {short(work)} multiply-adds"
        for name, (weights, work) in COUNTED.items()
    )
    show.show(show.image(compared, told_all, (4.8, 3.6)))
    return


@app.cell
def _(COUNTED, short):
    (alex, alex_work), (res, res_work) = COUNTED["AlexNet"], COUNTED["ResNet-18"]
    assert alex > 4 * res, "AlexNet has far more weights"
    assert alex_work < res_work / 2, "and far less to do"
    show.headline(
        "AlexNet is the heavier net, and the faster one.",
        f"{short(alex)} weights against ResNet-18's {short(res)}, {short(alex_work)} multiply-adds against {short(res_work)}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## One second each

    All five get the same small job, ten digits, and the same **one second of one processor core**. Each has foveate's own recipe, and the same small end (the mean over its last
    map, then one linear layer). The digits are enlarged to 16 pixels; YOLO, which halves five times, gets 32.
    """)
    return


@app.cell
def _(NETS):
    images, labels = digits()
    TRUTH = torch.from_numpy(labels)
    TRAIN, VALID = slice(0, 1200), slice(1200, 1300)
    SECONDS = 1.0

    def raced(name):
        """Pictures seen and share of 100 fresh digits right after a second of training."""
        size = max(16, models.find(name).smallest)
        large = images.repeat(size // 8, 1).repeat(size // 8, 2)
        torch.manual_seed(0)
        net = Small(name, size)
        mean, std = pixel_statistics(large[TRAIN][..., None])
        seer = VisionModel(net, size=size, mean=mean, std=std)
        lr = models.find(name).trained.lr
        began, pictures = time.process_time(), 0
        for step in learn(
            seer,
            cross_entropy,
            as_input(large[TRAIN]),
            TRUTH[TRAIN],
            count=10**6,
            lr=lr,
            batch=8,
            rates="constant",
        ):
            pictures += len(step.target)
            if time.process_time() - began > SECONDS:
                break
        return pictures, right(seer, as_input(large[VALID]), TRUTH[VALID])

    class Small(nn.Module):
        """A backbone, and the end that all get."""

        def __init__(self, name, size):
            super().__init__()
            self.backbone = models.build(name, channels=1, size=size)
            self.head = Backbone.classifier(self.backbone, 10)

        def forward(self, images):
            return self.head(self.backbone(images)[-1])

    def work_of(name):
        size = max(16, models.find(name).smallest)
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            Small(name, size).eval()(torch.zeros(1, 1, size, size))
        return counter.get_total_flops() / 2

    RACED = {
        told: (*raced(name), work_of(name))
        for told, name in (
            (told, {"vgg16": "vgg11", "unet": "unet:16"}.get(name, name))
            for told, (name, *_) in NETS.items()
        )
    }
    return RACED, TRAIN, TRUTH, VALID, images


@app.cell
def _(RACED, short):
    CALLED = [{"VGG-16": "VGG-11", "U-Net": "U-Net 16"}.get(name, name) for name in RACED]

    def race(figure):
        seen, good = figure.subplots(1, 2, width_ratios=(1, 1), sharey=True)
        for axis, column, colour, title in (
            (seen, 0, show.OTHER, "pictures seen"),
            (good, 1, show.MODEL, "right on fresh ones"),
        ):
            values = [row[column] for row in RACED.values()]
            most = max(values) if column == 0 else 1.0
            axis.barh(CALLED, values, color=colour, height=0.6)
            for place, value in enumerate(values):
                axis.text(
                    value + 0.03 * most,
                    place,
                    f"{value:,}" if column == 0 else f"{value:.0%}",
                    va="center",
                )
            axis.set(xticks=[], xlim=(0, 1.35 * most))
            axis.grid(visible=False)
            axis.set_title(title)
        seen.invert_yaxis()
        good.axvline(0.1, color=show.MUTED, lw=1, ls=":")

    raced_words = "; ".join(
        f"{name}: {seen:,} pictures, {share:.0%} right" for name, (seen, share, _) in RACED.items()
    )
    show.show(
        show.image(race, raced_words, (5.2, 2.6)),
        show.caption(
            "Dotted: by chance. VGG and U-Net take part in their smaller forms. One picture costs "
            + ", ".join(
                f"{name} {short(row[2])}" for name, row in zip(CALLED, RACED.values(), strict=True)
            )
            + " multiply-adds."
        ),
    )
    return (CALLED,)


@app.cell
def _(CALLED, RACED):
    cheapest, dearest = (pick(RACED, key=lambda name: RACED[name][2]) for pick in (min, max))
    shown = dict(zip(RACED, CALLED, strict=True))
    times = RACED[cheapest][0] / RACED[dearest][0]
    assert times > 3, "who has less to do for a picture sees more of them"
    assert RACED[cheapest][1] > 0.5, "and has learnt something after a second"
    assert RACED[cheapest][1] >= max(row[1] for row in RACED.values()) - 0.15, (
        "more than, or as much as, the large ones"
    )
    show.headline(
        "In a second, the net that does least for a picture has learnt most.",
        f"{shown[cheapest]} saw {RACED[cheapest][0]:,} pictures and has {RACED[cheapest][1]:.0%} of 100 fresh digits right; {shown[dearest]} saw {RACED[dearest][0]:,} and has {RACED[dearest][1]:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    This is **no** race for the best net. One second is nothing: on a GPU, in a day, on a million pictures, the order is another one, and ResNet has been hard to beat for years. It shows
    what operations cost when there is little time. Ask first how much time you have.

    ## The shortcut

    In 2015 more layers made nets *worse*, even on the pictures they learnt from. That makes no sense: a deeper net could copy the shallow one and pass the rest through. It could; it does not learn to. The
    answer of He and his colleagues: let passing through be what happens by itself. A block only learns what to *add*.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>y</i> = <i>x</i> + <i>f</i>(<i>x</i>)",
        show.line_of(Residual, "x + self.branch(x)") + "\n\n# switched off:\nout = self.branch(x)",
    )
    return


@app.cell
def _(TRAIN, TRUTH, VALID, images):
    class Plain(Residual):
        """The same block, the shortcut switched off."""

        def forward(self, x):
            return self.branch(x)

    def deep(kind, blocks):
        """A net of so many blocks for the digits. Both kinds begin with the same weights."""
        torch.manual_seed(0)
        end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
        body = nn.Sequential(convolution(1, 16), *(kind(16, 8) for _ in range(blocks)), *end)
        mean, std = pixel_statistics(images[TRAIN][..., None])
        return VisionModel(body, size=8, mean=mean, std=std)

    def curve(kind, blocks):
        """The loss of each step, and what is right on fresh digits."""
        net, losses = deep(kind, blocks), []
        for step in learn(
            net, cross_entropy, as_input(images[TRAIN]), TRUTH[TRAIN], count=40, lr=5e-3, batch=32
        ):
            losses.append(step.losses["total"].item())
        return losses, right(net, as_input(images[VALID]), TRUTH[VALID])

    DEPTHS = [1, 4, 12]
    TWINS = {
        (kind.__name__, blocks): curve(kind, blocks)
        for kind in (Plain, Residual)
        for blocks in DEPTHS
    }
    same = [
        torch.equal(a, b)
        for a, b in zip(deep(Plain, 4).parameters(), deep(Residual, 4).parameters(), strict=True)
    ]
    assert all(same), "twins begin with the same weights"
    depth = show.slider(DEPTHS, 12)
    return DEPTHS, TWINS, depth


@app.cell
def _(TWINS, depth):
    def twins(blocks):
        def smooth(losses):
            return np.convolve(losses, np.ones(5) / 5, "valid")

        def paint(figure):
            axis = figure.subplots()
            for kind, colour, words in (
                ("Plain", show.OTHER, "without"),
                ("Residual", show.MODEL, "with shortcuts"),
            ):
                losses, share = TWINS[kind, blocks]
                line = smooth(losses)
                axis.plot(np.arange(len(line)) + 3, line, color=colour, lw=2.2)
                axis.text(
                    41,
                    line[-1],
                    f"{words}\n{share:.0%} right",
                    color=colour,
                    va="center",
                    fontsize=9,
                    weight="bold",
                )
            axis.set(xlim=(0, 40), ylim=(0, 3.4), xlabel="steps of training")
            layers = 2 + 2 * blocks
            axis.set_title(f"training loss, {layers} layers")
            axis.margins(0)

        words = ", ".join(
            f"{kind}: {TWINS[kind, blocks][1]:.0%} right" for kind in ("Plain", "Residual")
        )
        return show.image(paint, f"{blocks} blocks after 40 steps. {words}", (5.0, 2.9))

    show.Moving(twins, {"blocks": depth})
    return


@app.cell
def _(DEPTHS, TWINS):
    END = {key: float(np.mean(losses[-10:])) for key, (losses, _) in TWINS.items()}
    deepest, shallow = DEPTHS[-1], DEPTHS[0]
    assert END["Plain", deepest] > END["Residual", deepest] + 0.5, (
        "deep and without shortcuts the loss stays high"
    )
    assert abs(END["Plain", shallow] - END["Residual", shallow]) < 0.3, (
        "shallow, the shortcut hardly matters"
    )
    assert END["Plain", deepest] > END["Plain", 4] - 0.05, (
        "without shortcuts more layers do not lower the training loss"
    )
    assert END["Residual", deepest] < END["Residual", shallow] - 0.3, "with them they do"
    show.headline(
        "The same blocks, the same first weights, the same steps: with shortcuts depth helps, without it hurts.",
        f"training loss with {2 + 2 * deepest} layers {END['Residual', deepest]:.2f} with and {END['Plain', deepest]:.2f} without shortcuts; "
        f"with {2 + 2 * shallow} layers {END['Residual', shallow]:.2f} and {END['Plain', shallow]:.2f}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A net is a chain of blocks that trade places for channels. Its end is made for the answer: a class, a class a pixel, boxes.
    - Weights fill memory, multiply-adds take time. Look at both.
    - An addition made depth work. Nearly every net since has it, the ones that write text as well.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012. Simonyan and Zisserman, "Very deep convolutional networks", 2015. He, Zhang,
    Ren and Sun, "Deep residual learning", 2016. Ronneberger, Fischer and Brox, "U-Net", 2015. Redmon, Divvala, Girshick and Farhadi, "You only look once", 2016. On pictures up to 64 pixels foveate
    gives the classic nets a first layer that fits, as He et al. did.
    """)
    return


@app.cell(hide_code=True)
def _(BLOCKS, drawn):
    poster = show.image(
        lambda figure: drawn(figure.subplots(), BLOCKS["U-Net"], 4),
        "The U-Net, block by block",
        (4.6, 2.4),
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
