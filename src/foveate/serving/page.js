// The page of foveate serve: an image or words in, the prediction in place.

import * as marks from "/marks.js";

const $ = (id) => document.getElementById(id);
const LISTED = 100;
const FRAME = 110; // milliseconds that a step from noise to image is shown
const CROSS = 8; // pixels of an image of 256 that the cross moves by a key

let models = [], model = null, token = "";
let image = null; // {file, bitmap (null if the browser cannot read it), width, height, name}
let values = null, objects = [], layer = null, drawing = null;
let session = null, clicks = [], cross = null, cut = null;
let stages = [], player = 0;
let turn = 0; // the number of the latest request: the response to an earlier one is dropped

// --- the server

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    $("login").hidden = false;
    $("token").focus();
    throw new Error(token ? "This is not the token of the server." : "The token of the server is needed.");
  }
  const { error } = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  const wait = response.headers.get("retry-after");
  const refusal = new Error(sentence(error) + (wait ? ` Try again in ${wait} s.` : ""));
  throw Object.assign(refusal, { status: response.status });
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
const at = (path, more = "") => `${path}?model=${encodeURIComponent(model.name)}${more}`;
const json = (body) => ({ method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });

/** Do something that asks the server, tell how it goes, and drop it if something newer was begun. */
async function work(message, action) {
  const number = ++turn, start = performance.now();
  $("error").textContent = "";
  $("status").textContent = message;
  try {
    const done = await action(() => number === turn);
    if (number !== turn) return;
    const time = Math.round(performance.now() - start);
    $("status").textContent = done ? `${done} (${time} ms)` : "";
  } catch (error) {
    if (number !== turn) return;
    $("status").textContent = "";
    $("error").textContent = error.message;
  }
}

// --- models

async function load() {
  await work("Loading the model …", async () => {
    models = await (await ask("/models")).json();
    $("login").hidden = true;
    $("model").replaceChildren(...models.map(({ name }) => new Option(name)));
    $("choice").hidden = models.length < 2;
    choose(models[0]);
    return "";
  });
}

function choose(chosen) {
  model = chosen;
  document.title = `${model.name} · foveate`;
  $("name").textContent = model.name;
  $("task").textContent = model.description;
  $("words").hidden = !model.generates;
  $("source").hidden = model.generates;
  $("prompts").hidden = $("keys").hidden = true;
  $("canvas").classList.remove("prompted");
  $("canvas").removeAttribute("tabindex");
  $("canvas").setAttribute("role", "img");
  clear();
  showCard(model.card);
  if (model.generates) stage(false, "No image yet");
  else if (image) predict();
}

function clear() {
  clearInterval(player);
  values = layer = drawing = session = cross = cut = null;
  objects = [];
  clicks = [];
  stages = [];
  $("playing").hidden = $("threshold-field").hidden = true;
  $("list").replaceChildren();
  $("summary").textContent = "Nothing yet.";
  $("error").textContent = "";
}

function stage(shown, label) {
  $("canvas").hidden = !shown;
  $("empty").hidden = shown;
  $("stage").classList.toggle("full", shown);
  $("canvas").setAttribute("aria-label", label);
}

// --- an image

async function take(file, name) {
  if (!file || !model || model.generates) return;
  closeCamera();
  const number = ++turn;
  const bitmap = await createImageBitmap(file).catch(() => null); // TIFF and DICOM it cannot read
  if (number !== turn) return; // another image was chosen meanwhile
  image = { file, bitmap, name: name || file.name || "the image", width: bitmap?.width, height: bitmap?.height };
  clear();
  await (model.interactive ? encode() : predict());
}

async function predict() {
  if (model.interactive && !session) return encode();
  await work("Predicting …", async (current) => {
    const withMasks = model.maps ? "&masks=true" : "";
    const response = await ask(at("/predict", withMasks), { method: "POST", body: image.file });
    const got = await response.json();
    if (!current()) return "";
    values = got;
    cut = null;
    clicks = [];
    const map = got.masks?.[0];
    layer = map?.palette ? await marks.fromBase64(map.png) : null;
    if (!image.bitmap || (map && !layer)) {
      const drawn = await ask(at("/predict"), { method: "POST", body: image.file, headers: { accept: "image/png" } });
      drawing = await createImageBitmap(await drawn.blob());
    }
    if (!current()) return "";
    readObjects(map?.palette);
    show();
    return `${image.name}: ${countText(shownObjects())}`;
  });
}

/** The objects, classes or shares that a prediction names, as rows with a score and a colour. */
function readObjects(palette) {
  const listed = values.boxes || values.instances || [];
  const several = model.classes.length > 1;
  objects = listed.map((one, number) => ({
    text: one.class || `object ${number + 1}`,
    score: one.score ?? 1,
    box: one.box,
    mask: one.mask && image.bitmap ? marks.toMask(marks.decodeRuns(one.mask), image.width, image.height) : null,
    colour: colourOf(several && one.class ? model.classes.indexOf(one.class) : number),
  }));
  const parts = values.probabilities || values.shares;
  if (parts) {
    objects = Object.entries(parts).map(([text, score]) => ({
      text, score, part: true,
      colour: palette?.[model.classes.indexOf(text)] || null,
    }));
  }
  objects.sort((one, other) => other.score - one.score);
}

const colourOf = (index) => model.colours[index % model.colours.length];

/** Show the value of a slider, also to a screen reader. */
function setValue(slider, text) {
  $(`${slider}-value`).textContent = text;
  $(slider).setAttribute("aria-valuetext", text);
}

const chosenThreshold = () => Number($("threshold").value);

const shownObjects = () => objects.filter((one) => one.part || one.score >= chosenThreshold());

function show() {
  const found = Boolean(values?.boxes || values?.instances), shown = shownObjects();
  $("threshold-field").hidden = !found || !objects.length;
  setValue("threshold", percent(chosenThreshold(), 0));
  drawAll(shown);
  list(shown, found);
}

function drawAll(shown) {
  const canvas = $("canvas");
  if (!image) return;
  if (!image.bitmap && !drawing) return stage(false, "The browser cannot show this image");
  stage(true, label(shown));
  const scale = marks.drawImage(canvas, drawing || image.bitmap);
  if (drawing) return;
  const size = [image.width, image.height];
  if (layer) marks.overlay(canvas, layer, 0.55);
  const masked = shown.filter((one) => one.mask);
  if (masked.length) marks.drawMasks(canvas, size, masked.map((one) => one.mask), masked.map((one) => one.colour));
  const boxed = shown.filter((one) => one.box && !one.mask);
  const texts = boxed.map((one) => `${one.text} ${percent(one.score, 0)}`);
  marks.drawBoxes(canvas, scale, boxed.map((one) => one.box), boxed.map((one) => one.colour), texts);
  if (values?.class) marks.drawCaption(canvas, `${values.class} ${percent(values.probability)}`);
  if (cut) marks.drawMasks(canvas, size, [cut], [colourOf(0)]);
  if (model.interactive) {
    marks.drawClicks(canvas, scale, clicks, canvas.matches(":focus-visible") ? cross : null);
  }
}

function label(shown) {
  if (model.interactive && session) return `${image.name}: click on an object to cut it out`;
  return `${image.name}, with ${countText(shown)}`;
}

function countText(shown) {
  if (values?.class) return `the class ${values.class}`;
  if (values?.shares) return shown.map((one) => `${one.text} ${percent(one.score)}`).join(", ");
  const counts = new Map();
  const name = (one) => (model.classes.length > 1 ? one.text : "");
  for (const one of shown) counts.set(name(one), (counts.get(name(one)) || 0) + 1);
  const parts = [...counts].filter(([text]) => text).map(([text, count]) => `${count} ${text}`);
  return `${shown.length} ${shown.length === 1 ? "object" : "objects"}${parts.length ? `: ${parts.join(", ")}` : ""}`;
}

function list(shown, found) {
  if (cut) return;
  $("summary").textContent = values.class ? `${values.class} ${percent(values.probability)}` : sentence(countText(shown)).replace(/\.$/, "");
  if (values.shares) $("summary").textContent = "Share of each class";
  const rows = shown.slice(0, LISTED).map((one) => row(one));
  if (shown.length > LISTED) rows.push(more(`and ${shown.length - LISTED} more`));
  if (found && shown.length < objects.length) rows.push(more(`${objects.length - shown.length} below this confidence`));
  $("list").replaceChildren(...rows);
}

function row(one) {
  const item = document.createElement("li");
  const swatch = document.createElement("span"), text = document.createElement("span"), share = document.createElement("span");
  if (one.colour) {
    swatch.className = "swatch";
    swatch.style.background = `rgb(${one.colour.join(" ")})`;
  }
  text.textContent = one.text;
  share.className = "share";
  share.textContent = percent(one.score);
  item.append(swatch, text, share);
  if (one.part) {
    const track = document.createElement("span"), bar = document.createElement("i");
    track.className = "track";
    bar.style.width = percent(one.score);
    track.append(bar);
    item.append(track);
  }
  return item;
}

function more(text) {
  const item = document.createElement("li");
  item.className = "more";
  item.textContent = text;
  return item;
}

const percent = (value, digits = 1) => `${(100 * value).toFixed(digits)}%`;

// --- clicks

async function encode() {
  await work("Encoding the image …", async (current) => {
    const response = await ask(at("/encode"), { method: "POST", body: image.file });
    const got = await response.json();
    if (!current()) return "";
    session = got.session;
    image.width ??= got.width;
    image.height ??= got.height;
    cross = [Math.floor(image.width / 2) + 0.5, Math.floor(image.height / 2) + 0.5];
    const canvas = $("canvas");
    canvas.classList.add("prompted");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    $("prompts").hidden = $("keys").hidden = false;
    values = { instances: [] };
    $("summary").textContent = "Click on an object.";
    $("list").replaceChildren();
    drawAll([]);
    return `${image.name} is encoded: click on an object to cut it out`;
  });
}

async function click(x, y, inside) {
  if (!session) return;
  clicks = [...clicks, [x, y, inside]];
  await segment();
}

async function segment() {
  values = { instances: [] };
  objects = [];
  $("threshold-field").hidden = true;
  if (!clicks.length) {
    cut = null;
    turn++;
    $("summary").textContent = "Click on an object.";
    $("list").replaceChildren();
    drawAll([]);
    return;
  }
  drawAll([]);
  await work("Cutting out …", async (current) => {
    const asked = clicks;
    try {
      const response = await askAgain(() => ask(at("/click"), json({ session, clicks: asked, box: null })), current);
      if (!current()) return "";
      const [found] = (await response.json()).instances;
      if (!current()) return "";
      cut = marks.toMask(marks.decodeRuns(found.mask), image.width, image.height);
      $("summary").textContent = `An object of ${found.pixels.toLocaleString("en")} pixels`;
      $("list").replaceChildren(row({ text: "estimated overlap (IoU)", score: found.score, colour: colourOf(0) }));
      drawAll([]);
      return `${$("summary").textContent}, after ${asked.length} ${asked.length === 1 ? "click" : "clicks"}`;
    } catch (error) {
      if (current()) {
        clicks = asked.slice(0, -1);
        drawAll([]);
      }
      throw error;
    }
  });
}

/** Ask; if the server has dropped the encoded image since, encode it again and ask once more. */
async function askAgain(action, current) {
  try {
    return await action();
  } catch (error) {
    if (error.status !== 404 || !current()) throw error;
    $("status").textContent = "The server dropped the image: encoding it again …";
    const response = await ask(at("/encode"), { method: "POST", body: image.file });
    const got = await response.json();
    if (!current()) return response;
    session = got.session;
    return action();
  }
}

function pixelAt(event) {
  const frame = $("canvas").getBoundingClientRect();
  const place = (offset, length, count) => Math.min(count - 0.5, Math.max(0.5, Math.floor((offset / length) * count) + 0.5));
  return [
    place(event.clientX - frame.left, frame.width, image.width),
    place(event.clientY - frame.top, frame.height, image.height),
  ];
}

function press(event) {
  if (!session) return;
  const step = event.shiftKey ? 1 : Math.max(1, Math.round((CROSS * Math.max(image.width, image.height)) / 256));
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (moves[event.key]) {
    const bound = (value, count) => Math.min(count - 0.5, Math.max(0.5, value));
    cross = [bound(cross[0] + moves[event.key][0], image.width), bound(cross[1] + moves[event.key][1], image.height)];
    drawAll(shownObjects());
    $("status").textContent = `Column ${Math.floor(cross[0])}, row ${Math.floor(cross[1])}`;
  } else if (event.key === "Enter") click(...cross, true);
  else if (event.key.toLowerCase() === "o") click(...cross, false);
  else if (event.key === "Backspace") undo();
  else return;
  event.preventDefault();
}

function undo() {
  clicks = clicks.slice(0, -1);
  segment();
}

// --- words

async function generate(event) {
  event.preventDefault();
  clear();
  const text = $("text").value.trim();
  await work("Generating …", async (current) => {
    const body = { text, seed: Number($("seed").value) || 0, stages: true };
    const response = await ask(at("/generate"), json(body));
    const [encoded] = (await response.json()).images;
    const made = await Promise.all(encoded.map(marks.fromBase64));
    if (!current()) return "";
    stages = made;
    $("step").max = stages.length - 1;
    $("playing").hidden = false;
    $("summary").textContent = text;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    showStage(still ? stages.length - 1 : 0);
    if (!still) player = setInterval(() => showStage(Number($("step").value) + 1), FRAME);
    return `From noise to “${text}” in ${stages.length - 1} steps`;
  });
}

function showStage(number) {
  const last = stages.length - 1;
  if (number >= last) clearInterval(player);
  const shown = Math.min(number, last);
  $("step").value = shown;
  setValue("step", `${shown} of ${last}`);
  stage(true, shown === last ? `Generated: ${$("text").value}` : `Step ${shown} of ${last} from noise`);
  marks.drawImage($("canvas"), stages[shown]);
}

// --- the card

function showCard(card) {
  $("card").hidden = !card?.metric;
  if (!card?.metric) return;
  const { metric, baseline, data } = card, split = card.split === "test" ? "test" : "validation";
  $("headline").textContent = card.headline;
  $("verdict").textContent = card.verdict;
  $("verdict").className = `verdict ${card.tone}`;
  const rough = metric.rough ? "rough " : "";
  const ends = metric.low === null ? "" : `${rough}95% confidence interval ${percent(metric.low)} to ${percent(metric.high)}, ${metric.n} ${split} images`;
  const [train, valid, test] = ["train", "valid", "test"].map((one) => data.images[one].toLocaleString("en"));
  const counts = `${train} train, ${valid} validation, ${test} test`;
  $("facts").replaceChildren(
    ...fact(metric.name, percent(metric.value), ends, "key"),
    ...fact("Best baseline", percent(baseline.value), baseline.name, "key other"),
    ...fact("Trained on", data.name, `images: ${counts}`),
    ...fact("Model", card.model, `images of ${card.size} px`),
  );
  const inside = (value) => Math.min(1, Math.max(0, value));
  const mark = (name, from, to) => {
    const one = document.createElement("i");
    one.className = name;
    one.style.left = percent(inside(from));
    if (to !== undefined) one.style.width = percent(inside(to) - inside(from));
    return one;
  };
  const between = metric.low === null ? [] : [mark("between", metric.low, metric.high)];
  $("scale").replaceChildren(...between, mark("value", metric.value), mark("baseline", baseline.value));
  $("limits").replaceChildren(...card.limits.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

function fact(name, value, detail, key) {
  const term = document.createElement("dt"), text = document.createElement("dd"), small = document.createElement("small");
  if (key) term.append(Object.assign(document.createElement("span"), { className: key }));
  term.append(name);
  small.textContent = detail;
  text.append(value, small);
  const pair = document.createElement("div");
  pair.append(term, text);
  return [pair];
}

// --- the camera

async function openCamera() {
  try {
    $("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    $("error").textContent = "The camera cannot be used: it is missing, in use, or not allowed.";
    return;
  }
  $("error").textContent = "";
  $("view").hidden = false;
  await $("video").play();
  $("shoot").focus();
}

function closeCamera() {
  for (const track of $("video").srcObject?.getTracks() || []) track.stop();
  $("video").srcObject = null;
  $("view").hidden = true;
}

async function shoot() {
  const video = $("video"), still = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  still.getContext("2d").drawImage(video, 0, 0);
  await take(await still.convertToBlob({ type: "image/png" }), "the photograph");
  $("camera").focus();
}

// --- what a person does

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  load();
});
$("model").addEventListener("change", () => {
  turn++; // what the model before still sends belongs to nothing on the page
  $("status").textContent = "";
  choose(models[$("model").selectedIndex]);
});
for (const id of ["file", "capture"]) {
  $(id).addEventListener("change", () => {
    take($(id).files[0]);
    $(id).value = ""; // so that the same file can be chosen again
  });
}
document.addEventListener("paste", (event) => take(event.clipboardData?.files[0], "the pasted image"));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("stage").classList.add("over");
});
document.addEventListener("dragleave", (event) => event.relatedTarget || $("stage").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("stage").classList.remove("over");
  take(event.dataTransfer.files[0]);
});
const hasCamera = Boolean(navigator.mediaDevices?.getUserMedia);
$("camera").hidden = !hasCamera;
$("capture").hidden = $("capture-label").hidden = hasCamera;
$("camera").addEventListener("click", openCamera);
$("shoot").addEventListener("click", shoot);
$("stop").addEventListener("click", closeCamera);
$("threshold").addEventListener("input", () => values && show());
$("canvas").addEventListener("click", (event) => {
  if (session) click(...pixelAt(event), document.querySelector("[name=inside]:checked").value === "1");
});
$("canvas").addEventListener("keydown", press);
for (const change of ["focus", "blur"]) $("canvas").addEventListener(change, () => session && values && !objects.length && drawAll([]));
$("undo").addEventListener("click", undo);
$("again").addEventListener("click", () => {
  clicks = [];
  segment();
});
$("all").addEventListener("click", predict);
$("words").addEventListener("submit", generate);
$("step").addEventListener("input", () => {
  clearInterval(player);
  showStage(Number($("step").value));
});
load();
