// Phrases of classes, edited, with a few images drawn by them before they are saved.

import { Refusal, get, getPicture, post } from "./api.js";
import { element } from "./dialogs.js";

const POLL_MS = 400;

export class PhraseSheet {
  constructor(section, store, thumbnails) {
    this.section = section;
    this.store = store;
    this.thumbnails = thumbnails;
    this.urls = [];
  }

  get isOpen() {
    return !this.section.hidden;
  }

  close() {
    this.section.hidden = true;
  }

  async open() {
    this.section.hidden = false;
    this.list = element("div", { className: "phrase-list" });
    this.path = element("code", { className: "path" });
    this.search = element("input", { type: "search", placeholder: "Class", oninput: () => this.fill() });
    this.search.setAttribute("aria-label", "Class");
    const close = element("button", { type: "button", className: "close", title: "Close (Esc)", text: "✕", onclick: () => this.close() });
    close.setAttribute("aria-label", "Close");
    this.strategy = element("select", {}, ...this.store.head.strategies.map((name) => element("option", { text: name, value: name })));
    this.strategy.setAttribute("aria-label", "Strategy of previews");
    this.section.replaceChildren(close, element("h2", { text: "Phrases of classes" }),
      element("p", { className: "lead" }, "What stands for a class in prompts. A name that means several things draws several things: say which is meant. Saved to ", this.path, ", for ", element("code", { text: "synthset create --phrases" }), "."),
      element("div", { className: "row" }, this.search, element("label", { className: "inline" }, "Previews by ", this.strategy)), this.list);
    try {
      this.take(await get("phrases"));
      this.fill();
      this.search.focus();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.list.replaceChildren(element("p", { className: "bad", text: error.message }));
    }
  }

  take(answer) {
    this.rows = answer.rows;
    this.path.textContent = answer.path;
  }

  fill() {
    const text = this.search.value.trim().toLowerCase();
    const found = this.rows.filter((row) => row.class_name.toLowerCase().includes(text));
    const cards = found.slice(0, 200).map((row) => this.card(row));
    const more = found.length - cards.length;
    this.list.replaceChildren(...cards, ...(more > 0 ? [element("p", { className: "quiet", text: `and ${more.toLocaleString("en")} more: search for them` })] : []));
  }

  card(row) {
    const input = element("input", { value: row.phrase, maxLength: 500, spellcheck: true, autocomplete: "off" });
    input.setAttribute("aria-label", `Phrase of ${row.class_name}`);
    const state = element("span", { className: "quiet", role: "status" });
    const pictures = element("div", { className: "previews" });
    const save = element("button", { type: "button", className: "main", text: "Save" });
    const draw = element("button", { type: "button", text: "Preview" });
    const stop = element("button", { type: "button", text: "Stop", hidden: true });
    save.onclick = async () => {
      state.textContent = "";
      state.className = "quiet";
      try {
        this.take(await post("phrases", { class_name: row.class_name, phrase: input.value }));
        state.textContent = "Saved";
      } catch (error) {
        this.complain(state, error);
      }
    };
    draw.onclick = () => this.preview(row.class_name, input.value, { state, pictures, draw, stop });
    stop.onclick = () => post("previews/stop");
    input.onkeydown = (event) => {
      if (event.key === "Enter") (event.ctrlKey || event.metaKey ? draw : save).click();
    };
    return element("article", { className: "phrase" },
      element("h3", { text: row.class_name }), ...(row.comment ? [element("p", { className: "quiet", text: row.comment })] : []),
      element("div", { className: "row" }, input, save, draw, stop, state), pictures);
  }

  complain(state, error) {
    if (!(error instanceof Refusal)) throw error;
    state.textContent = error.message;
    state.className = "bad";
  }

  async preview(className, phrase, card) {
    const { state, pictures, draw, stop } = card;
    state.className = "quiet";
    try {
      await post("previews", { class_name: className, phrase, strategy: this.strategy.value });
    } catch (error) {
      this.complain(state, error);
      return;
    }
    draw.disabled = true;
    stop.hidden = false;
    pictures.replaceChildren();
    let answer = { state: "working" };
    while (answer.state === "working") {
      await new Promise((done) => setTimeout(done, POLL_MS));
      try {
        answer = await get("previews");
        for (let i = pictures.children.length; i < answer.drawn.length; i++) pictures.append(await this.pair(i, answer.drawn[i]));
      } catch (error) {
        answer = { state: "failed", error: error.message };
      }
      state.textContent = { working: `${answer.doing} ${answer.done} of ${answer.total} …`, done: "Before, and by this phrase", stopped: "Stopped" }[answer.state] ?? answer.error;
      if (answer.state === "failed") state.className = "bad";
    }
    draw.disabled = false;
    stop.hidden = true;
  }

  /** The image of the dataset, and the new one on the same noise. */
  async pair(number, { row, prompt, reason }) {
    const before = element("img", { alt: "before" });
    const arrived = () => {
      const url = this.thumbnails.url(row);
      if (url) before.src = url;
    };
    if (this.thumbnails.has(row)) arrived();
    else this.thumbnails.want([row], () => true, arrived);
    const after = element("img", { alt: "by this phrase" });
    if (!reason) after.src = await getPicture(`previews/${number}`);
    return element("figure", { title: prompt }, before, after, element("figcaption", { text: reason || prompt }));
  }
}
