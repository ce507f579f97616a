// Where the model looked for a word, drawn over the picture.

// The picture as the encoder saw it is the whole picture squeezed to a square, so that the grid
// stretches over all of it. Between the regions' middles the weights are interpolated by the canvas.
export function draw(canvas, attention, word) {
  const [rows, columns] = attention.grid;
  const weights = attention.weights[word];
  if (!weights) return clear(canvas);
  const most = Math.max(...weights, 1e-9);
  const small = document.createElement("canvas");
  small.width = columns;
  small.height = rows;
  const pixels = new ImageData(columns, rows);
  weights.forEach((weight, at) => {
    const share = weight / most;
    // Dark where it did not look, clear where it did.
    pixels.data.set([8, 10, 24, Math.round(205 * (1 - share) ** 1.3)], 4 * at);
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  const box = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(box.width));
  canvas.height = Math.max(1, Math.round(box.height));
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  canvas.classList.add("shown");
}

export function clear(canvas) { canvas.classList.remove("shown"); }
