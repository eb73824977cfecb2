"""Lesson 10: Five networks, taken apart

AlexNet, VGG, ResNet, U-Net, YOLO: their blocks, weights and costs, and the shortcut that made
depth work.
"""

import marimo

app = marimo.App(app_title="Five networks, taken apart", css_file="style.css")

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
    from foveate.lessons.training import (
        accuracy_score,
        cross_entropy,
        load_digits,
        to_tensor,
        train_steps,
    )
    from foveate.models.backbone import Backbone, count_parameters
    from foveate.models.backbones import unet
    from foveate.models.convolution import Residual, convolution
    from foveate.models.model import VisionModel, pixel_statistics


@app.cell(hide_code=True)
def _():
    mo.md("""
    # Five networks, taken apart

    Five names are in every course. What are these networks made of? We don't copy numbers from a
    book: we build the real networks, pass an image of 224 × 224 pixels through them, and record
    every layer.
    """)
    return


@app.cell
def _():
    # The name of the backbone, its head, and its output.
    NETS = {
        "AlexNet": ("alexnet", lambda net: net.classifier(1000), "one of 1,000 classes"),
        "VGG-16": ("vgg16", lambda net: net.classifier(1000), "one of 1,000 classes"),
        "ResNet-18": ("resnet18", lambda net: net.classifier(1000), "one of 1,000 classes"),
        "U-Net": ("unet", lambda net: net.segmenter(2), "one of 2 classes for each pixel"),
        "YOLO": (
            "yolo_v1",
            lambda net: net.detector(20),
            "2 boxes and 20 classes for each of 7 × 7 cells",
        ),
    }

    class BackboneWithHead(nn.Module):
        """A backbone with its head. Classifiers use the last feature map, other heads all maps."""

        def __init__(self, name, head, channels, size):
            super().__init__()
            self.backbone = models.build(name, channels=channels, size=size)
            self.head = head(self.backbone)
            self.uses_last_map = isinstance(self.head, nn.Sequential)

        def forward(self, images):
            maps = self.backbone(images)
            return self.head(maps[-1] if self.uses_last_map else maps)

    def multiply_adds(layer, inputs, output):
        """The multiply-adds of one layer: each weight is used once per position."""
        if isinstance(layer, nn.ConvTranspose2d):
            return inputs[0].numel() * layer.weight[0].numel()
        if isinstance(layer, nn.Conv2d | nn.Linear):
            return output.numel() * layer.weight[0].numel()
        return 0

    def record_layers(net, image):
        """Record name, layer, output shape, weights and multiply-adds of each layer, in order."""
        records, hooks = [], []

        def hook(name):
            def record(layer, inputs, output):
                records.append(
                    (
                        name,
                        layer,
                        tuple(output.shape[1:]),
                        count_parameters(layer),
                        multiply_adds(layer, inputs, output),
                    )
                )

            return record

        for name, layer in net.named_modules():
            if not list(layer.children()):
                hooks.append(layer.register_forward_hook(hook(name)))
        net.eval()(image)
        for handle in hooks:
            handle.remove()
        return records

    return NETS, BackboneWithHead, record_layers, multiply_adds


@app.cell
def _(NETS, BackboneWithHead, record_layers):
    def block(name, layer, state):
        """The block of a layer: from its name, or else counted by its convolutions and poolings."""
        match = re.search(r"backbone\.(stem|stages\.\d\.\d|down\.\d|(?:up|enlarge)\.\d)", name)
        if match:
            return match[1].replace("enlarge", "up")
        if isinstance(layer, nn.Linear):
            state["linear"] += 1
        if state["linear"]:
            return f"linear {state['linear']}"
        alexnet = state["net"] == "AlexNet"
        if "features" in name:
            stage = state["features"] + (alexnet and isinstance(layer, nn.Conv2d))
            state["features"] = stage + (not alexnet and isinstance(layer, nn.MaxPool2d))
            return f"{'convolution' if alexnet else 'stage'} {stage + (not alexnet)}"
        return "head"

    def count_noun(number, noun):
        return f"{number} {noun}" + "s" * (number > 1 and not noun.endswith("ing"))

    def blocks(net, records):
        """Group the layers: label, contents, output shape, weights and multiply-adds per block."""
        state = {"net": net, "linear": 0, "features": 0}
        labelled = [
            (block(name, layer, state), record)
            for record in records
            for name, layer in [record[:2]]
        ]
        rows = []
        for label, group in groupby(labelled, key=lambda pair: pair[0]):
            layers = [record for _, record in group]
            types = [type(record[1]).__name__ for record in layers]
            contents = [
                count_noun(types.count(type_name), noun)
                for type_name, noun in LAYER_NAMES.items()
                if type_name in types
            ]
            if label == "head" and not sum(record[3] for record in layers):
                continue  # the pooling between the features and the linear layers
            rows.append(
                (
                    label,
                    ", ".join(contents),
                    layers[-1][2],
                    sum(record[3] for record in layers),
                    sum(record[4] for record in layers),
                )
            )
        return rows

    LAYER_NAMES = {
        "Conv2d": "convolution",
        "ConvTranspose2d": "enlarging convolution",
        "BatchNorm2d": "batch normalisation",
        "MaxPool2d": "max-pooling",
        "Linear": "linear layer",
    }
    BLOCKS, LAYERS, TOTALS = {}, {}, {}
    for _net_name, (_name, _head, _output) in NETS.items():
        with torch.device("meta"):  # shapes only: VGG's weights alone take half a gigabyte
            net = BackboneWithHead(_name, _head, 3, 224)
            image = torch.zeros(1, 3, 224, 224)
        LAYERS[_net_name] = record_layers(net, image)
        BLOCKS[_net_name] = blocks(_net_name, LAYERS[_net_name])
        with FlopCounterMode(display=False) as counter:
            net.eval()(image)
        TOTALS[_net_name] = (count_parameters(net), counter.get_total_flops() / 2)
    return BLOCKS, TOTALS, LAYERS


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Look inside

    Each box is a block. Its height is the size of its feature map, and its width the number of
    channels. Nearly all networks make the same trade: fewer positions, more channels for each. The
    lines above the boxes are **shortcuts**.

    Below: which blocks hold the weights (orange), and which do the computation (blue). They are
    rarely the same.
    """)
    return


@app.cell
def _(NETS):
    net_name = mo.ui.radio(list(NETS), value="U-Net")
    number = show.slider(range(1, 11), 9)
    return number, net_name


@app.cell
def _(BLOCKS, NETS, number, net_name):
    def short(count):
        """1234567 -> 1.23 M"""
        for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if count >= size:
                return f"{count / size:.3g} {unit}"
        return str(count)

    def draw_blocks(axis, rows, chosen=None):
        """Draw the blocks as boxes, with the shortcuts between them."""
        from matplotlib.patches import FancyArrowPatch, Rectangle

        left, middles, tops = 0.0, [], []
        for index, (_label, _contents, shape, *_) in enumerate(rows):
            map_size = shape[-1] if len(shape) == 3 else 1
            width, height = 0.35 + 0.13 * np.log2(shape[0]), 0.28 * np.sqrt(map_size)
            colour = show.MODEL if index == chosen else show.LINE
            axis.add_patch(
                Rectangle((left, -height / 2), width, height, fc=colour, ec=show.MUTED, lw=0.8)
            )
            middles.append(left + width / 2)
            tops.append(height / 2)
            left += width + 0.35
        labels = [row[0] for row in rows]
        for index, label in enumerate(labels):
            if label.startswith("stages"):
                ends, bend = (index - 1, index), -0.5
            elif label.startswith("up"):
                ends, bend = (labels.index(label.replace("up", "down")), index), -0.28
            else:
                continue
            (a, b) = ends
            axis.add_patch(
                FancyArrowPatch(
                    (middles[a], tops[a] + 0.05), (middles[b], tops[b] + 0.05),
                    connectionstyle=f"arc3,rad={bend}",
                    arrowstyle="-|>", mutation_scale=8, color=show.OTHER, lw=1.3,
                )
            )  # fmt: skip
        headroom = next(
            (
                space
                for start, space in (("up", 2.9), ("stages", 1.9))
                if labels[-2].startswith(start)
            ),
            1.15,
        )
        axis.set(xlim=(-0.2, left - 0.15), ylim=(-1.1 * max(tops), headroom * max(tops)))
        axis.axis("off")

    def draw_net(name, number):
        rows = BLOCKS[name]
        chosen = min(number, len(rows)) - 1
        label, contents, shape, weights, work = rows[chosen]
        totals = [sum(row[column] for row in rows) for column in (3, 4)]

        def draw(figure):
            boxes, bars = figure.subplots(2, 1, height_ratios=(1.5, 1))
            draw_blocks(boxes, rows, chosen)
            at = np.arange(len(rows))
            for column, offset, colour in ((3, -0.2, show.OTHER), (4, 0.2, show.MODEL)):
                shares = [row[column] / totals[column - 3] for row in rows]
                bar_group = bars.bar(at + offset, shares, 0.38, color=colour)
                for index, bar in enumerate(bar_group):
                    bar.set_alpha(1.0 if index == chosen else 0.35)
            bars.set(
                xticks=at,
                xticklabels=[str(index + 1) for index in at],
                yticks=[],
                xlim=(-0.6, len(rows) - 0.4),
            )
            bars.grid(visible=False)

        size = " × ".join(f"{map_size:,}" for map_size in shape)
        alt = f"{name}, block {chosen + 1} of {len(rows)}: {label}, {contents}, output {size}"
        return show.figure(draw, alt, (5.2, 3.4)) + show.caption(
            f"<strong>Block {chosen + 1} of {len(rows)}</strong>, <code>{label}</code>: "
            f"{contents or 'pooling'}. Output: {size} numbers. "
            f'<span class="other">{short(weights)} weights ({weights / totals[0]:.1%})</span>, '
            f'<span class="model">{short(work)} multiply-adds ({work / totals[1]:.1%})</span>.<br>'
            f"{name} in total: {short(totals[0])} weights, {short(totals[1])} multiply-adds. "
            f"It predicts {NETS[name][2]}."
        )

    show.InteractiveFigure(draw_net, {"net": net_name, "block": number})
    return draw_blocks, short


@app.cell(hide_code=True)
def _():
    show.formula(
        "weights = <i>c</i><sub>out</sub> (<i>c</i><sub>in</sub> <i>k</i><sup>2</sup> + 1)<br>"
        "multiply-adds = <i>H</i> <i>W</i> <i>c</i><sub>out</sub> <i>c</i><sub>in</sub> "
        "<i>k</i><sup>2</sup>",
        "layer.weight.numel() + layer.bias.numel()\noutput.numel() * layer.weight[0].numel()",
    )
    return


@app.cell
def _(BLOCKS, TOTALS, LAYERS):
    for _net, (weights, work) in TOTALS.items():
        assert sum(row[3] for row in LAYERS[_net]) == weights, (
            "every weight belongs to a recorded layer"
        )
        assert sum(row[4] for row in LAYERS[_net]) == work, (
            "our count equals that of torch's counter"
        )
        assert sum(row[4] for row in BLOCKS[_net]) == work, "grouping into blocks loses nothing"
    ends = [row for row in BLOCKS["VGG-16"] if row[0].startswith("linear")]
    weight_share = sum(row[3] for row in ends) / TOTALS["VGG-16"][0]
    work_share = sum(row[4] for row in ends) / TOTALS["VGG-16"][1]
    assert weight_share > 0.8, "VGG's linear layers hold nearly all of its weights"
    assert work_share < 0.02, "and do hardly any of its computation"
    show.claim(
        "VGG has most of its weights at the end, and most of its computation at the beginning.",
        f"its three linear layers hold {weight_share:.0%} of the weights and do {work_share:.1%} "
        "of the multiply-adds; for all five networks the sums equal those of torch's counter.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Five ideas

    - **AlexNet**, 2012: the idea of LeNet (1998), but large, with ReLU and dropout, and trained on
      GPUs. It won ImageNet by far.

    - **VGG**, 2015: only 3 × 3 filters, one after the other. Two of them have the receptive field
      of one 5 × 5 filter, with fewer weights.

    - **ResNet**, 2016: each block only *adds* something to its input. More about that below.

    - **U-Net**, 2015: down to recognise, up again to *localise*. Each step up receives the fine
      map of the same size from the way down.

    - **YOLO**, 2016: all boxes in a single forward pass. The last map is a grid, and each cell
      predicts the objects with their centre in it. (foveate's `yolo_v1` has the output of the
      paper, with five convolutions instead of 24.)
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "U-Net: concatenate the fine map<br>and the upsampled one",
        show.source_line(unet.UNet, "maps.append(block("),
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## Small is not fast, large is not slow

    Further right: more weights. Further up: more computation per image. Both axes are logarithmic:
    each line is a factor of ten.
    """)
    return


@app.cell
def _(TOTALS, short):
    def draw_comparison(figure):
        axis = figure.subplots()
        for name, (weights, work) in TOTALS.items():
            axis.plot(weights, work, "o", color=show.MODEL, ms=11)
            axis.annotate(
                f"{name}\n{short(weights)}, {short(work)}", (weights, work), (0, -11),
                textcoords="offset points",
                ha="center", va="top", fontsize=9,
            )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlim=(2e6, 6e8), ylim=(3e7, 1.5e11), xlabel="weights")
        axis.minorticks_off()
        axis.set_xticks([1e7, 1e8], ["10 M", "100 M"])
        axis.set_yticks([1e8, 1e9, 1e10, 1e11], ["100 M", "1 G", "10 G", "100 G"])
        axis.set_title("multiply-adds per image")

    alt_all = "; ".join(
        f"{name}: {short(weights)} weights, {short(work)} multiply-adds"
        for name, (weights, work) in TOTALS.items()
    )
    show.html(show.figure(draw_comparison, alt_all, (4.8, 3.6)))
    return


@app.cell
def _(TOTALS, short):
    (alexnet, alexnet_work), (resnet, resnet_work) = TOTALS["AlexNet"], TOTALS["ResNet-18"]
    assert alexnet > 4 * resnet, "AlexNet has far more weights"
    assert alexnet_work < resnet_work / 2, "and needs far fewer multiply-adds"
    show.claim(
        "AlexNet is the larger network, and the cheaper one.",
        f"{short(alexnet)} weights against ResNet-18's {short(resnet)}, "
        f"{short(alexnet_work)} multiply-adds against {short(resnet_work)}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## One second each

    All five learn the same small task, ten digits, in the same time: **one second on one processor
    core**. Each uses foveate's default learning rate and the same small head (the mean over the
    last map, then one linear layer). The digits are enlarged to 16 pixels; YOLO, which halves the
    size five times, gets 32.
    """)
    return


@app.cell
def _(NETS):
    images, labels = load_digits()
    TARGET = torch.from_numpy(labels)
    TRAIN, VALID = slice(0, 1200), slice(1200, 1300)
    SECONDS = 1.0

    def race(name):
        """Train for a second; return the images seen, and the accuracy on 100 new digits."""
        size = max(16, models.find(name).min_size)
        enlarged = images.repeat(size // 8, 1).repeat(size // 8, 2)
        torch.manual_seed(0)
        net = SmallClassifier(name, size)
        mean, std = pixel_statistics(enlarged[TRAIN][..., None])
        model = VisionModel(net, size=size, mean=mean, std=std)
        lr = models.find(name).default_recipe.lr
        started, images_seen = time.process_time(), 0
        for step in train_steps(
            model,
            cross_entropy,
            to_tensor(enlarged[TRAIN]),
            TARGET[TRAIN],
            count=10**6,
            lr=lr,
            batch_size=8,
            schedule_name="constant",
        ):
            images_seen += len(step.target)
            if time.process_time() - started > SECONDS:
                break
        return images_seen, accuracy_score(model, to_tensor(enlarged[VALID]), TARGET[VALID])

    class SmallClassifier(nn.Module):
        """A backbone with the head that all five share."""

        def __init__(self, name, size):
            super().__init__()
            self.backbone = models.build(name, channels=1, size=size)
            self.head = Backbone.classifier(self.backbone, 10)

        def forward(self, images):
            return self.head(self.backbone(images)[-1])

    def multiply_adds_per_image(name):
        size = max(16, models.find(name).min_size)
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            SmallClassifier(name, size).eval()(torch.zeros(1, 1, size, size))
        return counter.get_total_flops() / 2

    RACE = {
        label: (*race(name), multiply_adds_per_image(name))
        for label, name in (
            (label, {"vgg16": "vgg11", "unet": "unet:16"}.get(name, name))
            for label, (name, *_) in NETS.items()
        )
    }
    return RACE, TRAIN, TARGET, VALID, images


@app.cell
def _(RACE, short):
    RACE_NAMES = [{"VGG-16": "VGG-11", "U-Net": "U-Net 16"}.get(name, name) for name in RACE]

    def draw_race(figure):
        seen_axis, accuracy_axis = figure.subplots(1, 2, width_ratios=(1, 1), sharey=True)
        for axis, column, colour, title in (
            (seen_axis, 0, show.OTHER, "images seen"),
            (accuracy_axis, 1, show.MODEL, "accuracy on new digits"),
        ):
            values = [row[column] for row in RACE.values()]
            limit = max(values) if column == 0 else 1.0
            axis.barh(RACE_NAMES, values, color=colour, height=0.6)
            for index, value in enumerate(values):
                axis.text(
                    value + 0.03 * limit,
                    index,
                    f"{value:,}" if column == 0 else f"{value:.0%}",
                    va="center",
                )
            axis.set(xticks=[], xlim=(0, 1.35 * limit))
            axis.grid(visible=False)
            axis.set_title(title)
        seen_axis.invert_yaxis()
        accuracy_axis.axvline(0.1, color=show.MUTED, lw=1, ls=":")

    alt_race = "; ".join(
        f"{name}: {seen:,} images, {accuracy:.0%} accuracy"
        for name, (seen, accuracy, _) in RACE.items()
    )
    show.html(
        show.figure(draw_race, alt_race, (5.2, 2.6)),
        show.caption(
            "The dotted line is chance level. VGG and U-Net run in a smaller variant. "
            "Multiply-adds per image: "
            + ", ".join(
                f"{name} {short(row[2])}"
                for name, row in zip(RACE_NAMES, RACE.values(), strict=True)
            )
            + "."
        ),
    )
    return (RACE_NAMES,)


@app.cell
def _(RACE_NAMES, RACE):
    cheapest, costliest = (pick(RACE, key=lambda name: RACE[name][2]) for pick in (min, max))
    race_names = dict(zip(RACE, RACE_NAMES, strict=True))
    ratio = RACE[cheapest][0] / RACE[costliest][0]
    assert ratio > 3, "the network with the least computation per image sees the most images"
    assert RACE[cheapest][1] > 0.5, "and it has learnt something after a second"
    assert RACE[cheapest][1] >= max(row[1] for row in RACE.values()) - 0.15, (
        "as much as the large ones, or more"
    )
    show.claim(
        "In one second, the network with the least computation per image learns most.",
        f"{race_names[cheapest]} saw {RACE[cheapest][0]:,} images and reaches "
        f"{RACE[cheapest][1]:.0%} accuracy on 100 new digits; {race_names[costliest]} saw "
        f"{RACE[costliest][0]:,} and reaches {RACE[costliest][1]:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    This is **not** a race for the best network. One second is nothing: on a GPU, in a day, on a
    million images, the order is a different one, and ResNet has been hard to beat for years. The
    race shows what operations cost when there is little time. Ask first how much time you have.

    ## The shortcut

    In 2015 more layers made networks *worse*, even on their training images. That seems absurd: a
    deeper network could copy the shallow one and pass its output through the remaining layers. It
    could, but it does not learn to. He and his colleagues found the solution: make passing the
    input through the default. A block then only learns what to *add*.
    """)
    return


@app.cell(hide_code=True)
def _():
    show.formula(
        "<i>y</i> = <i>x</i> + <i>f</i>(<i>x</i>)",
        show.source_line(Residual, "x + self.branch(x)")
        + "\n\n# without the shortcut:\nout = self.branch(x)",
    )
    return


@app.cell
def _(TRAIN, TARGET, VALID, images):
    class Plain(Residual):
        """The same block without the shortcut."""

        def forward(self, x):
            return self.branch(x)

    def build_net(block_class, blocks):
        """A digit classifier with this many blocks; both variants start with the same weights."""
        torch.manual_seed(0)
        end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
        body = nn.Sequential(convolution(1, 16), *(block_class(16, 8) for _ in range(blocks)), *end)
        mean, std = pixel_statistics(images[TRAIN][..., None])
        return VisionModel(body, size=8, mean=mean, std=std)

    def train_twin(block_class, blocks):
        """The loss of each step, and the accuracy on new digits."""
        net, losses = build_net(block_class, blocks), []
        for step in train_steps(
            net,
            cross_entropy,
            to_tensor(images[TRAIN]),
            TARGET[TRAIN],
            count=40,
            lr=5e-3,
            batch_size=32,
        ):
            losses.append(step.losses["total"].item())
        return losses, accuracy_score(net, to_tensor(images[VALID]), TARGET[VALID])

    DEPTHS = [1, 4, 12]
    TWINS = {
        (block_class.__name__, blocks): train_twin(block_class, blocks)
        for block_class in (Plain, Residual)
        for blocks in DEPTHS
    }
    same_weights = [
        torch.equal(a, b)
        for a, b in zip(
            build_net(Plain, 4).parameters(), build_net(Residual, 4).parameters(), strict=True
        )
    ]
    assert all(same_weights), "both variants start with the same weights"
    depth = show.slider(DEPTHS, 12)
    return DEPTHS, TWINS, depth


@app.cell
def _(TWINS, depth):
    def draw_twins(blocks):
        def smooth(losses):
            return np.convolve(losses, np.ones(5) / 5, "valid")

        def draw(figure):
            axis = figure.subplots()
            for type_name, colour, label in (
                ("Plain", show.OTHER, "without"),
                ("Residual", show.MODEL, "with shortcuts"),
            ):
                losses, accuracy = TWINS[type_name, blocks]
                line = smooth(losses)
                axis.plot(np.arange(len(line)) + 3, line, color=colour, lw=2.2)
                axis.text(
                    41,
                    line[-1],
                    f"{label}\n{accuracy:.0%} accuracy",
                    color=colour,
                    va="center",
                    fontsize=9,
                    weight="bold",
                )
            axis.set(xlim=(0, 40), ylim=(0, 3.4), xlabel="steps of training")
            layers = 2 + 2 * blocks
            axis.set_title(f"training loss, {layers} layers")
            axis.margins(0)

        alt = ", ".join(
            f"{type_name}: {TWINS[type_name, blocks][1]:.0%} accuracy"
            for type_name in ("Plain", "Residual")
        )
        return show.figure(draw, f"{blocks} blocks after 40 steps. {alt}", (5.0, 2.9))

    show.InteractiveFigure(draw_twins, {"blocks": depth})
    return


@app.cell
def _(DEPTHS, TWINS):
    FINAL_LOSS = {key: float(np.mean(losses[-10:])) for key, (losses, _) in TWINS.items()}
    deepest, shallow = DEPTHS[-1], DEPTHS[0]
    assert FINAL_LOSS["Plain", deepest] > FINAL_LOSS["Residual", deepest] + 0.5, (
        "without shortcuts the loss of a deep network stays high"
    )
    assert abs(FINAL_LOSS["Plain", shallow] - FINAL_LOSS["Residual", shallow]) < 0.3, (
        "in a shallow network the shortcut hardly matters"
    )
    assert FINAL_LOSS["Plain", deepest] > FINAL_LOSS["Plain", 4] - 0.05, (
        "without shortcuts more layers do not lower the training loss"
    )
    assert FINAL_LOSS["Residual", deepest] < FINAL_LOSS["Residual", shallow] - 0.3, (
        "with shortcuts they do"
    )
    show.claim(
        "With shortcuts depth helps; without them the same blocks, weights and steps do worse.",
        f"training loss of {2 + 2 * deepest} layers {FINAL_LOSS['Residual', deepest]:.2f} with and "
        f"{FINAL_LOSS['Plain', deepest]:.2f} without shortcuts; of {2 + 2 * shallow} layers "
        f"{FINAL_LOSS['Residual', shallow]:.2f} and {FINAL_LOSS['Plain', shallow]:.2f}.",
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - A network is a chain of blocks that trade positions for channels. Its head produces the
      prediction: a class, a class per pixel, or boxes.

    - Weights fill memory, multiply-adds take time. Look at both.

    - An addition made depth work. Nearly every network since then has it, including those that
      write text.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", 2012. Simonyan and Zisserman, "Very deep convolutional networks", 2015. He, Zhang,
    Ren and Sun, "Deep residual learning", 2016. Ronneberger, Fischer and Brox, "U-Net", 2015.
    Redmon, Divvala, Girshick and Farhadi, "You only look once", 2016. For images of up to 64
    pixels, foveate gives the classic networks a smaller first layer, as He et al. did.
    """)
    return


@app.cell(hide_code=True)
def _(BLOCKS, draw_blocks):
    poster = show.figure(
        lambda figure: draw_blocks(figure.subplots(), BLOCKS["U-Net"], 4),
        "The U-Net, block by block",
        (4.6, 2.4),
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
