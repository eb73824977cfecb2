"use strict";
// What a page does beyond showing its contents: images large and zoomed, filters, a slider for the
// confidence threshold, cells that show their images, sorted tables. Without it all contents are there.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (tag, values = {}, ...children) => {
  const one = Object.assign(document.createElement(tag), values);
  one.append(...children);
  return one;
};
const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)}%` : "–");

// --- the dialog: images of a gallery or of a cell, one large at a time

const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
const heading = make("h2", { id: "viewer-title" });
const detail = make("p", { className: "aside" });
const view = make("div", { className: "view", tabIndex: 0 });
view.setAttribute("role", "group");
view.setAttribute("aria-label", "Image; arrow keys move it when it is zoomed");
const place = make("span", { className: "place" });
place.setAttribute("aria-live", "polite");
const button = (text, label, action) => {
  const one = make("button", { type: "button", textContent: text, onclick: action });
  if (label !== text) one.setAttribute("aria-label", label);
  return one;
};
const previous = button("←", "Previous image", () => show(current - 1));
const next = button("→", "Next image", () => show(current + 1));
const smaller = button("−", "Zoom out", () => zoomTo(zoom - 1));
const larger = button("+", "Zoom in", () => zoomTo(zoom + 1));
const switches = make("span", { className: "switches" });
const viewer = make(
  "dialog", { className: "viewer" },
  make("div", { className: "bar" }, heading, button("×", "Close", () => viewer.close())),
  detail, view,
  make("div", { className: "tools" }, previous, place, next, smaller, larger, switches),
);
viewer.setAttribute("aria-labelledby", heading.id);
document.body.append(viewer);

let figures = [], current = 0, zoom = 0, missing = "";

// `note` says how many images there are of which `list` are those on the page.
function open(list, index, note = "") {
  figures = list;
  missing = note;
  const gallery = list[index].closest(".gallery");
  const tools = gallery.closest(".content").querySelector(".tools");
  switches.replaceChildren();
  view.className = `view ${[...gallery.classList].filter((name) => name.startsWith("hide-")).join(" ")}`;
  for (const one of tools ? all("[data-switch]", tools) : []) {
    const box = make("input", { type: "checkbox", checked: one.checked });
    box.onchange = () => {
      view.classList.toggle(`hide-${one.dataset.switch}`, !box.checked);
      uncover(view);
    };
    switches.append(make("label", {}, box, one.parentElement.textContent.trim()));
  }
  show(index);
  viewer.showModal();
}

function show(index) {
  current = (index + figures.length) % figures.length;
  const figure = figures[current];
  const stage = figure.querySelector(".stage").cloneNode(true);
  heading.textContent = figure.querySelector("img").alt;
  detail.textContent = [figure.querySelector("small")?.textContent, missing].filter(Boolean).join(" · ");
  place.textContent = figures.length > 1 ? `${current + 1} of ${figures.length}` : "";
  previous.hidden = next.hidden = figures.length < 2;
  const { naturalWidth: width, naturalHeight: height } = figure.querySelector("img");
  stage.style.setProperty("--ratio", width / height || 1);
  view.replaceChildren(stage);
  sizes.disconnect();
  [...named, stage].forEach((one) => sizes.observe(one));
  zoomTo(0);
}

function zoomTo(step) {
  const before = ZOOMS[zoom];
  zoom = Math.max(0, Math.min(ZOOMS.length - 1, step));
  const factor = ZOOMS[zoom] / before;
  const middle = [view.scrollLeft + view.clientWidth / 2, view.scrollTop + view.clientHeight / 2];
  view.style.setProperty("--zoom", ZOOMS[zoom]);
  view.scrollTo(middle[0] * factor - view.clientWidth / 2, middle[1] * factor - view.clientHeight / 2);
  smaller.disabled = zoom === 0;
  larger.disabled = zoom === ZOOMS.length - 1;
}

viewer.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const moves = zoom > 0 && event.target === view;
  if (event.key === "ArrowLeft" && !moves) show(current - 1);
  else if (event.key === "ArrowRight" && !moves) show(current + 1);
  else if (event.key === "+" || event.key === "=") zoomTo(zoom + 1);
  else if (event.key === "-") zoomTo(zoom - 1);
  else if (event.key === "0") zoomTo(0);
  else return;
  event.preventDefault();
});
view.addEventListener("dblclick", () => zoomTo(zoom ? 0 : 2));
viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());

for (const stage of all("figure .stage")) {
  const figure = stage.closest("figure");
  const opener = make("button", { type: "button", className: "open" });
  opener.setAttribute("aria-label", `Show large: ${stage.querySelector("img").alt}`);
  stage.before(opener);
  opener.append(stage);
  opener.onclick = () => {
    const shown = all("figure", figure.closest(".content")).filter((one) => !one.hidden);
    open(shown, shown.indexOf(figure));
  };
}

// --- names over an image, of which none covers another: the first stays

const GAP = 8; // pixels between two names, through which the image is seen
const isApart = (one, other) =>
  one.right + GAP <= other.left || other.right + GAP <= one.left ||
  one.bottom + GAP <= other.top || other.bottom + GAP <= one.top;
function uncover(stage) {
  const names = all(".names b", stage);
  const boxes = names.map((one) => one.getBoundingClientRect()), kept = [];
  names.forEach((one, index) => {
    const box = boxes[index], fits = kept.every((other) => isApart(box, other));
    one.classList.toggle("covered", !fits);
    if (fits && box.width) kept.push(box);
  });
}
const sizes = new ResizeObserver((changes) => changes.forEach(({ target }) => uncover(target)));
const named = all("figure .stage").filter((stage) => stage.querySelector(".names b"));
named.forEach((stage) => sizes.observe(stage));
const uncoverAll = () => named.filter((stage) => stage.offsetWidth).forEach(uncover);

// --- filters and switches of a gallery

for (const tools of all(".content > .tools")) {
  const content = tools.parentElement, items = all("figure", content), rest = content.querySelector("details.more");
  tools.hidden = false;
  const filters = all("select", tools);
  const apply = () => {
    for (const item of items) {
      item.hidden = filters.some(({ value, dataset }) =>
        value && !(item.dataset[dataset.filter] ?? "").split(" ").includes(value));
    }
    const count = items.filter((item) => !item.hidden).length, filtered = filters.some(({ value }) => value);
    tools.querySelector("output").textContent = filtered ? `${count} of ${items.length}` : "";
    if (rest && filtered) rest.open = true;
  };
  for (const filter of filters) filter.onchange = apply;
  for (const box of all("[data-switch]", tools)) {
    box.onchange = () => {
      for (const gallery of all(".gallery", content)) gallery.classList.toggle(`hide-${box.dataset.switch}`, !box.checked);
      uncoverAll();
    };
    box.onchange();
  }
}

// --- the confidence threshold

for (const tool of all(".threshold")) {
  tool.hidden = false;
  const curves = JSON.parse(tool.dataset.curves), range = tool.querySelector("input"), choice = tool.querySelector("select");
  const output = tool.querySelector("output"), thresholds = new Map(curves.map((one) => [one.label, one.threshold]));
  const moved = new Map(); // the steps of classes whose threshold was moved
  const shapes = all("[data-score]").map((shape) => [shape, shape.matches(".low")]);
  const update = () => {
    const some = choice?.value ? curves.filter(({ label }) => `${label}` === choice.value) : curves;
    const values = [...new Set(some.map(({ label }) => (moved.has(label) ? moved.get(label) / 100 : thresholds.get(label)).toFixed(2)))];
    output.textContent = values.length > 1 ? "as chosen for each class" : values[0];
    range.setAttribute("aria-valuetext", output.textContent);
    if (values.length === 1) range.value = Math.round(100 * values[0]);
    let predicted = 0, correct = 0, objects = 0;
    for (const one of some) {
      const step = moved.get(one.label) ?? 101;
      predicted += one.predicted[step];
      correct += one.correct[step];
      objects += one.objects;
    }
    const rates = {
      precision: percent(correct / predicted), recall: percent(correct / objects),
      f1: percent((2 * correct) / (predicted + objects)), correct, extra: predicted - correct, missed: objects - correct,
    };
    for (const one of all("[data-rate]", tool)) one.textContent = rates[one.dataset.rate].toLocaleString("en");
    for (const [shape, low] of shapes) {
      const step = moved.get(Number(shape.dataset.label));
      shape.classList.toggle("low", step === undefined ? low : Number(shape.dataset.score) < step / 100);
    }
    uncoverAll();
  };
  range.oninput = () => {
    for (const { label } of curves) if (!choice?.value || `${label}` === choice.value) moved.set(label, Number(range.value));
    update();
  };
  if (choice) choice.onchange = update;
  tool.querySelector("button").onclick = () => {
    moved.clear();
    update();
  };
  range.value = 50;
  update();
}

// --- cells of the confusion matrix that show their images

for (const cell of all("[data-cell]")) {
  const images = () => all("figure[data-cells]").filter((one) => one.dataset.cells.split(" ").includes(cell.dataset.cell));
  if (!images().length) continue;
  const opener = make("button", { type: "button" }, ...cell.childNodes);
  const count = images().length, total = Number(cell.dataset.images ?? count);
  const some = count < total ? `${count} of ${total.toLocaleString("en")} images` : count === 1 ? "an image" : `${count} images`;
  opener.setAttribute("aria-label", `${cell.title || cell.textContent}. Show ${some}`);
  opener.onclick = () => open(images(), 0, count < total ? `shown on this page: ${some}` : "");
  cell.append(opener);
}

// --- tables and charts that are wider than the page say so

const edges = (one) => {
  const rest = one.scrollWidth - one.clientWidth - one.scrollLeft;
  one.classList.toggle("more-left", one.scrollLeft > 1);
  one.classList.toggle("more-right", rest > 1);
  if (one.nextElementSibling?.matches(".more-note")) one.nextElementSibling.hidden = one.scrollWidth - one.clientWidth < 2;
};
const widths = new ResizeObserver((changes) => changes.forEach(({ target }) => edges(target)));
for (const one of all(".scroll")) {
  one.after(make("p", { className: "more-note", textContent: "Wider than the page: it scrolls sideways.", hidden: true }));
  one.onscroll = () => edges(one);
  widths.observe(one);
}

// --- tables sorted by a column

const numberIn = (text) => {
  const number = Number.parseFloat(text.replace(/[,%<>≥]/g, ""));
  return Number.isFinite(number) ? number : null;
};
for (const table of all(".scroll > table:not(.matrix)")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  all("thead th", table).forEach((head, column) => {
    const sorter = make("button", { type: "button", className: "sort" }, ...head.childNodes);
    head.append(sorter);
    sorter.onclick = () => {
      const before = head.getAttribute("aria-sort");
      const down = head.matches(".number") ? before !== "descending" : before === "ascending";
      for (const one of all("thead th", table)) one.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyOf = (text) => (text === "–" ? null : head.matches(".number") ? numberIn(text) : text);
      const rows = [...body.rows].map((row) => [row, keyOf(row.cells[column].textContent.trim())]);
      rows.sort(([, a], [, b]) => {
        if ((a === null) !== (b === null)) return a === null ? 1 : -1; // dashes last, either way
        const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
        return down ? -order : order;
      });
      body.append(...rows.map(([row]) => row));
    };
  });
}
