"""A headless Chromium, driven through the DevTools protocol over a pair of pipes: no driver, no port, no download."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_SECONDS = 30


def find_browser():
    return next((path for path in map(shutil.which, NAMES) if path), None)


# names of keys, their codes in Windows, and the text that they enter
KEYS = {
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Tab": (9, ""),
    " ": (32, " "),
    "End": (35, ""),
    "Home": (36, ""),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "PageDown": (34, ""),
}
MODIFIERS = {"Alt": 1, "Control": 2, "Shift": 8}


class Browser:
    """Its tabs, of which one is driven. `events` holds everything that the browser reported, in order."""

    def __init__(self, profile, width=1400, height=1000):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        flags = (
            "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-extensions "
            "--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars "
            f"--remote-debugging-pipe --user-data-dir={profile} --window-size={width},{height}"
        )
        self._process = subprocess.Popen(
            # the shell gives the pipes the numbers that the browser looks for
            ["bash", "-c", f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}', find_browser(), *flags.split()],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # its helpers end with it
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out, self._rest = ours_in, ours_out, b""
        self._session, self._count, self.events, self._targets = None, 0, [], {}
        self.new_tab()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._in)
        os.close(self._out)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def new_tab(self):
        """Make a tab and drive it; gives what `switch` takes."""
        self._session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._targets[self._session] = target
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        return self._session

    @property
    def tab(self):
        return self._session

    def switch(self, tab):
        self._session = tab

    def close_tabs(self):
        """Close all tabs, whatever their pages have to say."""
        self._session = None
        for target in self._targets.values():
            self.send("Target.closeTarget", targetId=target)
        self._targets.clear()

    def open(self, place):
        """Open a file, or an address."""
        url = place if isinstance(place, str) else place.resolve().as_uri()
        self._load("Page.navigate", url=url)

    def reload(self):
        self._load("Page.reload")

    def _load(self, method, **params):
        self.events.clear()
        self.send(method, **params)
        end = time.monotonic() + TIMEOUT_SECONDS
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < end, f"waited {TIMEOUT_SECONDS} s for the page to load"
            time.sleep(0.02)
            self.send(
                "Page.getFrameTree"
            )  # its answer comes behind the events; a script might be in the page that goes

    def run(self, script):
        """The value of a script in the page; a promise is awaited."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, script):
        self._wait(lambda: self.run(script), script)

    def click(self, selector):
        """A real click, with the mouse, in the middle of an element."""
        place = self.run(
            f"(() => {{ const element = document.querySelector({json.dumps(selector)});"
            " element.scrollIntoView({block: 'center'}); const box = element.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, *keys, modifiers=()):
        """Real keys, one after the other, such as "k" or "ArrowRight"."""
        held = sum(MODIFIERS[name] for name in modifiers)
        for key in keys:
            code, text = KEYS.get(key, (ord(key[0].upper()), key))
            plain = {} if held & 3 or not text else {"text": text}
            for kind in ("keyDown", "keyUp"):
                entered = plain if kind == "keyDown" else {}
                self.send(
                    "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=held, **entered
                )

    def type(self, text):
        """Enter a text where the focus is."""
        self.send("Input.insertText", text=text)

    def screenshot(self, path, whole=False):
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def show_as(self, width=1400, height=1000, theme="light", media=""):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    def requests(self):
        """The addresses of everything that the page was let ask for, but for itself and what it holds itself."""
        failed = [e["params"] for e in self.events if e["method"] == "Network.loadingFailed"]
        blocked = {params["requestId"] for params in failed if params.get("blockedReason") == "csp"}
        sent = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        urls = [params["request"]["url"] for params in sent if params["requestId"] not in blocked]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    def complaints(self):
        """Uncaught errors, console errors and what the page's policy blocked."""
        texts = []
        for event in self.events:
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                texts.append(json.dumps(params["exceptionDetails"])[:500])
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                texts.append(params["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                texts.append(json.dumps(params["args"])[:500])
        return texts

    def send(self, method, **params):
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + TIMEOUT_SECONDS
        while True:
            answer = self._receive(end)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _wait(self, is_done, what):
        end = time.monotonic() + TIMEOUT_SECONDS
        while not is_done():
            if time.monotonic() > end:
                raise AssertionError(f"waited {TIMEOUT_SECONDS} s for {what}")
            self.run("new Promise((done) => setTimeout(done, 50))")

    def _receive(self, end):
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError("the browser does not answer")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise AssertionError("the browser ended")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
