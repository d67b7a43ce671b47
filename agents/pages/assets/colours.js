// Colours of values, by cividis, whose order colour-blind readers see too; numbers and marks as text.
const CIVIDIS = ["00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369", "e1cc55", "fee838"]
  .map((hex) => [0, 2, 4].map((start) => parseInt(hex.slice(start, start + 2), 16)));

function colourOf(value) {
  const at = Math.min(1, Math.max(0, value)) * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(at));
  const mixed = CIVIDIS[low].map((part, index) => Math.round(part + (CIVIDIS[low + 1][index] - part) * (at - low)));
  return `rgb(${mixed.join(" ")})`;
}

const inkOn = (value) => (value > 0.55 ? "#000" : "#fff");
const known = (number) => number !== null && number !== undefined;
const written = (number) => (known(number) ? number.toFixed(2) : "–");

// The marks of a node: a sign and a column of the data each.
const MARKS = [["●", "value"], ["■", "prm"], ["▲", "orm"], ["◆", "prior"]]
  .filter(([, name]) => nodes[name] && nodes[name].some(known));
const NAMES = { value: "value", prm: "PRM", orm: "ORM", prior: "prior" };
const hasChecks = nodes.check.some(known);

function marksOf(node) {
  const marks = MARKS.filter(([, name]) => known(nodes[name][node])).map(([sign, name]) => `${sign} ${written(nodes[name][node])}`);
  if (known(nodes.check[node])) marks.push(nodes.check[node] ? "✓" : "✗");
  return marks.join("  ");
}

const legendOfMarks = [...MARKS.map(([sign, name]) => `${sign} ${NAMES[name]}`), ...(hasChecks ? ["✓ ✗ step check"] : [])].join("   ");

// What is known of the options that made a node and of those drawn at it, in a few words.
function footOf(node) {
  const words = [];
  const variants = data.variants[node];
  if (known(nodes.tokens[node])) words.push(`${nodes.tokens[node]} tok`);
  if (variants) words.push(`${variants.length + 1} variants`);
  if (nodes.draws[node] > 1) words.push(`drawn ${nodes.draws[node]}×`);
  const { redrawn, pruned } = drawnAt(node);
  if (redrawn) words.push(`+${redrawn} redrawn`);
  if (pruned) words.push(`+${pruned} pruned`);
  if (nodes.ending[node]) words.push(nodes.ending[node].replaceAll("_", " "));
  return words.join(" · ");
}

// Of the options drawn at a node: how many repeated one that was there, and how many the step check refused.
function drawnAt(node) {
  const kept = children[node].length;
  const meant = children[node].reduce((total, child) => total + nodes.draws[child], 0);
  return { redrawn: nodes.sampled[node] ? meant - kept : 0, pruned: Math.max(0, nodes.sampled[node] - meant) };
}

// An element with text and children. Text is only ever set as text: nothing on this page is read as HTML.
function make(tag, properties = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") made.textContent = value;
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  made.append(...inside);
  return made;
}
