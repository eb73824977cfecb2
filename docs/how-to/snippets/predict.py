"""Predict with an exported model: onnxruntime, NumPy and Pillow, without foveate."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["foveate"])
mode = "L" if about["channels"] == 1 else "RGB"
image = np.array(Image.open(sys.argv[2]).convert(mode))
images = image.reshape(1, *image.shape[:2], about["channels"])
names = [output.name for output in session.get_outputs()]
found = dict(zip(names, session.run(None, {"images": images}), strict=True))

if about["task"] == "classification":
    best = int(found["probabilities"][0].argmax())
    print(about["classes"][best], round(float(found["probabilities"][0, best]), 3))
elif about["task"] == "detection":
    for row in np.flatnonzero(found["confident"]):
        box = found["boxes"][row].round(1).tolist()
        print(about["classes"][found["classes"][row]], round(float(found["scores"][row]), 3), box)
else:
    for name, values in found.items():
        print(name, values.shape)
