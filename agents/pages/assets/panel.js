// The panel beside the tree: what the simulation did and why, and all that is known of the node in focus.
const panel = document.getElementById("panel");

const textOf = (node) => (node === 0 ? "the question" : nodes.text[node].trim() || "(empty)");

function nodeLink(node, text = textOf(node)) {
  return make("a", { class: "option text", href: linkOf(node), "data-node": node, text });
}

function table(names, rows) {
  const head = make("tr", {}, ...names.map((name) => make("th", { text: name })));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}

function row(cells, properties = {}) {
  return make("tr", properties, ...cells.map((cell) => (cell instanceof Node ? make("td", {}, cell) : make("td", { text: cell }))));
}

const FORMULAS = { uct: "score = q + c · √(2 ln N / n)", puct: "score = q + c · prior · √N / (1 + n)" };

function showPanel() {
  panel.replaceChildren(...simulationPart(), ...nodePart(view.focus), ...(view.focus === 0 ? answerPart() : []));
}

function simulationPart() {
  if (!trace) return [make("p", { class: "quiet", text: "This search kept no trace of its simulations: the setting trace=true records them." })];
  const parts = [make("h2", { text: `Simulation ${view.simulation} of ${lastSimulation}` })];
  if (firstSimulation) parts.push(make("p", { class: "quiet", text: `The first ${firstSimulation} simulations were not recorded: the search was resumed after them.` }));
  const now = view.now;
  if (!now) return [...parts, make("p", { class: "quiet", text: "The tree before the first recorded simulation." })];
  if (now.last > now.first) parts.push(make("p", { class: "quiet", text: `Simulations ${now.first} to ${now.last} ran together.` }));
  parts.push(now.added === undefined
    ? make("p", { text: "It drew nothing new." })
    : make("p", {}, "It added ", nodeLink(now.added)));
  if (!now.descents.length) parts.push(make("p", { class: "quiet", text: "Its way down was not recorded." }));
  for (const descent of now.descents) {
    descent.choices.forEach((choice, level) => parts.push(choicePart(choice, descent.choices[level - 1])));
    parts.push(make("p", {}, "At ", nodeLink(descent.node), ` ${descent.width} children were allowed: ${descent.wanted} more drawn.`));
  }
  return parts;
}

function choicePart(choice, before) {
  const hasScores = choice.candidates.some(({ score }) => known(score)), hasPriors = choice.candidates.some(({ prior }) => known(prior));
  const names = ["option", ...(hasScores ? ["score", "= q", "+ expl."] : ["q"]), "visits", ...(hasPriors ? ["prior"] : [])];
  const rows = choice.candidates.map(({ node, q, visits, score, prior }) => row([
    nodeLink(node),
    ...(hasScores ? [known(score) ? written(score) : "∞", written(q), known(score) ? written(score - q) : "∞"] : [written(q)]),
    String(visits),
    ...(hasPriors ? [written(prior)] : []),
  ], node === choice.taken ? { class: "taken" } : {}));
  const left = choice.total - choice.candidates.length;
  const rule = hasScores ? trace.rule : trace.root_rule;
  const formula = hasScores ? FORMULAS[trace.rule] : "";
  return make("section", {},
    make("h3", {}, !before ? "at " : before.taken === choice.parent ? "then at " : "then, at the same position as that, at ", nodeLink(choice.parent)),
    make("p", { class: "quiet", text: `${choice.width} children allowed, ${choice.had} there; ${rule} chose${formula ? `: ${formula}, N = ${choice.visits}, c = ${trace.c}` : ""}` }),
    table(names, rows),
    ...(left ? [make("p", { class: "quiet", text: `and ${left} candidates with lower scores` })] : []));
}

function nodePart(node) {
  const { visits, q } = statistics(node, view.simulation);
  const parts = [make("h2", {}, "Node ", make("a", { href: linkOf(node), text: linkOf(node), title: "a link to this node" }))];
  if (node) parts.push(make("blockquote", { class: "text", dir: "auto", text: nodes.text[node] }));
  const facts = [
    ["visits", String(visits)], ["q, the value backed up", visits ? written(q) : "–"], ["leaf score s(s)", written(nodes.score?.[node])],
    ...MARKS.map(([sign, name]) => [`${sign} ${NAMES[name]}`, written(nodes[name][node])]),
    ...(known(nodes.check[node]) ? [["step check", nodes.check[node] ? "✓ holds" : "✗ refused"]] : []),
    ...(known(nodes.tokens[node]) ? [["tokens of the option", String(nodes.tokens[node])], ["tokens from the question", String(tokensTo(node))]] : []),
    ...(trace && node ? [["added by simulation", births[node] > firstSimulation ? String(births[node]) : "before the recording"]] : []),
  ];
  const ending = nodes.ending[node];
  if (ending) facts.push(["ended", ending.replaceAll("_", " ")]);
  const { redrawn, pruned } = drawnAt(node);
  if (nodes.sampled[node]) facts.push(["options drawn here", `${nodes.sampled[node]}: ${children[node].length} kept, ${redrawn} redrawn, ${pruned} pruned`]);
  parts.push(table(["", ""], facts.filter(([, value]) => value !== "–").map((cells) => row(cells))));
  if (nodes.same[node] !== null) parts.push(make("p", {}, "The same is left to do as at ", nodeLink(nodes.same[node]), ", whose children it shares."));
  parts.push(...foldedTexts("Variants that were merged into it", (data.variants[node] ?? []).map((text) => [text])));
  parts.push(...foldedTexts("Rollouts from here", data.rollouts[node] ?? []));
  if (children[node].length) {
    parts.push(make("h3", { text: "Children" }));
    const rows = children[node].filter((child) => births[child] <= view.simulation).map((child) => {
      const found = statistics(child, view.simulation);
      return row([nodeLink(child), String(found.visits), written(found.q)]);
    });
    parts.push(table(["option", "visits", "q"], rows));
  }
  return parts;
}

function tokensTo(node) {
  let total = 0;
  for (let here = node; here !== null; here = nodes.parent[here]) total += nodes.tokens[here] ?? 0;
  return total;
}

function foldedTexts(title, rows) {
  if (!rows.length) return [];
  const body = rows.map(([text, score]) => make("blockquote", {},
    ...(known(score) ? [make("span", { class: "quiet", text: `${written(score)} ` })] : []),
    make("span", { class: "text", dir: "auto", text: text || "(text left out: the rollouts of this tree are too long for a page)" })));
  return [make("details", {}, make("summary", { text: `${title} (${rows.length})` }), ...body)];
}

function answerPart() {
  return [
    make("h2", { text: "The answer's way" }),
    make("p", { text: `answer ${data.answer ?? "none"}, score ${written(data.score)} (${data.score_kind.replaceAll("_", " ")})` }),
    ...data.best.map(([text], index) => (index + 1 < data.chosen.length
      ? make("blockquote", {}, nodeLink(data.chosen[index + 1], text))
      : make("blockquote", { class: "text", dir: "auto", text }))),
    ...(data.best.length >= data.chosen.length ? [make("p", { class: "quiet", text: "The lines without a link are of a rollout: no node has them." })] : []),
  ];
}
