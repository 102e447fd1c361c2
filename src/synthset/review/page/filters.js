// Which images are shown: by class, strategy, verdict and score.

import { element } from "./dialogs.js";

const CLASSES_SHOWN = 200;

export class Filters {
  constructor(panel, store) {
    this.panel = panel;
    this.store = store;
  }

  build() {
    const { store } = this;
    const { filter, head } = store;
    this.verdict = element("select", { id: "verdict", onchange: () => this.set({ verdict: this.verdict.value }) },
      ...store.verdicts().map(([value, text]) => element("option", { value, text })));
    this.verdict.value = filter.verdict;
    this.search = element("input", { type: "search", placeholder: "Search", value: filter.search, oninput: () => this.searchClasses() });
    this.search.setAttribute("aria-label", "Search classes");
    this.classes = element("ul", { className: "choices" });
    this.strategies = element("ul", { className: "choices" });
    const all = element("button", { type: "button", className: "plain", text: "Show all images", onclick: () => this.clear() });
    this.panel.replaceChildren(
      element("section", {}, element("label", { className: "head", htmlFor: "verdict", text: "Verdict" }), this.verdict),
      ...(head.scores.length ? [this.buildScores()] : []),
      ...(head.strategies.length > 1 ? [element("section", {}, element("h2", { text: "Strategy" }), this.strategies)] : []),
      element("section", { className: "classes" }, element("h2", { text: "Class" }), ...(head.classes.length > 12 ? [this.search] : []), this.classes),
      all,
    );
    this.count();
  }

  buildScores() {
    const { filter, head } = this.store;
    const change = () => this.set({ score: this.score.value, from: this.from.value, to: this.to.value });
    this.score = element("select", { onchange: change }, ...head.scores.map((name) => element("option", { value: name, text: name })));
    this.score.value = filter.score || head.scores[0];
    this.score.setAttribute("aria-label", "Score");
    [this.from, this.to] = ["from", "to"].map((name) => {
      const input = element("input", { type: "number", step: "any", value: filter[name], placeholder: name, oninput: change });
      input.setAttribute("aria-label", `Score ${name}`);
      return input;
    });
    return element("section", {}, element("h2", { text: "Confidence" }), this.score, element("div", { className: "row range" }, this.from, "–", this.to));
  }

  focus() {
    this.verdict.focus();
  }

  set(change) {
    this.store.setFilter(change);
    this.count();
  }

  clear() {
    this.store.setFilter({ search: "", classes: [], strategies: [], verdict: "all", score: "", from: "", to: "" });
    this.build();
  }

  searchClasses() {
    this.store.filter.search = this.search.value;
    this.count();
  }

  /** How many images each choice has, of all there are. */
  count() {
    const { columns, head, filter, count } = this.store;
    const ofClass = new Int32Array(head.classes.length);
    const keptOfClass = new Int32Array(head.classes.length);
    const ofStrategy = new Int32Array(head.strategies.length);
    for (let i = 0; i < count; i++) {
      ofClass[columns.label[i]] += 1;
      keptOfClass[columns.label[i]] += this.store.isKept(i);
      ofStrategy[columns.strategy[i]] += 1;
    }
    const text = filter.search.trim().toLowerCase();
    const found = [...head.classes.keys()].filter((k) => head.classes[k].toLowerCase().includes(text));
    const shown = found.slice(0, CLASSES_SHOWN);
    fill(this.classes, shown.map((k) => this.choice("classes", head.classes[k], ofClass[k], keptOfClass[k])));
    if (found.length > shown.length) this.classes.append(element("li", { className: "quiet", text: `and ${(found.length - shown.length).toLocaleString("en")} more: search` }));
    fill(this.strategies, head.strategies.map((name, i) => this.choice("strategies", name, ofStrategy[i])));
  }

  choice(kind, name, total, kept = total) {
    const { filter } = this.store;
    const box = element("input", { type: "checkbox", checked: filter[kind].includes(name) });
    box.onchange = () => this.set({ [kind]: box.checked ? [...filter[kind], name] : filter[kind].filter((one) => one !== name) });
    box.dataset.name = name;
    const number = kept === total ? total.toLocaleString("en") : `${kept.toLocaleString("en")} of ${total.toLocaleString("en")}`;
    return element("li", {}, element("label", { title: name }, box, element("span", { className: "class", text: name }), element("span", { className: "score", text: number })));
  }
}

/** New items, with the focus where it was. */
function fill(list, items) {
  const name = list.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  const top = list.scrollTop;
  list.replaceChildren(...items);
  list.scrollTop = top;
  if (name !== null) [...list.querySelectorAll("input")].find((input) => input.dataset.name === name)?.focus();
}
