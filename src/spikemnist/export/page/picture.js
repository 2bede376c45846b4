// A drawing as an image of MNIST: cropped, scaled into 20 x 20 pixels, centred by its mass.

export const SIZE = 28;
const BOX = 20;
const FAINTEST = 0.15;

/**
 * Prepare a drawing.
 *
 * `grey` holds side x side values in [0, 1], strokes light. Returns 784 grey values, 0 to 255, or
 * null where nothing was drawn.
 */
export function prepare(grey, side) {
  let [top, bottom, left, right] = [side, -1, side, -1];
  grey.forEach((value, i) => {
    if (value <= FAINTEST) return;
    const [y, x] = [Math.floor(i / side), i % side];
    [top, bottom, left, right] = [
      Math.min(top, y), Math.max(bottom, y), Math.min(left, x), Math.max(right, x),
    ];
  });
  if (bottom < 0) return null;
  const [cropHeight, cropWidth] = [bottom - top + 1, right - left + 1];
  const scale = BOX / Math.max(cropHeight, cropWidth);
  const height = Math.max(1, Math.round(cropHeight * scale));
  const width = Math.max(1, Math.round(cropWidth * scale));
  const fitted = new Float64Array(height * width);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      fitted[y * width + x] = meanOf(grey, side, {
        top: top + (y * cropHeight) / height,
        bottom: top + ((y + 1) * cropHeight) / height,
        left: left + (x * cropWidth) / width,
        right: left + ((x + 1) * cropWidth) / width,
      });
  const brightest = Math.max(...fitted);
  const place = (length, along) => {
    let [mass, moment] = [0, 0];
    fitted.forEach((value, i) => {
      mass += value;
      moment += value * (along(i) + 0.5);
    });
    return Math.min(Math.max(Math.round(SIZE / 2 + 0.5 - moment / mass), 0), SIZE - length);
  };
  const down = place(height, (i) => Math.floor(i / width));
  const across = place(width, (i) => i % width);
  const image = new Uint8Array(SIZE * SIZE);
  fitted.forEach((value, i) => {
    const [y, x] = [down + Math.floor(i / width), across + (i % width)];
    image[y * SIZE + x] = Math.round((255 * value) / brightest);
  });
  return image;
}

/** Return the mean of an area whose edges may cut through pixels. */
function meanOf(grey, side, area) {
  let [sum, size] = [0, 0];
  for (let y = Math.floor(area.top); y < area.bottom; y++) {
    const tall = Math.min(y + 1, area.bottom) - Math.max(y, area.top);
    for (let x = Math.floor(area.left); x < area.right; x++) {
      const part = tall * (Math.min(x + 1, area.right) - Math.max(x, area.left));
      sum += part * grey[y * side + x];
      size += part;
    }
  }
  return sum / size;
}

/** Return grey values with noise of a strength in [0, 1]. */
export function noisy(image, strength, random) {
  if (!strength) return image;
  return image.map((grey) => {
    // A sum of uniform numbers is close enough to a normal one.
    const normal = (random() + random() + random() + random() - 2) * Math.sqrt(3);
    return Math.min(Math.max(Math.round(grey + 255 * strength * normal), 0), 255);
  });
}
