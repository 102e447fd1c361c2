// One image, large, with all that is known of it.

import { Refusal, Thumbnails, get, getPicture, post } from "./api.js";
import { element } from "./dialogs.js";

const POLL_MS = 400;

export class Large {
  constructor(section, store, thumbnails) {
    this.section = section;
    this.store = store;
    this.thumbnails = thumbnails;
    this.realThumbnails = new Thumbnails("real-thumbnails", 200);
    this.onGo = () => {};
    this.url = "";
    this.wantsNeighbours = false;
  }

  get isOpen() {
    return !this.section.hidden;
  }

  close() {
    this.section.hidden = true;
    this.row = null;
  }

  async show(position) {
    const row = this.store.row(position);
    this.section.hidden = false;
    this.position = position;
    if (this.row === row) {
      this.dress();
      return;
    }
    this.row = row;
    this.build();
    this.dress();
    try {
      const [facts, url] = await Promise.all([get(`facts/${row}`), getPicture(`image/${row}`)]);
      if (this.row !== row) {
        URL.revokeObjectURL(url);
        return;
      }
      URL.revokeObjectURL(this.url);
      this.url = url;
      this.picture.src = url;
      this.facts.replaceChildren(...listOf(facts));
      this.verdicts.replaceChildren(...facts.verdicts.map(verdictOf));
      this.findNeighbours();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.facts.replaceChildren(element("dt", { text: "Error" }), element("dd", { text: error.message }));
    }
  }

  build() {
    this.picture = element("img", { alt: "", draggable: false });
    this.picture.onload = () => this.picture.classList.toggle("small", this.picture.naturalWidth < 256);
    this.title = element("h2", {});
    this.verdict = element("p", { className: "verdict" });
    this.facts = element("dl", { className: "facts" });
    this.verdicts = element("ul", { className: "verdicts" });
    this.near = element("div", { className: "near" });
    const close = element("button", { type: "button", className: "close", title: "Close (Esc)", onclick: () => this.onGo(null) });
    close.textContent = "✕";
    close.setAttribute("aria-label", "Close");
    const back = element("button", { type: "button", className: "step back", onclick: () => this.onGo(-1) });
    const on = element("button", { type: "button", className: "step on", onclick: () => this.onGo(1) });
    back.textContent = "‹";
    on.textContent = "›";
    back.setAttribute("aria-label", "Previous image");
    on.setAttribute("aria-label", "Next image");
    this.section.replaceChildren(
      element("div", { className: "stand" }, back, this.picture, on),
      element("div", { className: "side" }, close, this.title, this.verdict, this.verdicts, this.facts, this.near),
    );
  }

  /** What changes by verdicts. */
  dress() {
    const { store, position } = this;
    const hand = store.columns.hand[position];
    const isNew = store.columns.label[position] !== store.columns.drawn[position];
    const by = store.rejectedBy(position);
    this.title.textContent = store.className(position);
    const state = hand > 0 ? "Kept by hand" : hand < 0 ? "Rejected by hand" : by.length ? `Left out by ${by.join(" and ")}` : "Kept; not judged by hand";
    this.verdict.textContent = isNew ? `${state} · drawn for ${store.drawnClass(position)}` : state;
    this.verdict.className = `verdict ${hand > 0 ? "kept" : hand < 0 ? "rejected" : by.length ? "filtered" : "none"}`;
    this.section.classList.toggle("left-out", !store.isKept(position));
    const predicted = store.predictedClass(position);
    if (predicted) this.verdict.textContent += ` · predicted: ${predicted} (${store.score(position, "prediction").toFixed(2)})`;
  }

  async startNeighbours() {
    this.wantsNeighbours = true;
    try {
      await post("neighbours");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
    this.findNeighbours();
  }

  async findNeighbours() {
    const { row } = this;
    let answer;
    try {
      answer = await get(`neighbours/${row}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answer = { state: "failed", error: error.message };
    }
    if (this.row !== row) return;
    this.near.replaceChildren(element("h3", { text: "Nearest images" }), ...this.describe(answer));
    if (answer.state === "working") setTimeout(() => this.row === row && this.findNeighbours(), POLL_MS);
  }

  describe(answer) {
    if (answer.why_not) return [element("p", { className: "quiet", text: answer.why_not })];
    if (answer.state === "working") {
      const bar = element("progress", { max: Math.max(1, answer.total), value: answer.done });
      return [element("p", { className: "quiet", text: `${answer.doing} …` }), bar];
    }
    if (answer.state === "done") {
      const parts = [this.strip("Synthetic", answer.synthetic, this.thumbnails, true)];
      if (this.store.head.has_real) parts.push(this.strip("Real", answer.real, this.realThumbnails, false));
      return parts;
    }
    const parts = answer.error ? [element("p", { className: "bad", text: answer.error })] : [];
    const button = element("button", { type: "button", onclick: () => this.startNeighbours() }, "Find them ", element("kbd", { text: "n" }));
    const note = element("p", { className: "quiet", text: "All images are embedded for it, once." });
    return [...parts, button, note];
  }

  strip(title, neighbours, thumbnails, canGo) {
    const pictures = new Map();
    const items = neighbours.map(({ row, similarity, class_name: className }) => {
      const picture = element("img", { alt: "" });
      const position = canGo ? this.store.positionOf.get(row) : undefined;
      const name = canGo ? (position === undefined ? "" : this.store.className(position)) : className;
      pictures.set(row, picture);
      const item = element(position === undefined ? "div" : "button", { className: "neighbour", title: name }, picture,
        element("span", { text: name, className: "class" }), element("span", { text: similarity.toFixed(3), className: "score" }));
      if (position !== undefined) item.onclick = () => this.onGo({ position });
      return item;
    });
    const arrived = (row) => {
      const url = thumbnails.url(row);
      if (url) pictures.get(row).src = url;
    };
    for (const row of pictures.keys()) if (thumbnails.has(row)) arrived(row);
    thumbnails.want(pictures.keys(), () => true, arrived);
    return element("figure", {}, element("figcaption", { text: title }), element("div", { className: "strip" }, ...items));
  }
}

function listOf(facts) {
  const { generator } = facts;
  const entries = [
    ["Prompt", facts.prompt || "(none)"],
    ["Away from", facts.negative_prompt],
    ["Drawn for", facts.drawn_for],
    ["Strategy", facts.strategy],
    ["Guidance", String(Number(facts.guidance_scale.toPrecision(6)))],
    ["Seed", facts.seed],
    ["Steps", `${facts.steps}, ${generator.scheduler}`],
    ["Generator", `${generator.model}${generator.revision ? ` @ ${generator.revision.slice(0, 12)}` : ""}, ${facts.size}`],
    ["Id", `${facts.request_id}`],
    ["SHA-256", facts.sha256],
  ];
  return entries.filter(([, value]) => value).flatMap(([name, value]) =>
    [element("dt", { text: name }), element("dd", { text: value, className: name === "SHA-256" ? "hash" : "" })]);
}

function verdictOf({ method, keep, score, reason }) {
  const number = score === null ? "" : ` ${score.toFixed(3)}`;
  return element("li", { className: keep ? "kept" : "rejected" },
    element("b", { text: method }), element("span", { text: `${keep ? "keeps" : "rejects"}${number}` }),
    element("span", { className: "quiet", text: reason }));
}
