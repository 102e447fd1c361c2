// What the page asks of its server. The token comes behind the # of the address, and goes into a header.

const KEY = "synthset-review-token";
const RETRY_MS = 1000;
const channel = new BroadcastChannel(KEY);
const onToken = new Set();

function takeFromAddress() {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  sessionStorage.setItem(KEY, token);
  channel.postMessage(token);  // a page of this address that is left from before goes on, too
  for (const call of onToken) call();
}

channel.addEventListener("message", (event) => {
  if (typeof event.data !== "string" || event.data === sessionStorage.getItem(KEY)) return;
  sessionStorage.setItem(KEY, event.data);
  for (const call of onToken) call();
});
addEventListener("hashchange", takeFromAddress);
takeFromAddress();

export function whenTokenChanges(call) {
  onToken.add(call);
}

/** An answer that says why not. `status` 0: nobody answers. */
export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const headers = { "X-Synthset-Token": sessionStorage.getItem(KEY) ?? "", ...options.headers };
  let response;
  try {
    response = await fetch(`/api/${path}`, { ...options, headers, cache: "no-store", referrerPolicy: "no-referrer" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server does not answer.", 0);
  }
  if (response.ok) return response;
  const text = await response.text();
  let message = text;
  try {
    message = JSON.parse(text).error;
  } catch { /* plain words */ }
  throw new Refusal(message, response.status);
}

export async function get(path) {
  return (await ask(path)).json();
}

export async function getBytes(path, signal) {
  return (await ask(path, { signal })).arrayBuffer();
}

export async function getPicture(path, signal) {
  return URL.createObjectURL(await (await ask(path, { signal })).blob());
}

export async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Small pictures, asked for many at once; the latest are kept. */
export class Thumbnails {
  constructor(path, most = 2000) {
    this.path = path;
    this.most = most;
    this.urls = new Map();  // in the order of their last use
    this.waiting = new Map();
    this.running = 0;
  }

  has(row) {
    return this.urls.has(row);
  }

  url(row) {
    const url = this.urls.get(row);
    if (url !== undefined) {
      this.urls.delete(row);
      this.urls.set(row, url);
    }
    return url;
  }

  /** Ask for pictures; those that nobody wants any more are not asked for. */
  want(rows, isWanted, done) {
    for (const row of rows) if (!this.urls.has(row)) this.waiting.set(row, { isWanted, done });
    while (this.running < 3 && this.waiting.size) this.send();
  }

  async send() {
    const batch = [];
    for (const [row, wish] of this.waiting) {
      this.waiting.delete(row);
      if (wish.isWanted(row) && !this.urls.has(row)) batch.push([row, wish]);
      if (batch.length === 32) break;
    }
    if (!batch.length) return;
    this.running += 1;
    try {
      const data = await getBytes(`${this.path}?rows=${batch.map(([row]) => row).join(",")}`);
      const lengths = new Uint32Array(data, 0, batch.length + 1);
      let start = 4 * (batch.length + 1);
      batch.forEach(([row, wish], i) => {
        const length = lengths[i + 1];
        this.keep(row, length ? URL.createObjectURL(new Blob([new Uint8Array(data, start, length)])) : "");
        start += length;
        wish.done(row);
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      setTimeout(() => batch.forEach(([row, wish]) => this.want([row], wish.isWanted, wish.done)), RETRY_MS);
    } finally {
      this.running -= 1;
      if (this.waiting.size) this.send();
    }
  }

  keep(row, url) {
    this.urls.set(row, url);
    for (const [old, oldUrl] of this.urls) {
      if (this.urls.size <= this.most) break;
      URL.revokeObjectURL(oldUrl);
      this.urls.delete(old);
    }
  }

  clear() {
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
    this.urls.clear();
    this.waiting.clear();
  }
}
