// What is drawn over an image: boxes, masks, maps of classes and clicks.

const SIDE = 720; // small images are enlarged to about this many pixels
const MAX_SIDE = 2048;

/** Decode COCO's compressed run lengths to the runs, which go down each column. */
export function decodeRuns(text) {
  const runs = [];
  for (let at = 0; at < text.length;) {
    let value = 0, shift = 0, code;
    do {
      code = text.charCodeAt(at++) - 48;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32);
    if (code & 16) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/** The mask of runs: 1 inside, row by row. */
export function toMask(runs, width, height) {
  const mask = new Uint8Array(width * height);
  let place = 0, inside = 0;
  for (const run of runs) {
    if (inside) {
      for (let index = place; index < place + run; index++) {
        mask[(index % height) * width + Math.floor(index / height)] = 1;
      }
    }
    place += run;
    inside ^= 1;
  }
  return mask;
}

/** Pixels of the canvas for each pixel of the image. */
export function scaleOf(width, height) {
  const side = Math.max(width, height);
  return side < SIDE ? Math.max(1, Math.floor(SIDE / side)) : Math.min(1, MAX_SIDE / side);
}

/** Draw an image, pixel by pixel if it is small. */
export function drawImage(canvas, image) {
  const scale = scaleOf(image.width, image.height);
  canvas.width = Math.round(image.width * scale);
  canvas.height = Math.round(image.height * scale);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = scale < 2;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return scale;
}

/** Lay masks over the image, each in its colour with an edge. */
export function drawMasks(canvas, size, masks, colours) {
  const [width, height] = size, layer = new OffscreenCanvas(width, height);
  const context = layer.getContext("2d"), pixels = context.createImageData(width, height);
  masks.forEach((mask, number) => {
    const [red, green, blue] = colours[number];
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at++) {
        if (!mask[at]) continue;
        const edge = x === 0 || y === 0 || x === width - 1 || y === height - 1 ||
          !(mask[at - 1] && mask[at + 1] && mask[at - width] && mask[at + width]);
        pixels.data.set([red, green, blue, edge ? 255 : 110], 4 * at);
      }
    }
  });
  context.putImageData(pixels, 0, 0);
  overlay(canvas, layer, 1);
}

/** Lay an image of the same shape over the canvas. */
export function overlay(canvas, image, opacity) {
  const context = canvas.getContext("2d");
  context.save();
  context.imageSmoothingEnabled = false;
  context.globalAlpha = opacity;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  context.restore();
}

/** How many canvas pixels a pixel of the screen has, so that lines look equal in all sizes. */
function unitOf(canvas) {
  return Math.max(1, canvas.width / (canvas.clientWidth || canvas.width));
}

/** Draw boxes, with a text at each unless there are many. */
export function drawBoxes(canvas, scale, boxes, colours, texts) {
  const context = canvas.getContext("2d"), unit = unitOf(canvas), height = 20 * unit;
  context.font = `600 ${13 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  boxes.forEach((box, number) => {
    const [left, top, right, bottom] = box.map((value) => value * scale);
    const colour = `rgb(${colours[number].join(" ")})`;
    context.lineWidth = 2.5 * unit;
    context.strokeStyle = colour;
    context.strokeRect(left, top, right - left, bottom - top);
    if (boxes.length > 60 || !texts[number]) return;
    const width = context.measureText(texts[number]).width + 10 * unit;
    const x = Math.max(0, Math.min(left, canvas.width - width));
    const y = top >= height ? top - height : top;
    context.fillStyle = colour;
    context.fillRect(x, y, width, height);
    context.fillStyle = isLight(colours[number]) ? "#111" : "#fff";
    context.fillText(texts[number], x + 5 * unit, y + height / 2 + unit);
  });
}

/** Write a line over the lower edge of the image. */
export function drawCaption(canvas, text) {
  const context = canvas.getContext("2d"), unit = unitOf(canvas), height = 34 * unit;
  context.fillStyle = "rgb(0 0 0 / 70%)";
  context.fillRect(0, canvas.height - height, canvas.width, height);
  context.font = `600 ${16 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.fillStyle = "#fff";
  context.fillText(text, 12 * unit, canvas.height - height / 2 + unit, canvas.width - 24 * unit);
}

/** Draw clicks as points, and the cross of the keyboard. */
export function drawClicks(canvas, scale, clicks, cross) {
  const context = canvas.getContext("2d"), unit = unitOf(canvas);
  for (const [x, y, inside] of clicks) {
    context.beginPath();
    context.arc(x * scale, y * scale, 6 * unit, 0, 2 * Math.PI);
    context.fillStyle = inside ? "#18a558" : "#d93025";
    context.fill();
    context.lineWidth = 2.5 * unit;
    context.strokeStyle = "#fff";
    context.stroke();
  }
  if (!cross) return;
  for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
    context.beginPath();
    for (const [x, y] of [[1, 0], [0, 1]]) {
      for (const side of [-1, 1]) {
        context.moveTo(cross[0] * scale + side * x * 4 * unit, cross[1] * scale + side * y * 4 * unit);
        context.lineTo(cross[0] * scale + side * x * 14 * unit, cross[1] * scale + side * y * 14 * unit);
      }
    }
    context.lineWidth = width * unit;
    context.strokeStyle = colour;
    context.stroke();
  }
}

function isLight([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150;
}

/** A PNG file in base64 as an image. */
export async function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: "image/png" }));
}
