// What the page can do: sort, filter and unfold tables, and draw charts when they come into view.
"use strict";

for (const table of document.querySelectorAll("table")) {
  for (const button of table.querySelectorAll("button.sort")) {
    button.addEventListener("click", () => sortBy(table, button.closest("th")));
  }
}
for (const controls of document.querySelectorAll(".controls[data-table]")) {
  controls.addEventListener("input", () => refresh(document.getElementById(controls.dataset.table)));
}
for (const button of document.querySelectorAll("button.more")) {
  button.addEventListener("click", () => {
    const table = document.getElementById(button.dataset.table);
    delete table.dataset.first;
    refresh(table);
    button.remove();
  });
}
document.querySelectorAll("table[data-first]").forEach(refresh);

// Numbers begin with the largest, words with a; rows without a value come last either way.
function sortBy(table, head) {
  const column = head.cellIndex;
  const isNumber = head.classList.contains("number");
  const first = isNumber ? "descending" : "ascending";
  const second = isNumber ? "ascending" : "descending";
  const order = head.getAttribute("aria-sort") === first ? second : first;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const words = new Intl.Collator(undefined, { numeric: true });
  const rows = Array.from(table.tBodies[0].rows, (row) => [keyOf(row.cells[column], isNumber), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (isNumber ? a - b : words.compare(a, b));
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
  refresh(table);
}

function keyOf(cell, isNumber) {
  if (!isNumber) return cell.textContent.trim();
  const value = parseFloat(cell.dataset.value);
  return Number.isNaN(value) ? null : value;
}

// Show the rows that the controls let through, the first of them only where the table is long.
function refresh(table) {
  const controls = document.querySelector(`.controls[data-table="${table.id}"]`);
  const selects = controls ? Array.from(controls.querySelectorAll("select")).filter((select) => select.value !== "") : [];
  const search = controls ? controls.querySelector("[data-search]").value.trim().toLowerCase() : "";
  const limit = Number(table.dataset.first || Infinity);
  let fitting = 0;
  for (const row of table.tBodies[0].rows) {
    const fits =
      selects.every((select) => row.dataset[select.dataset.filter] === select.value) &&
      (search === "" || row.cells[0].textContent.toLowerCase().includes(search));
    row.hidden = !fits || ++fitting > limit;
  }
  if (controls) {
    const shown = Math.min(fitting, limit);
    controls.querySelector(".count").textContent =
      shown < fitting ? `${shown} of ${fitting} rows` : `${fitting} ${fitting === 1 ? "row" : "rows"}`;
  }
}

// A table that is wider or longer than its box can be scrolled by the keyboard.
const fitted = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const isCut = target.scrollWidth > target.clientWidth + 1 || target.scrollHeight > target.clientHeight + 1;
    if (!isCut) target.removeAttribute("tabindex");
    else target.tabIndex = 0;
  }
});
for (const box of document.querySelectorAll(".scroll")) {
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", box.closest("section").querySelector("h2").textContent);
  fitted.observe(box);
}

// What stands in an image's title, for those who cannot hover: a click or tap says it below the strip.
document.addEventListener("click", ({ target }) => {
  const image = target.closest(".gallery img[title]");
  if (!image) return;
  const strip = image.parentElement;
  const caption = strip.querySelector("output") || strip.appendChild(document.createElement("output"));
  caption.textContent = image.title;
});

// Charts.
const source = document.getElementById("figures");
const figures = source ? JSON.parse(source.textContent) : {};
const charts = Array.from(document.querySelectorAll("[data-figure]"));
const COLOUR_KEYS = new Set(["color", "colorscale", "fillcolor"]);

const NARROW_PX = 520; // charts that are no wider have shorter names beside them
const NARROW_NAME = 14;
const PAPER_PX = 672; // on A4 or Letter, between the margins

for (const chart of charts) {
  const figure = figures[chart.dataset.figure];
  chart.style.height = `${figure.layout.height}px`;
  if (figure.widest) chart.style.maxWidth = `${figure.widest}px`;
}

const coming = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
  { rootMargin: "400px" },
);
charts.forEach((chart) => coming.observe(chart));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  charts.filter((chart) => chart.dataset.drawn).forEach((chart) => draw(chart));
});

// On paper every chart is there, in light colours, and as wide as the paper: one that keeps its width on the screen
// would lie over its neighbours.
addEventListener("beforeprint", () => {
  document.documentElement.dataset.printed = "yes";
  charts.forEach((chart) => draw(chart, paperWidth(chart)));
});
addEventListener("afterprint", () => {
  delete document.documentElement.dataset.printed;
  charts.forEach((chart) => draw(chart));
});

// Of a pair of charts each has half of the paper; beside a short table there is more.
function paperWidth(chart) {
  const pair = chart.closest(".pair");
  const room = !pair ? PAPER_PX : pair.classList.contains("uneven") ? 424 : PAPER_PX / 2 - 20;
  return Math.min(room, figures[chart.dataset.figure].widest || room);
}

function draw(chart, width = undefined) {
  coming.unobserve(chart);
  chart.dataset.drawn = "yes";
  const figure = coloured(figures[chart.dataset.figure]);
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: colour("--ink") },
    hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--rule"), font: { color: colour("--ink") }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--quiet"), activecolor: colour("--accent") },
    dragmode: false,
    width,
    ...figure.layout,
  };
  for (const name of ["xaxis", "yaxis"]) {
    const grid = { gridcolor: colour("--grid"), zerolinecolor: colour("--grid"), linecolor: colour("--rule") };
    layout[name] = { fixedrange: true, automargin: true, ...grid, ...layout[name] };
    const names = layout[name].ticktext;
    if (names && (width || chart.clientWidth) <= NARROW_PX) {
      const folds = name === "yaxis" && layout.meta?.rows; // a row has room for two lines
      layout[name].ticktext = names.map(folds ? folded : shortened);
      if (folds) layout[name].tickfont = { size: 11 };
    }
  }
  const options = {
    displaylogo: false,
    displayModeBar: Boolean(figure.zoom) && !width,
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    responsive: true,
  };
  const toggled = switches(chart.dataset.figure);
  if (toggled) {
    const named = new Set(); // each class once in the legend, by its first trace that is seen
    figure.data.forEach((trace, i) => {
      trace.visible = toggled.has(i);
      trace.showlegend = trace.visible && !named.has(trace.legendgroup);
      if (trace.visible) named.add(trace.legendgroup);
    });
  }
  Plotly.react(chart, figure.data, layout, options);
}

// The characters of a name that is escaped for plotly.
function characters(name) {
  return name.match(/&[a-z#0-9]+;|./gu) || [];
}

// A name, cut between its characters.
function shortened(name) {
  const all = characters(name);
  return all.length <= NARROW_NAME ? name : `${all.slice(0, NARROW_NAME - 1).join("")}…`;
}

// A name on two lines, broken between words where it is too long for one.
function folded(name) {
  const lines = ["", ""];
  for (const word of name.split(" ")) {
    const fits = !lines[1] && characters(`${lines[0]} ${word}`.trim()).length <= NARROW_NAME;
    const place = fits || !lines[0] ? 0 : 1;
    lines[place] = `${lines[place]} ${word}`.trim();
  }
  return lines.filter(Boolean).map(shortened).join("<br>");
}

// The indices of the traces whose set is ticked, or null where a chart has no boxes.
function switches(name) {
  const controls = document.querySelector(`[data-toggles="${name}"]`);
  if (!controls) return null;
  const ticked = Array.from(controls.querySelectorAll("input:checked"), (box) => Number(box.dataset.toggle));
  return new Set(ticked.flatMap((i) => figures[name].toggles[i].traces));
}

for (const controls of document.querySelectorAll("[data-toggles]")) {
  controls.addEventListener("input", () => draw(document.querySelector(`[data-figure="${controls.dataset.toggles}"]`)));
}

// A copy of a figure in which the names of CSS variables are their values. Only colours are looked up:
// a class may be called --ink.
function coloured(value, key = "") {
  if (Array.isArray(value)) return value.map((item) => coloured(item, key));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, coloured(item, name)]));
  }
  return COLOUR_KEYS.has(key) && typeof value === "string" && value.startsWith("--") ? colour(value) : value;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The table of contents says where the reader is.
const links = new Map(Array.from(document.querySelectorAll("nav a"), (link) => [link.hash.slice(1), link]));
const passing = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((link, id) => link.classList.toggle("here", id === entry.target.id));
    }
  },
  { rootMargin: "-10% 0px -80% 0px" },
);
document.querySelectorAll("main section").forEach((section) => passing.observe(section));
