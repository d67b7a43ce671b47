// The tree as nested lists, for paper: what is shown, with every text whole.
const MOST_PRINTED = 2000;

function writeOutline() {
  const outline = document.getElementById("outline");
  const lists = new Map();
  const top = make("ul");
  let printed = 0, left = 0;
  for (let node = 0; node < count; node++) {
    if (!isShown[node]) continue;
    if (printed === MOST_PRINTED || (node && !lists.has(nodes.parent[node]))) {
      left++;
      continue;
    }
    printed++;
    const { visits, q } = statistics(node, view.simulation);
    const swatch = make("span", { class: "swatch", text: visits ? written(q) : "–" });
    if (visits) {
      swatch.style.background = colourOf(q);
      swatch.style.color = inkOn(q);
    }
    const said = ` n=${visits}  ${[marksOf(node), footOf(node)].filter(Boolean).join("  ")}`;
    const text = make("span", { class: "text", text: ` ${textOf(node)} ` });
    const line = make("span", { class: "line" }, swatch, text, make("span", { class: "quiet", text: said }));
    const below = make("ul");
    (node ? lists.get(nodes.parent[node]) : top).append(make("li", { class: chosen.has(node) ? "chosen" : "" }, line, below));
    lists.set(node, below);
  }
  const hidden = left + numBelow[0] + 1 - isShown.reduce((total, shown) => total + shown, 0);
  outline.replaceChildren(
    make("p", { text: trace ? `Simulation ${view.simulation} of ${lastSimulation}. ` : "" }),
    top,
    ...(hidden > 0 ? [make("p", { text: `${hidden} more nodes are folded away.` })] : []),
  );
}

window.addEventListener("beforeprint", writeOutline);
window.addEventListener("afterprint", () => document.getElementById("outline").replaceChildren());
