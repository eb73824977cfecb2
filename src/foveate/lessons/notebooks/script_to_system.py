"""Lesson 12: From a script to a system

Forty lines train a network. Nine more steps make its result trustworthy, and each shows what it
caught.
"""

import marimo

app = marimo.App(app_title="From a script to a system", css_file="style.css")

with app.setup:
    import contextlib
    import re
    import tempfile
    import time
    from pathlib import Path

    import marimo as mo
    import numpy as np
    import torch

    import foveate as fv
    from foveate.audit import audit
    from foveate.data.cache import decoding
    from foveate.experiment import evaluate, test_split
    from foveate.lessons import drawings as show
    from foveate.lessons.training import (
        RecordingReporter,
        accuracy_score,
        load_digits,
        make_dataset,
        to_tensor,
    )
    from foveate.models.model import VisionModel
    from foveate.training import checkpoint


@app.cell(hide_code=True)
def _():
    mo.md("""
    # From a script to a system

    Everybody's first network is a script like this one. Load, normalise, shuffle, train, print the
    accuracy, save. It works, and it reports a fine number.

    Is the number correct? Read the script, and count what could go wrong.
    """)
    return


@app.cell(hide_code=True)
def _():
    SCRIPT = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.from_numpy(images).float()[:, None]
y = torch.from_numpy(labels)
x = (x - x.mean()) / x.std()

order = torch.randperm(len(x))
test, train = order[:100], order[100:]

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 2 * 2, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))

net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
best = 0.0
for epoch in range(12):
    for rows in train[torch.randperm(len(train))].split(32):
        loss = F.cross_entropy(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (net(x[test]).argmax(1) == y[test]).float().mean().item()
    print(f"epoch {epoch + 1}: accuracy {accuracy:.1%}")
    if accuracy > best:
        best = accuracy
        torch.save(net.state_dict(), folder / "net.pt")
print(f"best: {best:.1%}")
""".strip()
    style = "white-space: pre; overflow-x: auto; overflow-wrap: normal; font-size: 13px"
    show.html(
        f'<div class="terminal"><pre style="{style}"><code>{show.escape(SCRIPT)}</code></pre></div>'
    )
    return (SCRIPT,)


@app.cell
def _(SCRIPT):
    images, labels = load_digits()
    copied = np.random.default_rng(0).permutation(300)[:200]
    darker = np.rint(0.85 * images[copied[100:]]).astype(np.uint8)
    # Two downloads that overlap: 300 digits, and copies of 200 of them, half of them a bit darker.
    all_images = np.concatenate([images[:300], images[copied[:100]], darker])
    all_labels = np.concatenate([labels[:300], labels[copied]])
    NEW_IMAGES, NEW_TARGET = images[500:], torch.from_numpy(labels[500:])

    def run_script(all_images, labels):
        """Run the script above; return what it prints, its variables and its processor time."""
        printed = []
        with tempfile.TemporaryDirectory() as folder:
            namespace = {
                "images": all_images,
                "labels": labels,
                "folder": Path(folder),
                "print": printed.append,
            }
            started = time.process_time()
            exec(compile(SCRIPT, "script", "exec"), namespace)
            seconds = time.process_time() - started
            namespace["net"].load_state_dict(torch.load(Path(folder) / "net.pt"))
        return printed, namespace, seconds

    def actual_accuracy(namespace, normalised=True):
        """The accuracy of its best weights on 1,297 digits that no training in this lesson uses."""
        x = to_tensor(NEW_IMAGES).float()
        training_images = torch.from_numpy(namespace["images"]).float()
        return accuracy_score(
            namespace["net"],
            (x - training_images.mean()) / training_images.std() if normalised else x,
            NEW_TARGET,
        )

    PRINTED, FIRST_RUN, SECONDS = run_script(all_images, all_labels)
    REPORTED, ACTUAL = FIRST_RUN["best"], actual_accuracy(FIRST_RUN)
    show.html(show.terminal("python script.py", "\n".join([*PRINTED[:2], "…", *PRINTED[-2:]])))
    return (
        FIRST_RUN,
        NEW_IMAGES,
        REPORTED,
        SECONDS,
        ACTUAL,
        NEW_TARGET,
        all_labels,
        all_images,
        run_script,
        actual_accuracy,
    )


@app.cell(hide_code=True)
def _(REPORTED, ACTUAL):
    mo.md(f"""
    **{REPORTED:.0%}.** We held out 1,297 other digits that the script never saw. On these, the
    accuracy of its best weights is **{ACTUAL:.0%}**.

    Where did {100 * (REPORTED - ACTUAL):.0f} points go? Let us grow the script, one step at a
    time, into what foveate does, and see what each step catches.
    """)
    return


@app.cell
def _(NEW_IMAGES, NEW_TARGET, all_labels, all_images, run_script, actual_accuracy):
    joined = make_dataset(all_images, all_labels)
    surveyed = decoding.survey(joined)
    audited = audit(surveyed.dataset, surveyed.hashes, surveyed.image_stats)
    COPIES = len(all_images) - len(set(audited.duplicates.clusters.tolist()))
    WARNINGS = [
        (group.check, group.samples, group.findings[0])
        for group in audited.groups
        if any(word in group.check for word in ("twice", "nearly", "duplicate"))
    ]
    # Keep one image of each cluster of duplicates.
    kept_indices = np.sort(np.unique(audited.duplicates.clusters, return_index=True)[1])
    _, CLEAN_RUN, _ = run_script(all_images[kept_indices], all_labels[kept_indices])
    clean = make_dataset(all_images[kept_indices], all_labels[kept_indices])
    SETTINGS = {"model": "tiny_cnn", "epochs": 12, "batch_size": 32}

    class PowerCut(Exception):
        """A simulated power cut."""

    class PowerCutReporter(RecordingReporter):
        """Stops the run in the middle, without warning."""

        @contextlib.contextmanager
        def training(self, *_):
            def tick(progress, *_):
                if progress.step == CUT_STEP:
                    raise PowerCut

            yield tick

    CUT_STEP = 50
    with tempfile.TemporaryDirectory() as _folder:
        folder = Path(_folder)
        recorder = RecordingReporter()
        plain = fv.train(clean, out=folder / "plain", augment="none", reporter=recorder, **SETTINGS)
        system = fv.train(clean, out=folder / "system", **SETTINGS)
        with contextlib.suppress(PowerCut):
            fv.train(
                clean,
                out=folder / "killed",
                save_seconds=0.05,
                reporter=PowerCutReporter(),
                **SETTINGS,
            )
        _, state = checkpoint.read(folder / "killed" / "last.safetensors")
        RESUMED_FROM = state["progress"]["step"]
        resumed = fv.resume(
            fv.Run(folder / "killed", fv.Run.open(folder / "killed").settings, clean)
        )
        weights, resumed_weights = (checkpoint.read(run.weights)[0] for run in (system, resumed))
        SAME_BITS = (
            all(torch.equal(value, resumed_weights[name]) for name, value in weights.items())
            and weights.keys() == resumed_weights.keys()
        )
        LOSSES = [(row["step"], row["train_loss"]) for row in resumed.curves]
        FIRST_TEST = system.test()
        test_recorder = RecordingReporter()
        SECOND_TEST, LEDGER_ENTRIES = (
            test_split.test(system, reporter=test_recorder),
            len(system.ledger.entries),
        )
        LEDGER_MESSAGE = test_recorder.lines[-1]
        RESULTS = plain.results
        report_html = system.report_path.read_text("utf-8")
        FILES = {path.name: path.stat().st_size for path in sorted(system.path.iterdir())}
        nets = {"without": plain.load()[1], "with": system.load()[1]}
        N_REQUESTS = len(
            re.findall(r"""(?:src|href)=["'](?!#|data:)|url\((?!#|["']?data:)""", report_html)
        )

    shifted_images = [
        np.roll(np.pad(NEW_IMAGES, ((0, 0), (1, 1), (1, 1))), by, (1, 2))[:, 1:-1, 1:-1]
        for by in ((0, 1), (0, -1), (1, 0), (-1, 0))
    ]
    SHIFTED = {
        name: float(
            np.mean(
                [accuracy_score(net, to_tensor(digits), NEW_TARGET) for digits in shifted_images]
            )
        )
        for name, net in nets.items()
    }
    CENTRED = {
        name: accuracy_score(net, to_tensor(NEW_IMAGES), NEW_TARGET) for name, net in nets.items()
    }

    REPORTED_CLEAN, ACTUAL_CLEAN = CLEAN_RUN["best"], actual_accuracy(CLEAN_RUN)
    return (
        LEDGER_MESSAGE, SAME_BITS, COPIES, FILES, FIRST_TEST, RESUMED_FROM, N_REQUESTS, LOSSES,
        SHIFTED, LEDGER_ENTRIES, RESULTS, SECOND_TEST, CENTRED, REPORTED_CLEAN, ACTUAL_CLEAN,
        WARNINGS, recorder,
    )  # fmt: skip


@app.cell
def _():
    STEPS = [
        "the script", "find duplicates", "split first", "a baseline", "stored normalisation",
        "augmentation", "seed and resume", "intervals", "test once", "a report",
    ]  # fmt: skip
    step = show.slider(range(1, len(STEPS) + 1), 1)
    return STEPS, step


@app.cell
def _(
    LEDGER_MESSAGE, COPIES, FILES, FIRST_RUN, FIRST_TEST, RESUMED_FROM, LOSSES, SHIFTED, RESULTS,
    STEPS, CENTRED, REPORTED, REPORTED_CLEAN, SECONDS, ACTUAL, ACTUAL_CLEAN, WARNINGS, recorder,
    step, actual_accuracy,
):  # fmt: skip
    UNNORMALISED = actual_accuracy(FIRST_RUN, normalised=False)
    VALID, BASE = RESULTS["valid"]["accuracy"], RESULTS["baseline"]["valid"]
    TEST = FIRST_TEST["accuracy"]

    def bars(rows, title):
        """Draw accuracies as bars. rows: (label, accuracy, colour)"""

        def draw(figure):
            axis = figure.subplots()
            axis.barh(
                range(len(rows)),
                [row[1] for row in rows],
                color=[row[2] for row in rows],
                height=0.66,
            )
            for index, (_, value, colour) in enumerate(rows):
                axis.text(
                    1.02,
                    index,
                    f"{value:.1%}",
                    va="center",
                    weight="bold",
                    color=colour if colour != show.LINE else show.INK,
                )
            axis.set(
                xlim=(0, 1.2),
                ylim=(len(rows) - 0.4, -0.6),
                xticks=[],
                yticks=range(len(rows)),
                yticklabels=[row[0] for row in rows],
            )
            axis.grid(visible=False)
            axis.set_title(title)

        return show.figure(
            draw, "; ".join(f"{label}: {value:.1%}" for label, value, _ in rows), (4.8, 1.9)
        )

    def draw_resumed(figure):
        axis = figure.subplots()
        at, loss = zip(*LOSSES, strict=True)
        axis.plot(at, loss, "o-", color=show.MODEL, ms=5, lw=2)
        axis.axvline(RESUMED_FROM, color=show.OTHER, lw=2, ls=(0, (4, 2)))
        axis.text(
            RESUMED_FROM + 2,
            max(loss) * 0.9,
            f"resumed from step {RESUMED_FROM}",
            color=show.OTHER,
            weight="bold",
        )
        axis.set(ylim=(0, None), xlabel="steps")
        axis.set_title("training loss of the resumed run")

    def draw_interval(figure):
        axis = figure.subplots()
        axis.plot(
            [TEST["low"], TEST["high"]],
            [0, 0],
            color=show.MODEL,
            lw=9,
            solid_capstyle="round",
            alpha=0.45,
        )
        axis.plot(TEST["value"], 0, "o", color=show.MODEL, ms=12)
        axis.plot(CENTRED["with"], 0, "D", color=show.OTHER, ms=9)
        axis.text(
            CENTRED["with"],
            -0.5,
            "1,297 new digits",
            color=show.OTHER,
            ha="center",
            va="top",
            weight="bold",
        )
        axis.text(
            TEST["value"],
            0.45,
            f"{TEST['n']} test digits",
            color=show.MODEL,
            ha="center",
            weight="bold",
        )
        axis.set(xlim=(min(TEST["low"], CENTRED["with"]) - 0.04, 1.01), ylim=(-1.3, 1.1), yticks=[])
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set_title(f"{TEST['value']:.1%}, 95% interval {TEST['low']:.0%} to {TEST['high']:.0%}")

    audit_output = "\n".join(
        f"! {check}: {count} samples, e.g. {', '.join(first.ids[:2])}"
        for check, count, first in WARNINGS
    )
    split_output = next(line for line in recorder.lines if "train," in line)
    LIFT = RESULTS["lift"]["valid"]["accuracy"]
    BASELINES = ("nearest neighbour", "logistic regression", "majority class")
    PANELS = {
        1: (
            "x = (x - x.mean()) / x.std()\norder = torch.randperm(len(x))\n"
            "test, train = order[:100], order[100:]",
            bars(
                [("reported", REPORTED, show.OTHER), ("on new digits", ACTUAL, show.MODEL)],
                "accuracy",
            ),
            f"{SECONDS:.1f} seconds of processor time, and a result that is "
            f"{100 * (REPORTED - ACTUAL):.0f} points too good. The script cannot know.",
        ),
        2: (
            "",
            show.terminal("foveate audit digits", audit_output)
            + '<div style="height: 14px"></div>'
            + bars(
                [
                    ("reported", REPORTED_CLEAN, show.OTHER),
                    ("on new digits", ACTUAL_CLEAN, show.MODEL),
                ],
                "accuracy without copies",
            ),
            f"{COPIES} of the 500 images were duplicates: two downloads overlapped, and the "
            "shuffle put copies into both splits. We keep one of each. "
            "The same script now reports a lower accuracy, and it is closer to the actual one.",
        ),
        3: (
            "",
            show.terminal('run = fv.train("digits")', split_output),
            "foveate makes three splits before anything else. "
            f"The best epoch (number {RESULTS['best_epoch']:.0f} of {RESULTS['epochs']:.0f}) is "
            "chosen on the validation split. The mean and standard deviation come from the train "
            "split alone. The test split is locked.",
        ),
        4: (
            show.source_line(evaluate, '["lift"]['),
            bars(
                [
                    ("network", VALID["value"], show.MODEL),
                    *((name, BASE[name]["accuracy"]["value"], show.LINE) for name in BASELINES),
                ],
                "accuracy on the validation split",
            ),
            "Sobering: <i>nearest neighbour</i>, which learns nothing at all, reaches "
            f"{BASE['nearest neighbour']['accuracy']['value']:.0%}. A network has to beat that, "
            f"not 10%. The lift of this one: {100 * LIFT['value']:+.0f} points "
            f"({100 * LIFT['low']:+.0f} to {100 * LIFT['high']:+.0f}).",
        ),
        5: (
            show.source_line(VisionModel.normalise, "return ("),
            bars(
                [
                    ("script, as trained", ACTUAL, show.LINE),
                    ("script, not normalised", UNNORMALISED, show.OTHER),
                    ("foveate, raw images", CENTRED["without"], show.MODEL),
                ],
                "accuracy on new digits",
            ),
            "The script's weights work only with its line of normalisation, and with exactly that "
            "mean. Without the line the predictions are wrong, and no error is raised. foveate "
            "stores the mean and standard deviation with the weights, and the network takes images "
            "as they are.",
        ),
        6: (
            'fv.train("digits", augment="auto")   # the augmentation is chosen from the data',
            bars(
                [
                    ("without", SHIFTED["without"], show.OTHER),
                    ("with augmentation", SHIFTED["with"], show.MODEL),
                ],
                "accuracy on digits shifted by one pixel",
            ),
            "Each image is shifted by up to a pixel each time it is used. Digits are not mirrored: "
            "a mirrored 3 is not a 3. On digits that are not shifted: "
            f"{CENTRED['without']:.1%} without augmentation, {CENTRED['with']:.1%} with it.",
        ),
        7: (
            'run = fv.resume("runs/digits")   # after the power cut',
            show.figure(
                draw_resumed,
                f"The loss of a run that stopped after step {RESUMED_FROM} and was resumed",
                (4.8, 2.2),
            ),
            "An error stopped the run in the middle. It was resumed from the last checkpoint, "
            f"at step {RESUMED_FROM}. Every weight equals that of the uninterrupted run, to the "
            "last bit. Randomness is a function of the seed, the epoch and the image, so there is "
            "no random state to lose.",
        ),
        8: (
            show.source_line(evaluate, " = resample("),
            show.figure(
                draw_interval,
                f"{TEST['value']:.1%}, 95% interval {TEST['low']:.1%} to {TEST['high']:.1%}",
                (4.8, 2.0),
            ),
            f"{TEST['n']} images are few, and the interval shows it. It can be compared with the "
            f"accuracy on 1,297 new digits ({CENTRED['with']:.1%}).",
        ),
        9: (
            "",
            show.terminal("run.test()\nrun.test()   # just once more …", LEDGER_MESSAGE),
            "The test split is opened once, after every decision is made: "
            f"{TEST['value']:.1%}. The script looked at it twelve times, and kept the best.",
        ),
        10: (
            "",
            show.terminal(
                "ls runs/digits",
                "\n".join(f"{size / 1000:7.1f} kB  {name}" for name, size in FILES.items()),
            ),
            "The folder records the whole run: settings, split, curves, metrics, every prediction, "
            "and a report that is a single page and loads nothing.",
        ),
    }

    def draw_step(step):
        code, content, explanation = PANELS[step]
        dots = "".join(
            '<span style="flex: 1; height: 8px; border-radius: 4px; '
            f'background: var(--{"model" if index < step else "line"})"></span>'
            for index in range(len(STEPS))
        )
        return (
            '<div style="display: flex; gap: 4px; margin-bottom: 12px" aria-hidden="true">'
            f"{dots}</div>"
            '<p style="font-size: 20px; font-weight: 650; margin-bottom: 10px">'
            f"{step}. {STEPS[step - 1].capitalize()}</p>"
            + (
                '<div class="terminal" style="margin-bottom: 14px">'
                f"<pre><code>{show.escape(code)}</code></pre></div>"
                if code
                else ""
            )
            + f"{content}{show.caption(explanation)}"
        )

    show.InteractiveFigure(draw_step, {"step": step})
    return (UNNORMALISED,)


@app.cell
def _(SAME_BITS, COPIES, RESUMED_FROM, REPORTED, REPORTED_CLEAN, ACTUAL, ACTUAL_CLEAN):
    assert REPORTED > ACTUAL + 0.015, "the script reports too high an accuracy"
    assert COPIES >= 190, "nearly all of the 200 copies are found"
    assert abs(REPORTED_CLEAN - ACTUAL_CLEAN) < REPORTED - ACTUAL, (
        "without the copies the report is closer to the actual accuracy"
    )
    assert RESUMED_FROM > 0, "the run was stopped in the middle"
    assert SAME_BITS, "the resumed run ends with the same bits"
    show.claim(
        "Copies inflate the script's accuracy. foveate finds them. "
        "A resumed run ends with the same bits.",
        f"{REPORTED:.1%} reported and {ACTUAL:.1%} actual, without copies {REPORTED_CLEAN:.1%} and "
        f"{ACTUAL_CLEAN:.1%}; {COPIES} of 200 copies found; resumed from step {RESUMED_FROM} "
        "with equal weights.",
    )
    return


@app.cell
def _(FIRST_TEST, N_REQUESTS, SHIFTED, LEDGER_ENTRIES, SECOND_TEST, CENTRED, ACTUAL, UNNORMALISED):
    assert UNNORMALISED < ACTUAL - 0.02, (
        "without their normalisation the weights predict worse, and raise no error"
    )
    assert SHIFTED["with"] > SHIFTED["without"] + 0.02, "augmentation helps with shifted digits"
    assert SECOND_TEST == FIRST_TEST, "a second test returns the first result"
    assert LEDGER_ENTRIES == 1, "the test split was opened once"
    assert N_REQUESTS == 0, "the report loads nothing"
    low, high = FIRST_TEST["accuracy"]["low"], FIRST_TEST["accuracy"]["high"]
    assert low - 0.03 <= CENTRED["with"] <= high + 0.03, (
        "the accuracy on new digits lies within the interval, or at its edge"
    )
    show.claim(
        "The system's result can be trusted: its interval fits the accuracy on new digits.",
        f"test {FIRST_TEST['accuracy']['value']:.1%} ({low:.1%} to {high:.1%}), "
        f"new digits {CENTRED['with']:.1%}; shifted by a pixel {SHIFTED['without']:.0%} without "
        f"and {SHIFTED['with']:.0%} with augmentation; without normalisation {UNNORMALISED:.0%}.",
    )
    return


@app.cell(hide_code=True)
def _(SCRIPT):
    show.formula(
        f"{len(SCRIPT.splitlines())} lines that you check yourself,<br>or 3 that are checked",
        'run = fv.train("digits")\nrun.test()\nrun.predict("x.png")',
    )
    return


@app.cell(hide_code=True)
def _():
    mo.md("""
    ## What you saw

    - No line of the script is wrong. Each of them is in every tutorial. What it lacks is the
      checks.

    - Most steps do not make the network better. They make the *metric* correct, and that is worth
      more.

    - None of the steps is hard. But on a Friday evening it is easy to forget one. So let a program
      do them.

    LeCun, Cortes and Burges, "The MNIST database", 1998. Kapoor and Narayanan, "Leakage and the
    reproducibility crisis in machine-learning-based science", 2023. Efron and Tibshirani, *An
    introduction to the bootstrap*, 1993. Barz and Denzler, "Do we train on test data?", 2020, who
    found copies across the splits of CIFAR.
    """)
    return


@app.cell(hide_code=True)
def _(STEPS):
    def draw_poster(figure):
        axis = figure.subplots()
        for index, label in enumerate(STEPS):
            colour = show.OTHER if index == 0 else show.MODEL
            axis.barh(
                index,
                3.6 + 0.72 * index,
                left=0,
                color=colour,
                height=0.82,
                alpha=1 if index in (0, 9) else 0.75,
            )
            axis.text(
                0.15,
                index,
                label if index == 0 else f"+ {label}",
                va="center",
                color="#ffffff",
                fontsize=10,
                weight="bold",
            )
        axis.set(xlim=(0, 10.2), ylim=(9.6, -0.6))
        axis.axis("off")

    poster = show.figure(
        draw_poster, "A script, and the nine steps that make it a system", (4.4, 2.6)
    )
    return (poster,)


if __name__ == "__main__":
    app.run()
