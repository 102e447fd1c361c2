// Small dialogs: the keys, a question, the choice of a class.

const KEYS = [
  ["Move", [["← → ↑ ↓", "to the next image"], ["Home End", "to the first, the last"], ["Page Up, Page Down", "a screen"]]],
  ["Judge", [["k", "keep"], ["r", "reject"], ["l", "another class"], ["c", "take the verdict and class back"], ["z", "undo the latest step"]]],
  ["Several", [["Shift with arrows, or a click", "select from here to there"], ["Space", "select one more"], ["Ctrl a", "select all that are shown"], ["Esc", "select none; close"]]],
  ["Look", [["Enter", "one image large, with its prompt and seed"], ["n", "nearest images, where one is large"], ["f", "which images are shown"], [".", "the list anew, after verdicts"], ["+ −", "size of the pictures"], ["p", "phrases of classes"]]],
];

export function element(kind, options = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") made.textContent = value;
    else if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function open(dialog, ...children) {
  dialog.replaceChildren(...children);
  dialog.showModal();
}

export function showHelp() {
  const dialog = document.getElementById("help");
  const groups = KEYS.map(([title, keys]) =>
    element("section", {}, element("h3", { text: title }),
      element("dl", {}, ...keys.flatMap(([key, text]) => [element("dt", {}, element("kbd", { text: key })), element("dd", { text })]))));
  const close = element("button", { type: "button", text: "Close", className: "main", onclick: () => dialog.close() });
  const note = "Nothing is deleted. Each verdict is saved at once, and training, export and diagnosis obey it.";
  open(dialog, element("h2", { text: "Keys" }), element("div", { className: "keys" }, ...groups), element("p", { className: "quiet", text: note }), close);
}

/** Whether the answer is yes. */
export function ask(question, yes) {
  const dialog = document.getElementById("ask");
  return new Promise((done) => {
    const confirm = element("button", { type: "button", text: yes, className: "main", onclick: () => dialog.close("yes") });
    const cancel = element("button", { type: "button", text: "Cancel", onclick: () => dialog.close("") });
    dialog.returnValue = "";
    dialog.onclose = () => done(dialog.returnValue === "yes");
    open(dialog, element("p", { text: question }), element("div", { className: "buttons" }, cancel, confirm));
    confirm.focus();
  });
}

/** The index of a class that was chosen, or null. */
export function chooseClass(names, title) {
  const dialog = document.getElementById("classes");
  return new Promise((done) => {
    let found = [], place = 0;
    const list = element("ul", { role: "listbox", id: "class-list" });
    const input = element("input", { type: "search", placeholder: "Name of the class", autocomplete: "off", role: "combobox" });
    input.setAttribute("aria-controls", "class-list");
    input.setAttribute("aria-label", title);
    const choose = (index) => dialog.close(String(index));
    const show = () => {
      const text = input.value.trim().toLowerCase();
      found = names.map((name, index) => [name, index]).filter(([name]) => name.toLowerCase().includes(text));
      found.sort(([a], [b]) => b.toLowerCase().startsWith(text) - a.toLowerCase().startsWith(text));
      found = found.slice(0, 100);
      place = 0;
      paint();
    };
    const paint = () => {
      list.replaceChildren(...found.map(([name, index], i) => {
        const item = element("li", { role: "option", text: name, onclick: () => choose(index), id: `class-${i}` });
        item.setAttribute("aria-selected", i === place);
        return item;
      }));
      if (!found.length) list.append(element("li", { className: "quiet", text: "No class is called so." }));
      input.setAttribute("aria-activedescendant", `class-${place}`);
      list.children[place]?.scrollIntoView({ block: "nearest" });
    };
    input.oninput = show;
    input.onkeydown = (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        place = Math.max(0, Math.min(found.length - 1, place + (event.key === "ArrowDown" ? 1 : -1)));
        paint();
        event.preventDefault();
      }
      if (event.key === "Enter" && found.length) {
        choose(found[place][1]);
        event.preventDefault();
      }
    };
    dialog.returnValue = "";
    dialog.onclose = () => done(dialog.returnValue === "" ? null : Number(dialog.returnValue));
    open(dialog, element("h2", { text: title }), input, list);
    show();
    input.focus();
  });
}
