// The images as columns of numbers, what is shown of them, and the verdicts: sent at once, kept until they are saved.

import { Refusal, get, getBytes, post, whenTokenChanges } from "./api.js";

const ARRAYS = { int8: Int8Array, int32: Int32Array, float32: Float32Array };
const POLL_MS = 2000;
const RETRY_MS = 1000;
const MOST_ROWS = 100000;  // of changes that are sent at once: the server takes no more than 4 MB
const ALL = { search: "", classes: [], strategies: [], verdict: "all", score: "", from: "", to: "", order: "" };
const FILTER_KEY = "synthset-review-filter";

export const KEEP = 1;
export const REJECT = -1;

export class Store extends EventTarget {
  constructor() {
    super();
    this.filter = { ...ALL, ...JSON.parse(sessionStorage.getItem(FILTER_KEY) ?? "{}") };
    this.view = new Int32Array(0);  // positions in the columns
    this.outbox = [];  // changes that are not saved yet
    this.undone = [];  // steps that can be taken back, the latest last
    this.problem = "";
    this.isSending = false;
    whenTokenChanges(() => (this.head ? this.send() : this.load()));
  }

  tell(what) {
    this.dispatchEvent(new Event(what));
  }

  // ---- reading ----

  async load() {
    try {
      const data = await getBytes("contents");
      const length = new Uint32Array(data, 0, 1)[0];
      this.head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
      this.columns = {};
      for (const column of this.head.columns) {
        this.columns[column.name] = new ARRAYS[column.type](data, 4 + length + column.start, column.length);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.message;
      this.tell("saving");
      setTimeout(() => this.load(), RETRY_MS * 2);
      return;
    }
    this.problem = "";
    if (this.images !== this.head.images) {  // other images, of which these rows are not meant
      if (this.outbox.length) this.problem = "The images are others now: what was not saved is dropped.";
      this.outbox = [];
      this.undone = [];
      this.images = this.head.images;
      this.checkFilter();
      this.tell("images");
    }
    this.version = this.head.version;
    this.count = this.columns.row.length;
    this.positionOf = new Map();
    this.columns.row.forEach((row, position) => this.positionOf.set(row, position));
    this.methods = this.head.methods.map((name) => ({ name, keep: this.columns[`keep:${name}`] }));
    for (const change of this.outbox) this.mark(change);
    this.apply();
    this.tell("loaded");
    this.tell("saving");
    if (!this.polling) this.polling = setInterval(() => this.poll(), POLL_MS);
    if (this.outbox.length) this.send();
  }

  async poll() {
    if (document.hidden || this.isSending || !this.head) return;
    try {
      this.take(await get(`changes?since=${this.version}`));
      if (this.problem && !this.outbox.length) {
        this.problem = "";
        this.tell("saving");
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.message;
      this.tell("saving");
    }
  }

  /** What a server says that others changed, or this page. */
  take(answer) {
    if (answer.contents !== this.head.id) {
      this.load();
      return;
    }
    this.version = answer.version;
    if (!answer.rows.length) return;
    answer.rows.forEach((row, i) => {
      const position = this.positionOf.get(row);
      if (position === undefined) return;
      this.columns.hand[position] = answer.hand[i];
      this.columns.label[position] = answer.labels[i];
    });
    for (const change of this.outbox) this.mark(change);
    this.tell("changed");
  }

  // ---- what is known of an image ----

  row(position) {
    return this.columns.row[position];
  }

  isKept(position) {
    const hand = this.columns.hand[position];
    return hand ? hand > 0 : this.methods.every((method) => method.keep[position]);
  }

  rejectedBy(position) {
    return this.methods.filter((method) => !method.keep[position]).map((method) => method.name);
  }

  className(position) {
    return this.head.classes[this.columns.label[position]];
  }

  drawnClass(position) {
    return this.head.classes[this.columns.drawn[position]];
  }

  predictedClass(position) {
    const label = this.columns.predicted?.[position] ?? -1;
    return label < 0 ? "" : this.head.classes[label];
  }

  strategy(position) {
    return this.head.strategies[this.columns.strategy[position]];
  }

  score(position, name = this.shownScore()) {
    return name ? this.columns[`score:${name}`][position] : NaN;
  }

  /** The score that the order or the bounds go by; else the first there is. */
  shownScore() {
    return this.filter.order.split(":")[1] || this.filter.score || this.head.scores[0] || "";
  }

  tally() {
    const { hand, label, drawn } = this.columns;
    let kept = 0, byHand = 0, relabelled = 0;
    for (let i = 0; i < this.count; i++) {
      kept += this.isKept(i);
      byHand += hand[i] !== 0;
      relabelled += label[i] !== drawn[i];
    }
    return { kept, left: this.count - kept, byHand, relabelled };
  }

  // ---- what is shown ----

  verdicts() {
    const named = [
      ["all", "All"],
      ["kept", "Kept"],
      ["left", "Left out"],
      ["unjudged", "Not judged by hand"],
      ["judged", "Judged by hand"],
      ["hand-kept", "Kept by hand"],
      ["hand-rejected", "Rejected by hand"],
      ["relabelled", "Relabelled"],
    ];
    for (const { name } of this.methods) named.push([`by:${name}`, `Rejected by ${name}`]);
    for (const { name } of this.methods) named.push([`not:${name}`, `Kept by ${name}`]);
    if (this.columns.predicted) named.push(["differs", "Predicted as another class"]);
    return named;
  }

  isOf(position, verdict) {
    const hand = this.columns.hand[position];
    const [kind, name] = verdict.split(":");
    if (name) return Boolean(this.columns[`keep:${name}`]?.[position]) === (kind === "not");
    return {
      all: () => true,
      kept: () => this.isKept(position),
      left: () => !this.isKept(position),
      unjudged: () => hand === 0,
      judged: () => hand !== 0,
      "hand-kept": () => hand > 0,
      "hand-rejected": () => hand < 0,
      relabelled: () => this.columns.label[position] !== this.columns.drawn[position],
      differs: () => this.columns.predicted?.[position] !== this.columns.label[position],
    }[kind]();
  }

  setFilter(change) {
    Object.assign(this.filter, change);
    this.apply();
  }

  apply() {
    sessionStorage.setItem(FILTER_KEY, JSON.stringify(this.filter));
    const { classes, strategies, verdict, score, from, to, order } = this.filter;
    const ofClass = new Set(classes.map((name) => this.head.classes.indexOf(name)));
    const ofStrategy = new Set(strategies.map((name) => this.head.strategies.indexOf(name)));
    const values = this.columns[`score:${score}`];
    const low = from === "" ? -Infinity : Number(from);
    const high = to === "" ? Infinity : Number(to);
    const isBounded = values && (from !== "" || to !== "");
    const found = new Int32Array(this.count);
    let n = 0;
    for (let i = 0; i < this.count; i++) {
      if (ofClass.size && !ofClass.has(this.columns.label[i])) continue;
      if (ofStrategy.size && !ofStrategy.has(this.columns.strategy[i])) continue;
      if (verdict !== "all" && !this.isOf(i, verdict)) continue;
      if (isBounded && !(values[i] >= low && values[i] <= high)) continue;
      found[n++] = i;
    }
    this.view = found.slice(0, n);
    this.sort(order);
    this.tell("view");
  }

  /** What was wanted of another dataset may not be here. */
  checkFilter() {
    const { classes, strategies, scores } = this.head;
    const { filter } = this;
    filter.classes = filter.classes.filter((name) => classes.includes(name));
    filter.strategies = filter.strategies.filter((name) => strategies.includes(name));
    if (filter.score && !scores.includes(filter.score)) Object.assign(filter, { score: "", from: "", to: "" });
    if (filter.order.includes(":") && !scores.includes(filter.order.split(":")[1])) filter.order = "";
    const verdicts = [...this.head.methods.flatMap((name) => [`by:${name}`, `not:${name}`])];
    if (filter.verdict.includes(":") && !verdicts.includes(filter.verdict)) filter.verdict = "all";
  }

  sort(order) {
    const [way, name] = order.split(":");
    const key = name ? this.columns[`score:${name}`] : way === "class" ? this.columns.label : null;
    if (!key) return;
    const sign = way === "highest" ? -1 : 1;
    // NaN, where nothing is known, comes last
    const value = (i) => (Number.isNaN(key[i]) ? Infinity : sign * key[i]);
    this.view.sort((a, b) => value(a) - value(b) || a - b);
  }

  // ---- verdicts ----

  /** Change some images, and remember how to take it back. */
  decide(positions, { hand, label }, words) {
    const rows = Array.from(positions, (position) => this.row(position));
    const before = Array.from(positions, (i) => ({ hand: this.columns.hand[i], label: this.columns.label[i] }));
    this.undone.push({ rows, before, after: { hand, label }, words });
    this.put([{ rows, hand, label }]);
  }

  /** Take the latest step back; images that were changed again meanwhile, elsewhere, stay. Says what it did. */
  undo() {
    const step = this.undone.pop();
    if (!step) return null;
    const groups = new Map();
    step.rows.forEach((row, i) => {
      const position = this.positionOf.get(row);
      if (position === undefined) return;
      for (const name of ["hand", "label"]) {
        if (step.after[name] === undefined || this.columns[name][position] !== step.after[name]) continue;
        const key = `${name}:${step.before[i][name]}`;
        if (!groups.has(key)) groups.set(key, { rows: [], [name]: step.before[i][name] });
        groups.get(key).rows.push(row);
      }
    });
    if (groups.size) this.put([...groups.values()]);
    return step;
  }

  put(changes) {
    for (const change of changes) {
      this.mark(change);
      for (let i = 0; i < change.rows.length; i += MOST_ROWS) this.outbox.push({ ...change, rows: change.rows.slice(i, i + MOST_ROWS) });
    }
    this.tell("changed");
    this.send();
  }

  mark({ rows, hand, label }) {
    for (const row of rows) {
      const position = this.positionOf.get(row);
      if (position === undefined) continue;
      if (hand !== undefined) this.columns.hand[position] = hand;
      if (label !== undefined) this.columns.label[position] = label;
    }
  }

  async send() {
    if (this.isSending || !this.outbox.length) return;
    this.isSending = true;
    this.tell("saving");
    while (this.outbox.length) {
      const changes = this.next();
      try {
        const answer = await post("decide", { contents: this.head.id, version: this.version, changes });
        this.outbox.splice(0, changes.length);
        this.problem = "";
        this.take(answer);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        this.problem = error.message;
        this.tell("saving");
        if (error.status === 409) await this.poll409();
        await new Promise((done) => setTimeout(done, RETRY_MS));
      }
    }
    this.isSending = false;
    this.tell("saving");
  }

  /** The changes that are sent at once: the first, and as many as fit beside it. */
  next() {
    let count = 0, rows = 0;
    while (count < this.outbox.length && (!count || rows + this.outbox[count].rows.length <= MOST_ROWS)) rows += this.outbox[count++].rows.length;
    return this.outbox.slice(0, count);
  }

  /** After a refusal: perhaps the images are others now, by the same rows or not. */
  async poll409() {
    try {
      const answer = await get(`changes?since=${this.version}`);
      if (answer.contents !== this.head.id) await this.load();
    } catch { /* told already */ }
  }
}
