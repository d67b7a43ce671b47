// Draws what is in view: boxes as elements, edges on a canvas behind them.
const stage = document.getElementById("stage"), scroller = document.getElementById("scroller");
const space = document.getElementById("space"), canvas = document.getElementById("edges");
const boxes = new Map(); // node → element, those in view
let colours = {}, isQueued = false, foundNodes = new Set();

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["edge", "ink", "now"]) colours[name] = style.getPropertyValue(`--${name}`).trim();
}

function draw() {
  isQueued = false;
  const left = scroller.scrollLeft, top = scroller.scrollTop, width = scroller.clientWidth, height = scroller.clientHeight;
  const inView = [], edges = [], y = new Map();
  const stack = [0];
  while (stack.length) {
    const node = stack.pop();
    // A box slides along its block, so that the way to what is in view stays in view.
    const at = Math.min(Math.max(tops[node], top + MARGIN), tops[node] + blocks[node] - heights[node]);
    y.set(node, at);
    const x = xOf(depths[node]);
    if (at < top + height + 200 && at + heights[node] > top - 200 && x < left + width + 300 && x + BOX > left - 300) inView.push(node);
    for (const child of shownChildren[node]) {
      if (tops[child] > top + height + 200) break;
      if (tops[child] + blocks[child] < top - 200) continue;
      stack.push(child);
      edges.push([node, child]);
    }
  }
  placeBoxes(inView, y);
  showPlace();
  drawEdges(edges, y, left, top, width, height);
}

function placeBoxes(inView, y) {
  const wanted = new Set(inView);
  for (const [node, box] of boxes) {
    if (wanted.has(node)) continue;
    box.remove();
    boxes.delete(node);
  }
  const fresh = [];
  for (const node of inView) {
    const look = lookOf(node);
    let box = boxes.get(node);
    if (!box || box.key !== look.key) {
      const made = boxOf(node, look);
      if (box) box.replaceWith(made);
      else fresh.push(made);
      made.key = look.key;
      boxes.set(node, (box = made));
    }
    box.style.transform = `translate(${xOf(depths[node])}px, ${y.get(node)}px)`;
  }
  space.append(...fresh);
}

// All that may change in a node's box from one simulation to the next; `key` tells two looks apart.
function lookOf(node) {
  const look = { ...statistics(node, view.simulation), folded: numFolded(node), canFold: shownChildren[node].length > 0 };
  const classes = ["node"];
  if (chosen.has(node)) classes.push("chosen");
  if (view.now?.way.has(node)) classes.push("now");
  if (view.now?.added === node) classes.push("new");
  if (foundNodes.has(node)) classes.push("found");
  if (view.focus === node) classes.push("focus");
  look.classes = classes.join(" ");
  look.disagrees = isDisagreement(node, view.simulation);
  look.key = Object.values(look).join("|");
  return look;
}

function boxOf(node, { visits, q, folded, canFold, classes, disagrees }) {
  const box = make("div", {
    class: classes, role: "treeitem", "aria-level": depths[node] + 1, "aria-selected": view.focus === node, "data-node": node,
  });
  box.style.height = `${heights[node]}px`;
  const bar = make("div", { class: "bar" }), swatch = make("span", { class: "swatch", text: visits ? written(q) : "–" });
  if (visits) {
    bar.style.background = swatch.style.background = colourOf(q);
    swatch.style.color = inkOn(q);
  }
  const head = make("div", { class: "head" }, swatch, make("span", { text: `${visits} visit${visits === 1 ? "" : "s"}` }));
  if (disagrees) head.append(make("span", { text: "≠", title: "the most visited child is not the highest valued one" }));
  box.append(bar, head);
  const marks = marksOf(node), foot = nodes.same[node] === null ? footOf(node) : "same position as another node";
  if (marks) box.append(make("div", { class: "marks", text: marks }));
  box.append(make("div", { class: "option", text: linesOf[node].join("\n") }));
  if (foot) box.append(make("div", { class: "foot", text: foot, title: foot }));
  if (folded || canFold) {
    const title = folded ? `show ${folded} below` : "fold";
    box.append(make("button", { class: "fold", type: "button", tabindex: -1, "data-fold": node, text: folded ? `+${folded}` : "−", title }));
  }
  return box;
}

function drawEdges(edges, y, left, top, width, height) {
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, -left * scale, -top * scale);
  pen.clearRect(left, top, width, height);
  const all = Math.max(1, statistics(0, view.simulation).visits);
  const rank = ([, child]) => (view.now?.way.has(child) ? 2 : chosen.has(child) ? 1 : 0);
  for (const [parent, child] of edges.sort((a, b) => rank(a) - rank(b))) {
    const share = statistics(child, view.simulation).visits / all;
    const from = xOf(depths[parent]) + BOX, to = xOf(depths[child]), isNow = view.now?.way.has(child);
    const start = y.get(parent) + Math.min(heights[parent] / 2, 24), end = y.get(child) + Math.min(heights[child] / 2, 24);
    pen.beginPath();
    pen.moveTo(from, start);
    pen.bezierCurveTo(from + GAP_X / 2, start, to - GAP_X / 2, end, to, end);
    pen.lineWidth = 1 + 11 * Math.sqrt(share) + (chosen.has(child) ? 1.5 : 0);
    pen.strokeStyle = chosen.has(child) ? colours.ink : colours.edge;
    pen.stroke();
    if (!isNow) continue;
    pen.lineWidth = 2.5;
    pen.strokeStyle = colours.now;
    pen.stroke();
  }
}

function queueDraw() {
  if (isQueued) return;
  isQueued = true;
  requestAnimationFrame(draw);
}

// Lays out and draws anew, at once, and scrolls to a node where one is given.
function redraw(target) {
  layOut();
  drawOverview();
  space.style.width = `${size.width}px`;
  space.style.height = `${size.height}px`;
  if (target !== undefined && isShown[target]) reveal(target);
  draw();
}

// Scrolls as little as shows a node's box.
function reveal(node) {
  const x = xOf(depths[node]), room = 40;
  const [left, top] = [scroller.scrollLeft, scroller.scrollTop];
  const low = tops[node] + blocks[node] - heights[node]; // the lowest place of the box in its block
  let newLeft = left, newTop = top;
  if (x - room < left || x + BOX + room > left + scroller.clientWidth) newLeft = Math.max(0, x - Math.max(room, (scroller.clientWidth - BOX) / 2));
  if (low - MARGIN < top || tops[node] + heights[node] + room > top + scroller.clientHeight) newTop = Math.max(0, tops[node] - scroller.clientHeight / 3);
  if (newLeft !== left || newTop !== top) scroller.scrollTo(newLeft, newTop);
}
