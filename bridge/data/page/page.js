"use strict";
document.documentElement.classList.add("scripted");
const data = JSON.parse(document.getElementById("data").textContent), packages = data.packages;
const $ = id => document.getElementById(id), all = (query, from = document) => [...from.querySelectorAll(query)];
const SVG = "http://www.w3.org/2000/svg";
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {}))
    if (typeof value === "function") node.addEventListener(key, value); else node.setAttribute(key, value);
  node.append(...children.filter(each => each !== null));
  return node;
}
const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// --- findings: filter, unfold, copy
const cards = all("#findings .package"), groups = all("#findings .finding[data-level]");
const texts = new Map(groups.map(group => [group, (group.closest(".package").querySelector("h3").textContent + " " + group.textContent).toLowerCase()]));
const levels = new Map(["error", "warning", "info"].map(level => [level, groups.filter(each => each.dataset.level === level)]));
const shown = new Set(["error", "warning"].some(level => levels.get(level).length) ? ["error", "warning"] : ["info"]);
function filterFindings() {
  const wanted = $("findings-search").value.trim().toLowerCase();
  let hidden = 0;
  for (const group of groups) {
    const isShown = shown.has(group.dataset.level) && texts.get(group).includes(wanted);
    group.classList.toggle("hidden", !isShown);
    if (!isShown) hidden += group.querySelectorAll("ul > li").length;
  }
  for (const card of cards) card.classList.toggle("hidden", card.querySelector(".finding[data-level]") !== null && !card.querySelector(".finding:not(.hidden)"));
  $("filtered").textContent = hidden ? `${hidden} more are not shown: choose their level, or change the filter.` : "";
}
for (const [level, found] of levels) {
  const count = found.reduce((sum, group) => sum + group.querySelectorAll("ul > li").length, 0);
  if (count) $("levels").append(make("button", {type: "button", class: level, "aria-pressed": String(shown.has(level)), click: event => {
    shown.has(level) ? shown.delete(level) : shown.add(level);
    event.currentTarget.setAttribute("aria-pressed", String(shown.has(level))); filterFindings();
  }}, `${level} ${count}`));
}
if (!groups.length) $("filters").classList.add("hidden");
$("findings-search").addEventListener("input", filterFindings);
document.addEventListener("click", async event => {
  const button = event.target.closest("button");
  if (button && button.classList.contains("unfold")) { button.previousElementSibling.classList.add("open"); button.remove(); }
  if (button && button.classList.contains("copy")) {
    const code = button.previousElementSibling;
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = document.execCommand("copy") ? "copied" : "selected"; }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  }
});

// --- the graph: who requires whom, and who is folded into whom
const needs = packages.map(() => []), neededBy = packages.map(() => []);
for (const [from, to, text] of data.dependencies) if (from !== to) { needs[from].push([to, text]); neededBy[to].push([from, text]); }
const next = needs.map(list => [...new Set(list.map(([to]) => to))]);
const isAsked = packages.map(p => p.requested.length > 0);
if (!isAsked.some(Boolean)) packages.forEach((p, i) => { isAsked[i] = !neededBy[i].length; });
const MANY = 60, topOnly = isAsked.filter(Boolean).length > MANY;
const isTop = packages.map((p, i) => isAsked[i] && !(topOnly && neededBy[i].length));

// The immediate dominator of a package is the one through which every request reaches it (Cooper, Harvey, Kennedy 2001).
// A package is folded into it; -1 is the person who asked.
function dominators() {
  const order = [], state = new Uint8Array(packages.length);
  const walk = start => {
    const stack = [[start, 0]]; state[start] = 1;
    while (stack.length) {
      const top = stack[stack.length - 1], [node, at] = top;
      if (at === next[node].length) { order.push(node); stack.pop(); continue; }
      top[1]++;
      const to = next[node][at];
      if (!state[to]) { state[to] = 1; stack.push([to, 0]); }
    }
  };
  const roots = packages.map((p, i) => i).filter(i => isTop[i]);
  roots.forEach(i => { if (!state[i]) walk(i); });
  packages.forEach((p, i) => { if (!state[i]) { roots.push(i); walk(i); } });  // of cycles that nobody asked for
  const isRoot = new Set(roots), rank = new Int32Array(packages.length), up = new Int32Array(packages.length).fill(-2);
  order.forEach((node, at) => { rank[node] = at; });
  const meet = (a, b) => {
    while (a !== b) { if (a === -1 || b === -1) return -1; if (rank[a] < rank[b]) a = up[a]; else b = up[b]; }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (let at = order.length - 1; at >= 0; at--) {
      const node = order[at];
      let found = isRoot.has(node) ? -1 : -2;
      for (const [from] of neededBy[node]) if (up[from] !== -2 || isRoot.has(from)) found = found === -2 ? from : found === -1 ? -1 : meet(found, from);
      if (found !== up[node] && found !== -2) { up[node] = found; changed = true; }
    }
  }
  return up;
}
// In a large environment too few have one; there a package is folded into the nearest one that requires it.
function nearest() {
  const up = new Int32Array(packages.length).fill(-2);
  const spread = pending => { for (const i of pending) for (const to of next[i]) if (up[to] === -2) { up[to] = i; pending.push(to); } };
  const roots = packages.map((p, i) => i).filter(i => isTop[i]);
  roots.forEach(i => { up[i] = -1; }); spread(roots);
  packages.forEach((p, i) => { if (up[i] === -2) { up[i] = -1; spread([i]); } });
  return up;
}
let parent = dominators();
if (parent.filter(up => up < 0).length > MANY) parent = nearest();
const folded = packages.map(() => []);
parent.forEach((up, i) => { if (up >= 0) folded[up].push(i); });
const below = i => folded[i].reduce((sum, each) => sum + 1 + below(each), 0);
const open = new Set();
let isFolded = true, chosen = null, places = null, view = null, items = new Map(), lines = [];

function visible() {
  if (!isFolded) return packages.map((p, i) => i);
  const found = [], pending = packages.map((p, i) => i).filter(i => parent[i] < 0);
  while (pending.length) { const i = pending.pop(); found.push(i); if (open.has(i)) pending.push(...folded[i]); }
  return found.sort((a, b) => a - b);
}
function arrows(nodes) {  // between visible packages, without those that a longer way implies
  const seen = new Set(nodes), stand = packages.map((p, i) => { while (!seen.has(i)) i = parent[i]; return i; });
  const to = new Map(nodes.map(i => [i, new Set()]));
  next.forEach((list, from) => list.forEach(each => { if (stand[from] !== stand[each]) to.get(stand[from]).add(stand[each]); }));
  const reach = new Map();
  const reached = start => {
    if (reach.has(start)) return reach.get(start);
    const found = new Set(), pending = [...to.get(start)];
    while (pending.length) { const i = pending.pop(); if (!found.has(i)) { found.add(i); pending.push(...to.get(i)); } }
    reach.set(start, found);
    return found;
  };
  const result = [];
  for (const [from, list] of to) for (const each of list)
    if (reached(each).has(from) || ![...list].some(other => other !== each && reached(other).has(each) && !reached(other).has(from))) result.push([from, each]);
  return result;
}
const title = i => packages[i].name.length > 30 ? packages[i].name.slice(0, 29) + "…" : packages[i].name;
const HEIGHT = 26, graph = $("graph"), pen = document.createElement("canvas").getContext("2d");
pen.font = `13px ${getComputedStyle(document.body).fontFamily}`;
const measured = text => pen.measureText(text).width;
function layOut() {
  const nodes = visible(), edges = arrows(nodes), tied = new Set(edges.flat()), layout = new dagre.graphlib.Graph();
  layout.setGraph({rankdir: "LR", nodesep: 9, edgesep: 5, ranksep: 46, marginx: 14, marginy: 14, ranker: nodes.length > 120 ? "longest-path" : "network-simplex"});
  layout.setDefaultEdgeLabel(() => ({}));
  const widthOf = i => 20 + measured(title(i)) + (isFolded && folded[i].length && !open.has(i) ? 10 + measured(` +${below(i)}`) : 0);
  for (const i of nodes) if (tied.has(i)) layout.setNode(String(i), {width: widthOf(i), height: HEIGHT});
  for (const [from, to] of edges) layout.setEdge(String(from), String(to));
  dagre.layout(layout);
  const size = tied.size ? layout.graph() : {width: 0, height: 14}, row = {x: 14, y: size.height + 14}, wide = Math.max(size.width, graph.clientWidth || 600);
  places = new Map(nodes.filter(i => tied.has(i)).map(i => [i, layout.node(String(i))])); items = new Map(); lines = [];
  for (const i of nodes) if (!tied.has(i)) {  // in rows below the graph
    const width = widthOf(i);
    if (row.x > 14 && row.x + width > wide - 14) { row.x = 14; row.y += HEIGHT + 9; }
    places.set(i, {x: row.x + width / 2, y: row.y, width}); row.x += width + 9;
  }
  const world = draw("g", {});
  for (const [from, to] of edges) {
    const points = layout.edge(String(from), String(to)).points;
    let path = `M${points[0].x},${points[0].y}`;
    for (let at = 1; at < points.length; at++) { const a = points[at - 1], b = points[at], m = (a.x + b.x) / 2; path += `C${m},${a.y} ${m},${b.y} ${b.x},${b.y}`; }
    const line = draw("path", {d: path}); lines.push([line, from, to]); world.append(line);
  }
  for (const i of nodes) world.append(node(i));
  graph.replaceChildren(world);
  view = {width: Math.max(size.width, ...[...places.values()].map(at => at.x + at.width / 2 + 14)), height: row.x > 14 ? row.y + HEIGHT / 2 + 14 : size.height, x: 0, y: 0, scale: 1};
  start(); mark();
}
function node(i) {
  const p = packages[i], at = places.get(i), left = at.x - at.width / 2, hidden = isFolded && folded[i].length && !open.has(i) ? below(i) : 0;
  const said = `${title(i)}${hidden ? " +" + hidden : ""}, ${title(i) === p.name ? "" : p.name + " "}${p.version}, ${p.source}${isAsked[i] ? ", requested" : ""}${p.worst ? ", has findings: " + p.worst : ""}${hidden ? `, ${hidden} packages folded into it` : ""}`;
  const item = draw("g", {class: `node ${p.source}${isAsked[i] ? " asked" : ""}${p.worst === "error" ? " bad" : ""}`, tabindex: "-1", role: "button", "aria-label": said,
    click: event => { if (event.target.classList.contains("more")) toggle(i); else choose(i); }, keydown: event => move(event, i)},
    draw("rect", {x: left, y: at.y - HEIGHT / 2, width: at.width, height: HEIGHT, rx: 6}),
    draw("text", {x: left + 10, y: at.y + 4.5}, title(i)),
    hidden ? draw("text", {x: left + at.width - 10, y: at.y + 4.5, "text-anchor": "end", class: "more"}, ` +${hidden}`) : null);
  items.set(i, item);
  return item;
}
function start() {  // as large as text can be read; higher graphs are dragged
  const width = graph.clientWidth || 600;
  view.scale = Math.min(1, Math.max(.8, width / view.width));
  graph.setAttribute("height", Math.round(Math.max(140, Math.min(640, view.height * view.scale))));
  view.x = view.y = 0; show();
}
function show() {
  const width = (graph.clientWidth || 600) / view.scale, height = graph.getAttribute("height") / view.scale;
  graph.setAttribute("viewBox", `${view.x} ${view.y} ${width} ${height}`);
}
function zoom(by) {
  const width = graph.clientWidth / view.scale, height = graph.getAttribute("height") / view.scale;
  view.x += width / 2 * (1 - 1 / by); view.y += height / 2 * (1 - 1 / by); view.scale *= by; show();
}
function see(i) {
  const at = places.get(i), width = graph.clientWidth / view.scale, height = graph.getAttribute("height") / view.scale;
  if (at.x - at.width / 2 < view.x || at.x + at.width / 2 > view.x + width) view.x = at.x - width / 2;
  if (at.y - 20 < view.y || at.y + 20 > view.y + height) view.y = at.y - height / 2;
  show();
}
function toggle(i) {
  open.has(i) ? open.delete(i) : open.add(i);
  layOut(); see(i); items.get(i).focus();
}
function reveal(i) {  // unfold what a package is folded into
  if (!isFolded || places.has(i)) return;
  for (let up = parent[i]; up >= 0; up = parent[up]) open.add(up);
  layOut();
}
function mark() {
  const near = new Set(chosen === null ? [] : [chosen, ...next[chosen], ...neededBy[chosen].map(([from]) => from)]);
  graph.classList.toggle("focus", chosen !== null && places.has(chosen));
  const first = chosen !== null && items.has(chosen) ? chosen : items.keys().next().value;
  for (const [i, item] of items) {
    item.classList.toggle("near", near.has(i)); item.classList.toggle("chosen", i === chosen); item.setAttribute("tabindex", i === first ? "0" : "-1");
  }
  for (const [line, from, to] of lines) line.classList.toggle("near", from === chosen || to === chosen);
}
function choose(i, isFocused) {
  reveal(i); chosen = i; mark(); see(i); detail(i);
  if (isFocused) items.get(i).focus({preventScroll: true});
}
function move(event, i) {
  const key = event.key, here = places.get(i);
  const nearest = list => list.filter(each => places.has(each)).sort((a, b) => Math.abs(places.get(a).y - here.y) - Math.abs(places.get(b).y - here.y))[0];
  const shownNext = lines.filter(([, from]) => from === i).map(([, , to]) => to), shownBefore = lines.filter(([, , to]) => to === i).map(([, from]) => from);
  const beside = [...places.keys()].filter(each => each !== i && Math.abs(places.get(each).x - here.x) < 120);
  let to;
  if (key === "Enter" || key === " ") to = i;
  else if (key === "ArrowRight") to = nearest(shownNext);
  else if (key === "ArrowLeft") to = nearest(shownBefore);
  else if (key === "ArrowDown") to = nearest(beside.filter(each => places.get(each).y > here.y));
  else if (key === "ArrowUp") to = nearest(beside.filter(each => places.get(each).y < here.y));
  else if (key === "+" || key === "-") { if (folded[i].length && isFolded && open.has(i) === (key === "-")) toggle(i); }
  else if (key === "Escape") { chosen = null; $("detail").replaceChildren(); mark(); }
  else return;
  event.preventDefault();
  if (to !== undefined) choose(to, true);
}
const link = i => make("button", {type: "button", class: "link", click: () => { choose(i); $("dependencies").scrollIntoView(); }}, packages[i].name);
function detail(i) {
  const p = packages[i], listed = found => found.length ? make("ul", {}, ...found.map(([n, text]) => make("li", {}, link(n), " ", make("span", {class: "soft mono"}, text)))) : make("p", {class: "soft"}, "none");
  const rows = [["version", p.version], ["build", p.build], ["from", p.source], ["origin", p.origin], ["licence", p.license], ["projects", p.projects.join(", ")], ["requested", p.requested.join(", ")], ["archive", p.url], ["sha256", p.sha256]];
  const card = $(`package-${i}`), count = Object.values(p.files).reduce((sum, names) => sum + names.length, 0);
  $("detail").replaceChildren(make("h3", {class: p.source}, p.name),
    make("table", {}, make("tbody", {}, ...rows.filter(([, value]) => value).map(([key, value]) => make("tr", {}, make("th", {scope: "row"}, key), make("td", {}, value))))),
    ...(card ? [make("p", {}, make("a", {href: `#package-${i}`, click: () => { for (const level of levels.keys()) shown.add(level); $("findings-search").value = ""; all("#levels button").forEach(b => b.setAttribute("aria-pressed", "true")); filterFindings(); }}, "its findings"))] : []),
    ...(folded[i].length && isFolded ? [make("p", {}, make("button", {type: "button", click: () => { toggle(i); detail(i); }}, open.has(i) ? "fold" : `unfold ${below(i)} packages`))] : []),
    make("h4", {}, `Requires ${needs[i].length}`), listed(needs[i]), make("h4", {}, `Required by ${neededBy[i].length}`), listed(neededBy[i]), make("p", {class: "soft"}, `${count} paths`));
}
function press() { isFolded = !isFolded; $("fold").setAttribute("aria-pressed", String(isFolded)); $("fold").textContent = isFolded ? "fold" : "folded off"; layOut(); }
$("fold").textContent = "fold"; $("fold").addEventListener("click", press);
$("fit").addEventListener("click", () => { view.scale = Math.min(graph.clientWidth / view.width, graph.getAttribute("height") / view.height, 1.4); view.x = view.y = 0; show(); });
$("smaller").addEventListener("click", () => zoom(1 / 1.25)); $("larger").addEventListener("click", () => zoom(1.25));
$("graph-names").append(...packages.map(p => make("option", {value: p.name})));
$("graph-search").addEventListener("input", event => { const i = packages.findIndex(p => p.name === event.target.value.trim().toLowerCase()); if (i >= 0) choose(i); });
$("graph-search").addEventListener("keydown", event => { if (event.key !== "Enter") return;
  const wanted = event.target.value.trim().toLowerCase(), i = packages.findIndex(p => p.name.startsWith(wanted)), j = i >= 0 ? i : packages.findIndex(p => p.name.includes(wanted)); if (j >= 0 && wanted) choose(j, true); });
let held = null;
graph.addEventListener("wheel", event => { if (event.ctrlKey) { event.preventDefault(); zoom(event.deltaY > 0 ? 1 / 1.15 : 1.15); } }, {passive: false});
graph.addEventListener("pointerdown", event => { held = [event.clientX, event.clientY, view.x, view.y]; });
window.addEventListener("pointermove", event => { if (!held || !event.buttons) return; view.x = held[2] - (event.clientX - held[0]) / view.scale; view.y = held[3] - (event.clientY - held[1]) / view.scale; show(); });
window.addEventListener("pointerup", () => { held = null; }); window.addEventListener("resize", () => { if (view) show(); });
for (const source of ["conda", "wheel", "unmanaged"]) $("legend").append(make("span", {class: source}, "▭ " + source), "  ");
$("legend").append("thick: requested; dashed red: has errors; +n: packages folded into it, which it brings. Drag to move; arrow keys follow the lines, + and − unfold.");

// --- packages and paths
const rows = all("#packages tbody tr");
rows.forEach(row => { const label = row.querySelector(".label"); label.replaceChildren(link(Number(row.dataset.package))); });
const rowTexts = rows.map((row, i) => (row.textContent + " " + packages[row.dataset.package].projects.join(" ")).toLowerCase());
$("packages-search").addEventListener("input", event => { const wanted = event.target.value.trim().toLowerCase(); rows.forEach((row, i) => row.classList.toggle("hidden", !rowTexts[i].includes(wanted))); });
function* pathsOf(p) { for (const [folder, names] of Object.entries(p.files)) for (const name of names) yield folder ? folder + "/" + name : name; }
$("paths-search").addEventListener("input", event => {
  const wanted = event.target.value.trim().toLowerCase(), found = [];
  if (wanted.length > 1) search: for (let i = 0; i < packages.length; i++) for (const path of pathsOf(packages[i]))
    if (path.toLowerCase().includes(wanted)) { found.push(make("tr", {}, make("td", {class: "mono"}, path), make("td", {}, link(i)))); if (found.length === 200) break search; }
  $("found-paths").replaceChildren(found.length ? make("table", {}, make("tbody", {}, ...found)) : make("p", {class: "soft"}, wanted.length > 1 ? "no package owns such a path" : ""),
    found.length === 200 ? make("p", {class: "soft"}, "the first 200") : "");
});
filterFindings(); layOut();
document.documentElement.dataset.drawn = Math.round(performance.now());
