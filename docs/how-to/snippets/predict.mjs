// Predict with an exported model in a browser or in Node.js: npm install onnxruntime-web
import * as ort from "onnxruntime-web";

export const open = (model) => ort.InferenceSession.create(model); // an address, or the bytes

// rgba: of a canvas, context.getImageData(0, 0, width, height).data
export async function predict(session, rgba, width, height) {
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) rgb.set(rgba.subarray(4 * i, 4 * i + 3), 3 * i);
  const images = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  return session.run({ images }); // {probabilities} of each class, or {boxes, scores, ...}
}
