// The whole tree as a strip: a column for each depth, in it each node's block in the colour of its value.
const strip = document.getElementById("overview"), here = document.getElementById("in-view"), STRIP = 72;
const INKS = Uint32Array.from({ length: 256 }, (_, value) => {
  const [red, green, blue] = colourOf(value / 255).match(/\d+/g).map(Number);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0; // as the canvas keeps a pixel
});

// Paints the strip where the tree is taller than two windows, and hides it elsewhere.
function drawOverview() {
  const height = Math.max(1, stage.clientHeight), isTall = size.height > 2 * height;
  stage.classList.toggle("tall", isTall);
  if (!isTall) return;
  strip.width = STRIP;
  strip.height = height;
  const pen = strip.getContext("2d"), image = pen.createImageData(STRIP, height), pixels = new Uint32Array(image.data.buffer);
  const scale = height / size.height, column = Math.max(1, Math.floor(STRIP / (deepest + 1)));
  for (let node = 0; node < count; node++) {
    if (!isShown[node]) continue;
    const { visits, q } = statistics(node, view.simulation);
    const ink = visits ? INKS[Math.round(255 * Math.min(1, Math.max(0, q)))] : 0;
    const left = depths[node] * column, right = Math.min(STRIP, left + column - (column > 4 ? 1 : 0));
    const first = Math.floor(tops[node] * scale), last = Math.min(height, Math.max(first + 1, Math.round((tops[node] + blocks[node]) * scale)));
    for (let y = first; y < last; y++) pixels.fill(ink, y * STRIP + left, y * STRIP + right);
  }
  pen.putImageData(image, 0, 0);
}

function showPlace() {
  const scale = stage.clientHeight / size.height;
  here.style.top = `${scroller.scrollTop * scale}px`;
  here.style.height = `${Math.max(6, scroller.clientHeight * scale)}px`;
}

function goToPlace(event) {
  if (event.buttons !== 1) return;
  event.preventDefault();
  const share = (event.clientY - strip.getBoundingClientRect().top) / stage.clientHeight;
  scroller.scrollTop = share * size.height - scroller.clientHeight / 2;
}

for (const kind of ["pointerdown", "pointermove"]) strip.addEventListener(kind, goToPlace);
