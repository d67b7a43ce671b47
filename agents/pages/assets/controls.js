// What the reader does: scrubbing, playing, keys, finding, folding, links.
const byId = (id) => document.getElementById(id);
const slider = byId("simulation"), search = byId("search"), least = byId("least");
let timer = 0, foundList = [], foundAt = -1, lowered;

function setSimulation(number, follow = true) {
  view.simulation = Math.min(lastSimulation, Math.max(firstSimulation, number));
  view.now = simulationAt(view.simulation);
  if (births[view.focus] > view.simulation) view.focus = nodes.parent[view.focus];
  while (births[view.focus] > view.simulation) view.focus = nodes.parent[view.focus];
  slider.value = view.simulation;
  byId("simulation-number").textContent = `simulation ${view.simulation} of ${lastSimulation}`;
  redraw(follow ? (view.now?.added ?? view.now?.descents[0]?.node) : undefined);
  showPanel();
}

function focusOn(node, options = {}) {
  if (births[node] > view.simulation) setSimulation(births[node], false);
  view.focus = node;
  for (let here = node; here !== null; here = nodes.parent[here]) {
    if (here !== node) view.folded.delete(here);
    view.forced.add(here);
  }
  redraw(node);
  showPanel();
  if (options.keepsHash) return;
  try {
    window.history.replaceState(null, "", linkOf(node));
  } catch {
    // A page in a frame without an address has no links to keep.
  }
}

function followHash() {
  const found = linked(window.location.hash);
  if (!found) return;
  if (found.simulation !== undefined) setSimulation(found.simulation, false);
  focusOn(found.node, { keepsHash: true });
}

function fold(node) {
  if (numFolded(node)) {
    view.folded.delete(node);
    for (const child of children[node]) view.forced.add(child);
  } else if (shownChildren[node].length) view.folded.add(node);
  redraw();
}

function play() {
  if (timer) return stop();
  if (view.simulation >= lastSimulation) setSimulation(firstSimulation);
  byId("play").textContent = "pause";
  const rate = Number(byId("speed").value), pause = Math.max(50, 1000 / rate);
  timer = window.setInterval(() => {
    setSimulation(view.simulation + Math.max(1, Math.round((rate * pause) / 1000)));
    if (view.simulation >= lastSimulation) stop();
  }, pause);
}

function stop() {
  window.clearInterval(timer);
  timer = 0;
  byId("play").textContent = "play";
}

function find() {
  const wanted = search.value.trim().toLowerCase();
  lowered ??= nodes.text.map((text, node) => [text, ...(data.variants[node] ?? [])].join("\n").toLowerCase());
  foundList = wanted ? lowered.flatMap((text, node) => (text.includes(wanted) ? [node] : [])) : [];
  foundNodes = new Set(foundList);
  foundAt = -1;
  byId("found").textContent = wanted ? `${foundList.length} found` : "";
  redraw();
}

function goToFound(step) {
  if (!foundList.length) return;
  foundAt = (foundAt + step + foundList.length) % foundList.length;
  byId("found").textContent = `${foundAt + 1} of ${foundList.length}`;
  focusOn(foundList[foundAt]);
}

function goToDisagreement(step) {
  for (let distance = 1; distance <= count; distance++) {
    const node = (view.focus + step * distance + count * distance) % count;
    if (births[node] <= view.simulation && isDisagreement(node, view.simulation)) return focusOn(node);
  }
  byId("found").textContent = "no disagreement";
}

const siblingsOf = (node) => (node ? shownChildren[nodes.parent[node]] : [0]);

function sibling(step) {
  const all = siblingsOf(view.focus), next = all[all.indexOf(view.focus) + step];
  if (next !== undefined) focusOn(next);
}

function mostVisitedChild() {
  const there = children[view.focus].filter((child) => births[child] <= view.simulation);
  if (there.length) focusOn(there.reduce((a, b) => (statistics(b, view.simulation).visits > statistics(a, view.simulation).visits ? b : a)));
}

function toggleGold() {
  const gold = byId("gold");
  gold.hidden = !gold.hidden;
  byId("gold-button").setAttribute("aria-expanded", String(!gold.hidden));
}

const KEYS = {
  ArrowLeft: () => view.focus && focusOn(nodes.parent[view.focus]),
  ArrowRight: mostVisitedChild,
  ArrowUp: () => sibling(-1),
  ArrowDown: () => sibling(1),
  Home: () => focusOn(0),
  d: () => goToDisagreement(1),
  D: () => goToDisagreement(-1),
  "[": () => trace && setSimulation(view.simulation - 1),
  "]": () => trace && setSimulation(view.simulation + 1),
  " ": () => trace && play(),
  c: () => fold(view.focus),
  n: () => goToFound(1),
  N: () => goToFound(-1),
  g: () => data.gold && toggleGold(),
  "/": () => search.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.target === search && event.key === "Enter") return goToFound(event.shiftKey ? -1 : 1);
  if (event.target === search && event.key === "Escape") return search.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|BUTTON|SUMMARY)$/.test(event.target.tagName)) return;
  const act = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : undefined;
  if (!act) return;
  event.preventDefault();
  act();
});

document.addEventListener("click", (event) => {
  const folding = event.target.closest("[data-fold]");
  if (folding) return fold(Number(folding.dataset.fold));
  const to = event.target.closest("[data-node]");
  if (!to) return;
  event.preventDefault();
  focusOn(Number(to.dataset.node));
});

function goldText({ answer, solution, verdict }) {
  const judged = `the answer given is ${verdict.replaceAll("_", " ")}`;
  return [answer === null ? judged : `${answer} (${judged})`, ...(solution ? [solution] : [])].join("\n");
}

function start() {
  readColours();
  document.title = [data.title, data.question].filter(Boolean).join(": ").slice(0, 120);
  byId("question").textContent = data.question;
  byId("summary").textContent = [
    data.title, `answer ${data.answer ?? "none"}`, `score ${written(data.score)}`, `${data.usage.tokens} tokens`,
    `${data.usage.simulations} simulations`, `${count} nodes`,
  ].filter(Boolean).join(" · ");
  byId("legend-marks").textContent = legendOfMarks;
  if (data.gold) byId("gold").textContent = goldText(data.gold);
  else byId("gold-button").hidden = true;
  view.least = leastFor(600);
  least.value = view.least;
  if (trace) {
    byId("scrubber").hidden = false;
    slider.min = firstSimulation;
    slider.max = lastSimulation;
  }
  setSimulation(lastSimulation, false);
  followHash();
  slider.addEventListener("input", () => {
    stop();
    setSimulation(Number(slider.value));
  });
  least.addEventListener("input", () => {
    view.least = Math.max(0, Number(least.value) || 0);
    redraw();
  });
  byId("speed").addEventListener("change", () => timer && (stop(), play()));
  byId("play").addEventListener("click", play);
  byId("gold-button").addEventListener("click", toggleGold);
  byId("next-disagreement").addEventListener("click", () => goToDisagreement(1));
  search.addEventListener("input", find);
  scroller.addEventListener("scroll", queueDraw, { passive: true });
  new ResizeObserver(() => {
    drawOverview();
    queueDraw();
  }).observe(stage);
  window.addEventListener("hashchange", followHash);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    redraw();
  });
}

start();
requestAnimationFrame(() => setTimeout(() => performance.mark("painted")));
