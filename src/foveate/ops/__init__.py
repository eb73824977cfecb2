"""Pure functions on arrays and tensors: boxes, masks, RLE, polygons, tiles, assignment."""
