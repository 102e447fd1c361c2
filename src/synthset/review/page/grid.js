// The grid: only the pictures that can be seen are elements, however many images there are.

const SIZES = [56, 84, 112, 148, 196, 264];
const SIZE_KEY = "synthset-review-size";
const GAP = 8;
const CAPTION = 22;
const MOST_PX = 12e6;  // browsers know no taller elements than some 16 million pixels
const AHEAD = 2;  // rows above and below

export class Grid extends EventTarget {
  constructor(element, store, thumbnails) {
    super();
    this.element = element;
    this.sizer = element.querySelector(".sizer");
    this.store = store;
    this.thumbnails = thumbnails;
    this.cells = new Map();  // by place in the view
    this.placeOf = new Map();  // of those that have a cell, by row
    this.free = [];
    this.place = 0;  // the focused one
    this.anchor = 0;
    this.selected = new Set();  // of positions
    this.size = Number(localStorage.getItem(SIZE_KEY) ?? 2);
    element.addEventListener("scroll", () => this.paintSoon());
    element.addEventListener("click", (event) => this.click(event));
    element.addEventListener("dblclick", () => this.tell("open"));
    new ResizeObserver(() => this.layOut()).observe(element);
  }

  tell(what) {
    this.dispatchEvent(new Event(what));
  }

  get view() {
    return this.store.view;
  }

  get position() {
    return this.view[this.place];
  }

  /** What a verdict is about: the selected images, or the focused one. */
  meant() {
    if (this.selected.size) return [...this.selected];
    return this.position === undefined ? [] : [this.position];
  }

  // ---- places ----

  layOut() {
    const keep = this.place;
    const style = getComputedStyle(this.element);
    const inner = this.element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const wish = SIZES[this.size];
    this.perRow = Math.max(1, Math.floor((inner + GAP) / (wish + GAP)));
    this.side = Math.floor((inner - GAP * (this.perRow - 1)) / this.perRow);
    if (this.perRow === 1) this.side = Math.min(this.side, wish * 1.5);
    this.hasCaption = this.side >= 84;
    this.rowHeight = this.side + GAP + (this.hasCaption ? CAPTION : 0);
    this.rows = Math.ceil(this.view.length / this.perRow);
    this.full = Math.max(0, this.rows * this.rowHeight - GAP);
    this.height = Math.min(this.full, MOST_PX);
    this.sizer.style.height = `${this.height}px`;
    this.element.classList.toggle("bare", !this.hasCaption);
    for (const cell of this.cells.values()) this.release(cell);
    this.cells.clear();
    this.place = Math.min(keep, Math.max(0, this.view.length - 1));
    this.reveal();
    this.paint();
  }

  /** How far the top of what is seen lies below the first row; another than scrolled where that is squeezed. */
  top() {
    const seen = this.element.clientHeight;
    if (this.full <= this.height) return this.element.scrollTop;
    return (this.element.scrollTop * (this.full - seen)) / (this.height - seen);
  }

  reveal() {
    if (!this.view.length) return;
    const y = Math.floor(this.place / this.perRow) * this.rowHeight;
    const seen = this.element.clientHeight;
    const top = this.top();
    let wanted = top;
    if (y < top) wanted = y;
    if (y + this.rowHeight > top + seen) wanted = y + this.rowHeight - seen;
    if (wanted === top) return;
    const squeezed = this.full <= this.height ? 1 : (this.height - seen) / (this.full - seen);
    this.element.scrollTop = wanted * squeezed;
  }

  // ---- painting ----

  paintSoon() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.paint();
    });
  }

  paint() {
    if (!this.rowHeight) return;
    const top = this.top();
    const first = Math.max(0, Math.floor(top / this.rowHeight) - AHEAD);
    const last = Math.min(this.rows, Math.ceil((top + this.element.clientHeight) / this.rowHeight) + AHEAD);
    const from = first * this.perRow;
    const to = Math.min(this.view.length, last * this.perRow);
    for (const [place, cell] of this.cells) {
      if (place < from || place >= to) {
        this.release(cell);
        this.cells.delete(place);
      }
    }
    const shift = this.element.scrollTop - top;
    const missing = [];
    for (let place = from; place < to; place++) {
      let cell = this.cells.get(place);
      if (!cell) {
        cell = this.free.pop() ?? this.make();
        this.cells.set(place, cell);
        cell.id = `image-${place}`;
        cell.dataset.place = place;
        cell.style.width = `${this.side}px`;
        cell.setAttribute("aria-setsize", this.view.length);
        cell.setAttribute("aria-posinset", place + 1);
        cell.hidden = false;
        cell.shift = NaN;
        this.dress(place, cell);
        if (!this.thumbnails.has(cell.row)) missing.push(cell.row);
      }
      if (cell.shift === shift) continue;
      cell.shift = shift;
      const y = Math.floor(place / this.perRow) * this.rowHeight + shift;
      const x = (place % this.perRow) * (this.side + GAP);
      cell.style.transform = `translate(${x}px, ${y}px)`;
    }
    if (missing.length) this.thumbnails.want(missing, (row) => this.placeOf.has(row), (row) => this.arrived(row));
    this.element.setAttribute("aria-activedescendant", `image-${this.place}`);
  }

  arrived(row) {
    const place = this.placeOf.get(row);
    if (place !== undefined) this.dress(place, this.cells.get(place));
  }

  make() {
    const cell = document.createElement("div");
    cell.className = "cell";
    cell.setAttribute("role", "option");
    cell.innerHTML = '<div class="frame"><img alt="" draggable="false"></div><span class="mark"></span><div class="caption"></div>';
    [cell.frame, cell.mark, cell.caption] = cell.children;
    cell.picture = cell.frame.firstChild;
    cell.picture.addEventListener("load", () => {
      const { naturalWidth, naturalHeight } = cell.picture;
      cell.picture.classList.toggle("small", Math.max(naturalWidth, naturalHeight) < this.side);
    });
    this.sizer.append(cell);
    return cell;
  }

  release(cell) {
    cell.hidden = true;
    cell.removeAttribute("id");
    this.placeOf.delete(cell.row);
    cell.picture.removeAttribute("src");
    this.free.push(cell);
  }

  /** Show in a cell what is known of its image. */
  dress(place, cell) {
    const { store } = this;
    const position = this.view[place];
    const row = store.row(position);
    const hand = store.columns.hand[position];
    const isKept = store.isKept(position);
    const isNew = store.columns.label[position] !== store.columns.drawn[position];
    cell.row = row;
    this.placeOf.set(row, place);
    cell.classList.toggle("left-out", !isKept);
    cell.classList.toggle("by-hand", hand !== 0);
    cell.classList.toggle("focused", place === this.place);
    cell.classList.toggle("selected", this.selected.has(position));
    cell.setAttribute("aria-selected", this.selected.has(position));
    const by = hand ? (isKept ? "kept by hand" : "rejected by hand") : isKept ? "kept" : `rejected by ${store.rejectedBy(position).join(", ")}`;
    const name = store.className(position);
    cell.setAttribute("aria-label", `${name}${isNew ? `, drawn for ${store.drawnClass(position)}` : ""}, ${by}`);
    cell.mark.textContent = hand > 0 ? "✓" : hand < 0 ? "✕" : isKept ? "" : store.rejectedBy(position)[0];
    cell.mark.className = `mark ${hand > 0 ? "kept" : hand < 0 ? "rejected" : isKept ? "none" : "filtered"}`;
    const score = store.score(position);
    cell.caption.replaceChildren(...caption(name, isNew, score));
    const url = this.thumbnails.url(row);
    cell.classList.toggle("broken", url === "");
    if (url && cell.picture.src !== url) cell.picture.src = url;
  }

  refresh() {
    for (const [place, cell] of this.cells) this.dress(place, cell);
  }

  // ---- focus and selection ----

  focus(place, { extend = false, keepSelection = false } = {}) {
    if (!this.view.length) return;
    this.place = Math.max(0, Math.min(this.view.length - 1, place));
    if (extend) {
      const [from, to] = [Math.min(this.anchor, this.place), Math.max(this.anchor, this.place)];
      this.selected = new Set(this.view.subarray(from, to + 1));
    } else {
      this.anchor = this.place;
      if (!keepSelection) this.selected.clear();
    }
    this.reveal();
    this.paint();
    this.refresh();
    this.tell("focus");
  }

  toggle(place) {
    const position = this.view[place];
    if (position === undefined) return;
    if (!this.selected.delete(position)) this.selected.add(position);
    this.focus(place, { keepSelection: true });
  }

  selectAll() {
    this.selected = new Set(this.view);
    this.refresh();
    this.tell("focus");
  }

  selectNone() {
    this.selected.clear();
    this.refresh();
    this.tell("focus");
  }

  click(event) {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    const place = Number(cell.dataset.place);
    const isAgain = event.pointerType === "touch" && place === this.place && !this.selected.size;
    if (isAgain) this.tell("open");
    else if (event.shiftKey) this.focus(place, { extend: true });
    else if (event.ctrlKey || event.metaKey) this.toggle(place);
    else this.focus(place);
  }

  resize(step) {
    this.size = Math.max(0, Math.min(SIZES.length - 1, this.size + step));
    localStorage.setItem(SIZE_KEY, this.size);
    this.layOut();
  }

  /** Rows that fit on the screen, for Page Up and Page Down. */
  pageRows() {
    return Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight));
  }
}

function caption(name, isNew, score) {
  const label = document.createElement("span");
  label.className = isNew ? "class new" : "class";
  label.textContent = isNew ? `→ ${name}` : name;
  label.title = name;
  if (!Number.isFinite(score)) return [label];
  const number = document.createElement("span");
  number.className = "score";
  number.textContent = score.toFixed(2);
  return [label, number];
}
