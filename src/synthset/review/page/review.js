// The page: its parts, and the keys.

import { Thumbnails } from "./api.js";
import { ask, chooseClass, element, showHelp } from "./dialogs.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { Large } from "./large.js";
import { PhraseSheet } from "./phrases.js";
import { KEEP, REJECT, Store } from "./store.js";

const MANY = 24;  // images that are not judged at once without a question

const find = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");
const images = (n) => `${number(n)} image${n === 1 ? "" : "s"}`;

const store = new Store();
const thumbnails = new Thumbnails("thumbnails");
const grid = new Grid(find("grid"), store, thumbnails);
const filters = new Filters(find("filters"), store);
const large = new Large(find("large"), store, thumbnails);
const phrases = new PhraseSheet(find("phrases"), store, thumbnails);

// ---- what is shown ----

function tellTally() {
  const { kept, left, byHand, relabelled } = store.tally();
  const share = store.count ? (100 * kept) / store.count : 0;
  const bar = element("span", { className: "bar" }, element("span", { className: "filled" }));
  bar.firstChild.style.width = `${share}%`;
  const entry = (value, word, kind) => element("span", { className: kind }, element("b", { text: number(value) }), ` ${word}`);
  find("tally").replaceChildren(bar, entry(kept, "kept", "kept"), entry(left, "left out", "left"), entry(byHand, "by hand", "hand"),
    ...(relabelled ? [entry(relabelled, "relabelled", "relabelled")] : []));
}

function tellSaving() {
  const waiting = store.outbox.reduce((sum, change) => sum + change.rows.length, 0);
  const saving = find("saving");
  saving.classList.toggle("bad", Boolean(store.problem));
  if (store.problem && waiting) saving.textContent = `Not saved yet: ${images(waiting)}. ${store.problem}`;
  else if (store.problem) saving.textContent = store.problem;
  else saving.textContent = waiting ? "Saving …" : store.head ? "Saved" : "";
  saving.title = saving.textContent;
}

function tellShown() {
  const shown = store.view.length;
  find("shown").textContent = shown === store.count ? images(shown) : `${number(shown)} of ${images(store.count)}`;
  find("empty").hidden = shown > 0;
  find("empty").textContent = "No image is so. Choose another verdict, class, strategy or score.";
  find("grid").hidden = shown === 0;
}

function tellActions() {
  const meant = grid.meant();
  const what = grid.selected.size ? `${images(meant.length)} selected` : meant.length ? store.className(meant[0]) : "No image";
  const button = (text, key, act, kind) => element("button", { type: "button", className: kind, onclick: act, disabled: !meant.length && key !== "z" }, text, " ", element("kbd", { text: key }));
  find("actions").replaceChildren(
    element("span", { className: "meant", text: what, title: what }),
    button("Keep", "k", () => judge(KEEP), "keep"), button("Reject", "r", () => judge(REJECT), "reject"),
    button("Class", "l", relabel, ""), button("Clear", "c", () => judge(0), ""), button("Undo", "z", undo, ""),
    element("button", { type: "button", className: "wide", text: "Select all shown", onclick: () => grid.selectAll() }),
  );
}

function say(text) {
  find("said").textContent = text;
}

function fillOrder() {
  const order = find("order");
  const options = [["", "as drawn"], ["class", "by class"]];
  for (const name of store.head.scores) options.push([`lowest:${name}`, `${name}: lowest first`], [`highest:${name}`, `${name}: highest first`]);
  order.replaceChildren(...options.map(([value, text]) => element("option", { value, text })));
  order.value = store.filter.order;
}

store.addEventListener("loaded", () => {
  document.title = `${store.head.name} · Review`;
  find("name").textContent = store.head.name;
  find("name").title = store.head.name;
  fillOrder();
  filters.build();
  tellTally();
});
store.addEventListener("images", () => {
  thumbnails.clear();
  grid.selected.clear();
  large.close();
});
store.addEventListener("view", () => {
  grid.selected.clear();
  grid.anchor = 0;
  find("grid").scrollTop = 0;
  grid.place = 0;
  tellShown();
  grid.layOut();
  tellActions();
});
store.addEventListener("changed", () => {
  grid.refresh();
  tellTally();
  filters.count();
  tellActions();
  if (large.isOpen) large.dress();
});
store.addEventListener("saving", tellSaving);
grid.addEventListener("focus", () => {
  tellActions();
  if (large.isOpen && grid.position !== undefined) large.show(grid.position);
});
grid.addEventListener("open", openLarge);

function openLarge() {
  if (grid.position !== undefined) large.show(grid.position);
}

large.onGo = (to) => {
  if (to === null) {
    large.close();
    find("grid").focus();
  } else if (typeof to === "number") {
    grid.focus(grid.place + to);
  } else {
    const place = store.view.indexOf(to.position);
    if (place >= 0) grid.focus(place);
    else large.show(to.position);
  }
};

// ---- verdicts ----

/** What a verdict is about: the image that is large, the selected ones, or the focused one. */
function meant() {
  return large.isOpen ? [large.position] : grid.meant();
}

async function decide(change, verb) {
  const positions = meant();
  if (!positions.length) return;
  const words = `${verb} ${positions.length === 1 ? store.className(positions[0]) : images(positions.length)}`;
  if (positions.length > MANY && !(await ask(`${words}?`, verb))) return;
  store.decide(positions, change(positions), words);
  say(words);
  if (positions.length > 1) grid.selectNone();
  else if (store.view[grid.place] === positions[0] && grid.place + 1 < store.view.length) grid.focus(grid.place + 1);
}

function judge(hand) {
  if (hand) return decide(() => ({ hand }), hand > 0 ? "Keep" : "Reject");
  // back to how it was drawn: class by class, for each image has its own
  const positions = meant();
  const byClass = Map.groupBy(positions, (i) => store.columns.drawn[i]);
  if (byClass.size === 1) return decide(() => ({ hand: 0, label: byClass.keys().next().value }), "Clear");
  return clearSeveral(byClass, positions.length);
}

async function clearSeveral(byClass, count) {
  if (count > MANY && !(await ask(`Clear ${images(count)}?`, "Clear"))) return;
  for (const [label, positions] of byClass) store.decide(positions, { hand: 0, label }, `Clear ${images(positions.length)}`);
  grid.selectNone();
}

async function relabel() {
  const positions = meant();
  if (!positions.length) return;
  const of = positions.length === 1 ? store.className(positions[0]) : images(positions.length);
  const label = await chooseClass(store.head.classes, `Another class for ${of}`);
  if (label !== null) await decide(() => ({ hand: KEEP, label }), `${store.head.classes[label]} for`);
}

function undo() {
  const step = store.undo();
  say(step ? `Taken back: ${step.words}` : "Nothing to take back");
  if (!step) return;
  const place = store.view.indexOf(store.positionOf.get(step.rows[0]));
  if (place >= 0) grid.focus(place);
}

// ---- keys and buttons ----

const MOVES = {
  ArrowRight: () => 1,
  ArrowLeft: () => -1,
  ArrowDown: () => grid.perRow,
  ArrowUp: () => -grid.perRow,
  PageDown: () => grid.perRow * grid.pageRows(),
  PageUp: () => -grid.perRow * grid.pageRows(),
  Home: () => -Infinity,
  End: () => Infinity,
};
const KEYS = {
  k: () => judge(KEEP),
  r: () => judge(REJECT),
  l: relabel,
  c: () => judge(0),
  z: undo,
  u: undo,
  n: () => large.isOpen && large.startNeighbours(),
  f: () => showFilters(true),
  ".": () => store.apply(),
  "+": () => grid.resize(1),
  "=": () => grid.resize(1),
  "-": () => grid.resize(-1),
  p: () => phrases.open(),
  "?": showHelp,
  Enter: openLarge,
  " ": () => grid.toggle(grid.place),
  Escape: escape,
};

function escape() {
  if (phrases.isOpen) phrases.close();
  else if (large.isOpen) large.onGo(null);
  else if (document.body.classList.contains("filtering")) showFilters(false);
  else grid.selectNone();
}

addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || !store.head) return;
  const isText = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && (isText || phrases.isOpen)) {
    escape();
    find("grid").focus();
    return;
  }
  if (isText || phrases.isOpen) return;
  if ((event.key === "Enter" || event.key === " ") && event.target.matches("button")) return;
  const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
  if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
    grid.selectAll();
    event.preventDefault();
  } else if (event.key in MOVES && !hasModifier) {
    const step = MOVES[event.key]();
    const place = grid.place + step;
    // up and down stay in their column: no step where there is no row
    const isBeyond = (place < 0 || place >= store.view.length) && Math.abs(step) === grid.perRow && grid.perRow > 1;
    if (!isBeyond) grid.focus(place, { extend: event.shiftKey && !large.isOpen });
    event.preventDefault();
  } else if (event.key in KEYS && !hasModifier) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

function showFilters(wanted) {
  document.body.classList.toggle("filtering", wanted);
  find("show-filters").setAttribute("aria-expanded", wanted);
  if (wanted) filters.focus();
}

find("show-filters").onclick = () => showFilters(!document.body.classList.contains("filtering"));
for (const place of document.querySelectorAll("main, footer")) place.addEventListener("click", () => showFilters(false));
find("show-phrases").onclick = () => phrases.open();
find("show-help").onclick = showHelp;
find("smaller").onclick = () => grid.resize(-1);
find("larger").onclick = () => grid.resize(1);
find("order").onchange = () => {
  store.setFilter({ order: find("order").value });
  find("grid").focus();
};
addEventListener("beforeunload", (event) => {
  if (store.outbox.length) event.preventDefault();
});
document.addEventListener("visibilitychange", () => store.poll());

find("grid").focus();
await store.load();
