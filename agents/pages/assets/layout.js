// Where each box stands. A node's block holds its box on the left and the blocks of its children on the right.
const BOX = 250, INSIDE = 224, GAP_X = 64, GAP_Y = 10, MARGIN = 16, LINE = 17;
const FONT = 'px system-ui, "Segoe UI", Arial, sans-serif';
const pen = document.createElement("canvas").getContext("2d");
const widthsOf = { normal: new Map(), bold: new Map() };

function widthOf(text, weight) {
  const cache = widthsOf[weight];
  let width = cache.get(text);
  if (width === undefined) {
    pen.font = `${weight === "bold" ? "700 " : ""}13${FONT}`;
    width = pen.measureText(text).width;
    if (text.length < 40) cache.set(text, width);
  }
  return width;
}

// The lines of a text, wrapped to the box: between words, and within one that is too long for a line.
function wrapped(text, weight) {
  const lines = [];
  for (const paragraph of text.replace(/^\s*\n|\s+$/g, "").split(/\r\n|\r|\n/)) {
    let line = "", width = 0;
    for (const word of paragraph.replaceAll("\t", "    ").match(/\s*[^\s]+|\s+$/g) ?? [""]) {
      const more = widthOf(word, weight);
      if (width + more <= INSIDE) {
        line += word;
        width += more;
        continue;
      }
      if (line) lines.push(line);
      line = word.trimStart();
      width = widthOf(line, weight);
      if (width > INSIDE) [line, width] = broken(line, weight, lines);
    }
    lines.push(line);
  }
  return lines;
}

// Puts the full lines of one long word into `lines`, and returns what is left with its width.
function broken(word, weight, lines) {
  let line = "", width = 0;
  for (const letter of word) {
    const more = widthOf(letter, weight);
    if (line && width + more > INSIDE) {
      lines.push(line);
      line = "";
      width = 0;
    }
    line += letter;
    width += more;
  }
  return [line, width];
}

const linesOf = new Array(count);
const heights = new Float64Array(count);

function measure(node) {
  if (linesOf[node]) return;
  const text = node === 0 ? (data.before || "the question") : nodes.text[node];
  linesOf[node] = wrapped(text, chosen.has(node) ? "bold" : "normal");
  const extra = (marksOf(node) ? 17 : 0) + (footOf(node) || nodes.same[node] !== null ? 17 : 0);
  heights[node] = 12 + 18 + LINE * linesOf[node].length + extra;
}

const view = {
  simulation: lastSimulation,
  focus: 0,
  least: 0, // visits below which a node is folded away
  folded: new Set(),
  forced: new Set(), // shown whatever their visits: those that a link, a search or a key led to
  now: undefined, // what `simulationAt` says of the simulation shown
};

const tops = new Float64Array(count), blocks = new Float64Array(count), depths = new Int32Array(count);
const isShown = new Uint8Array(count), numBelow = new Int32Array(count);
const NONE = Object.freeze([]);
let shownChildren = [], deepest = 0, size = { width: 0, height: 0 };
for (let node = 1; node < count; node++) depths[node] = depths[nodes.parent[node]] + 1;

function isWanted(node) {
  if (births[node] > view.simulation) return false;
  return nodes.visits[node] >= view.least || chosen.has(node) || view.forced.has(node) || Boolean(view.now?.way.has(node));
}

// Sets the places of all boxes that are shown: parents come before their children in the data.
function layOut() {
  shownChildren = new Array(count);
  numBelow.fill(0);
  deepest = 0;
  for (let node = 0; node < count; node++) {
    const parent = nodes.parent[node];
    isShown[node] = Number(node === 0 || (isShown[parent] === 1 && !view.folded.has(parent) && isWanted(node)));
    if (!isShown[node]) continue;
    measure(node);
    deepest = Math.max(deepest, depths[node]);
    shownChildren[node] = NONE;
    if (!node) continue;
    if (shownChildren[parent] === NONE) shownChildren[parent] = [node];
    else shownChildren[parent].push(node);
  }
  for (let node = count - 1; node >= 0; node--) {
    if (node && births[node] <= view.simulation) numBelow[nodes.parent[node]] += numBelow[node] + 1;
    if (!isShown[node]) continue;
    let inner = -GAP_Y;
    for (const child of shownChildren[node]) inner += blocks[child] + GAP_Y;
    blocks[node] = Math.max(heights[node], inner);
  }
  tops[0] = MARGIN;
  for (let node = 0; node < count; node++) {
    if (!isShown[node]) continue;
    let top = tops[node];
    for (const child of shownChildren[node]) {
      tops[child] = top;
      top += blocks[child] + GAP_Y;
    }
  }
  size = { width: xOf(deepest) + BOX + MARGIN, height: blocks[0] + 2 * MARGIN };
}

const xOf = (depth) => MARGIN + depth * (BOX + GAP_X);

// How many nodes below one are folded away.
function numFolded(node) {
  if (!isShown[node]) return 0;
  const hidden = (here) => children[here].reduce((total, child) => {
    if (births[child] > view.simulation || isShown[child]) return total;
    return total + numBelow[child] + 1;
  }, 0);
  return hidden(node);
}

// The visits from which on at most `most` nodes are shown.
function leastFor(most) {
  if (count <= most) return 0;
  const sorted = [...nodes.visits].sort((a, b) => b - a);
  return sorted[most] + 1;
}
