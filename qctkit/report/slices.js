"use strict";
/* Slices of a stack of voxels (S, A, R): slices from the top, rows from the front, columns from the
   patient's right, so that every plane lies as radiologists look at it. */

const PLANES = {
  coronal: { across: 1, rows: 0, columns: 2 },
  axial: { across: 0, rows: 1, columns: 2 },
  sagittal: { across: 2, rows: 0, columns: 1 },
};

/* voxels: Int16Array; shape and spacing_mm: [S, A, R]. */
class Stack {
  constructor(voxels, shape, spacing_mm) {
    this.voxels = voxels;
    this.shape = shape;
    this.spacing_mm = spacing_mm;
    this.strides = [shape[1] * shape[2], shape[2], 1];
  }

  middle() {
    return this.shape.map((length) => Math.floor(length / 2));
  }

  size_mm(plane) {
    const { rows, columns } = PLANES[plane];
    return [rows, columns].map((axis) => this.shape[axis] * this.spacing_mm[axis]);
  }
}

/* What a value looks like: each gives (value, pixels, at) and writes red, green, blue. */
function greys(low, high) {
  const scale = 255 / (high - low);
  return (value, pixels, at) => {
    pixels[at] = pixels[at + 1] = pixels[at + 2] = (value - low) * scale; // clamped by the array
  };
}

function blueToOrange(reach) {
  return (value, pixels, at) => {
    const part = Math.min(Math.abs(value) / reach, 1);
    const full = value < 0 ? [84, 166, 255] : [255, 158, 66];
    for (let k = 0; k < 3; k++) pixels[at + k] = full[k] * part;
  };
}

/* Draws one slice so that a millimetre is as long along both axes of the canvas. */
function drawSlice(canvas, stack, plane, cursor, paint, crossing) {
  const { across, rows, columns } = PLANES[plane];
  const [height, width] = [stack.shape[rows], stack.shape[columns]];
  const image = new ImageData(width, height);
  const first = cursor[across] * stack.strides[across];
  let at = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at += 4) {
      const index = first + row * stack.strides[rows] + column * stack.strides[columns];
      paint(stack.voxels[index], image.data, at);
      image.data[at + 3] = 255;
    }
  }
  const whole = new OffscreenCanvas(width, height);
  whole.getContext("2d").putImageData(image, 0, 0);
  const [height_mm, width_mm] = stack.size_mm(plane);
  const scale = Math.max(2, Math.ceil(900 / Math.max(height_mm, width_mm)));
  canvas.width = Math.round(width_mm * scale);
  canvas.height = Math.round(height_mm * scale);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  if (crossing) {
    context.strokeStyle = "rgba(255, 210, 80, 0.55)";
    context.lineWidth = scale / 2;
    context.beginPath();
    const y = ((cursor[rows] + 0.5) / height) * canvas.height;
    const x = ((cursor[columns] + 0.5) / width) * canvas.width;
    context.moveTo(0, y);
    context.lineTo(canvas.width, y);
    context.moveTo(x, 0);
    context.lineTo(x, canvas.height);
    context.stroke();
  }
}

/* The cursor after a click on a plane's canvas. */
function pointed(event, canvas, stack, plane, cursor) {
  const { rows, columns } = PLANES[plane];
  const box = canvas.getBoundingClientRect();
  const moved = [...cursor];
  const place = (part, axis) =>
    Math.min(Math.max(Math.floor(part * stack.shape[axis]), 0), stack.shape[axis] - 1);
  moved[rows] = place((event.clientY - box.top) / box.height, rows);
  moved[columns] = place((event.clientX - box.left) / box.width, columns);
  return moved;
}

function stepped(cursor, stack, plane, steps) {
  const axis = PLANES[plane].across;
  const moved = [...cursor];
  moved[axis] = Math.min(Math.max(moved[axis] + steps, 0), stack.shape[axis] - 1);
  return moved;
}
