// The tree and its trace, as the page's JSON holds them, and what they say at each simulation.
const data = JSON.parse(document.getElementById("data").textContent);
const nodes = data.nodes;
const count = nodes.text.length;
const trace = data.trace;
const firstSimulation = trace ? trace.start : 0;
const lastSimulation = trace ? trace.end : 0;
const births = trace ? trace.births.map((born) => born ?? firstSimulation) : new Array(count).fill(0);
const children = Array.from({ length: count }, () => []);
const place = new Array(count).fill(0); // among its siblings
for (let node = 1; node < count; node++) {
  const siblings = children[nodes.parent[node]];
  place[node] = siblings.push(node) - 1;
}
const bornAt = new Map(births.map((born, node) => [born, node]));
const history = trace ? new Map(Object.entries(trace.history).map(([node, kept]) => [Number(node), kept])) : new Map();
const chosen = new Set(data.chosen);

// The visits of a node and its q once `simulation` was done.
function statistics(node, simulation) {
  const kept = history.get(node); // [simulation, visits, q, …]
  if (!kept || simulation >= lastSimulation) return { visits: nodes.visits[node], q: nodes.q[node] };
  let low = 0, high = kept.length / 3 - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (kept[3 * middle] <= simulation) low = middle;
    else high = middle - 1;
  }
  return { visits: kept[3 * low + 1], q: kept[3 * low + 2] };
}

// The wave that a simulation ran in, undefined before the first.
function waveOf(simulation) {
  if (!trace || simulation <= firstSimulation) return undefined;
  let low = 0, high = trace.waves.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (trace.waves[middle][1] < simulation) low = middle + 1;
    else high = middle;
  }
  const [first, last, descents] = trace.waves[low] ?? [];
  return first === undefined ? undefined : { first, last, descents };
}

// What a simulation added, the ways down that led there, and the nodes on them.
function simulationAt(number) {
  const wave = waveOf(number);
  if (!wave) return undefined;
  const added = bornAt.get(number);
  const own = wave.descents.filter((descent) => added !== undefined && descent[0] === nodes.parent[added]);
  const descents = (own.length ? own : added === undefined ? wave.descents : []).map(descentOf);
  const way = new Set(descents.flatMap((descent) => [...descent.choices.map((choice) => choice.parent), descent.node]));
  for (const descent of descents) for (const choice of descent.choices) way.add(choice.taken);
  if (added !== undefined) for (let node = added; node !== null; node = nodes.parent[node]) way.add(node);
  return { ...wave, added, descents, way };
}

function descentOf([node, width, wanted, choices]) {
  return { node, width, wanted, choices: choices.map(choiceOf) };
}

function choiceOf([parent, visits, width, had, total, taken, size, ...numbers]) {
  const candidates = [];
  for (let start = 0; start < numbers.length; start += size) {
    const [index, q, own, score, prior] = numbers.slice(start, start + size);
    candidates.push({ node: children[parent][index], q, visits: own, score, prior });
  }
  return { parent, visits, width, had, total, taken: children[parent][taken], candidates };
}

// Whether the most visited child of a node is not the highest valued one.
function isDisagreement(node, simulation) {
  let most = null, highest = -Infinity;
  for (const child of children[node]) {
    if (births[child] > simulation) continue;
    const found = statistics(child, simulation);
    if (!found.visits) continue;
    highest = Math.max(highest, found.q);
    if (!most || found.visits > most.visits || (found.visits === most.visits && found.q > most.q)) most = found;
  }
  return most !== null && most.q < highest - 1e-9;
}

// A link to a node: the places of the options that lead to it.
function linkOf(node) {
  const places = [];
  for (let here = node; nodes.parent[here] !== null; here = nodes.parent[here]) places.unshift(place[here]);
  return "#n/" + places.join(".");
}

// The node and the simulation that a link means, undefined for another one.
function linked(hash) {
  const found = /^#n\/((?:\d+(?:\.\d+)*)?)(?:@(\d+))?$/.exec(hash);
  if (!found) return undefined;
  let node = 0;
  for (const index of found[1] ? found[1].split(".") : []) {
    node = children[node][Number(index)];
    if (node === undefined) return undefined;
  }
  return { node, simulation: found[2] === undefined ? undefined : Number(found[2]) };
}
