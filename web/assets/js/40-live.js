// A live part says what it is: live, paused, or frozen and since when; and it recovers by itself.
// htmx's SSE extension holds the stream; every message's id is the server's time.
(() => {
  "use strict";
  const SILENCE = 12000; // milliseconds; the server says something every five seconds
  const AGAIN = [1000, 2000, 4000, 8000];
  const SPEAK = 10000; // between two announcements to a screen reader

  for (const part of document.querySelectorAll("[data-live]")) follow(part);

  function follow(part) {
    const body = part.querySelector("[data-live-body]");
    const word = part.querySelector("[data-live-word]");
    const said = part.querySelector("[data-live-said]");
    const button = part.querySelector("[data-live-pause]");
    let state = "";
    let heardAt = cadastre.now(); // server's time of the newest message
    let heardOn = performance.now(); // this page's
    let tries = 0;
    let waiting = 0;
    let spokenOn = -SPEAK;
    let speaking = 0;

    function become(next) {
      if (next === state) return;
      const before = state;
      state = next;
      part.dataset.state = next;
      const text = part.dataset[`word${next[0].toUpperCase()}${next.slice(1)}`];
      word.textContent = text.replace("{time}", cadastre.time(heardAt));
      button.textContent = next === "paused" ? part.dataset.wordResume : part.dataset.wordPause;
      button.setAttribute("aria-pressed", String(next === "paused"));
      if (before) announce(next === "live" ? part.dataset.wordBack : word.textContent);
    }

    // Polite, and not more often than a person can listen; the newest state is what is told.
    function announce(text) {
      clearTimeout(speaking);
      const wait = Math.max(0, spokenOn + SPEAK - performance.now());
      speaking = setTimeout(() => {
        spokenOn = performance.now();
        said.textContent = text;
      }, wait);
    }

    function heard(message) {
      const moment = Number(message.id);
      if (Number.isFinite(moment) && moment > 0) {
        cadastre.heard(moment);
        heardAt = moment;
      }
      heardOn = performance.now();
      tries = 0;
      if (state !== "paused" && state !== "old") become("live");
    }

    // The extension asks again by itself once a stream was there; before that, nobody does.
    function again() {
      if (waiting || state === "paused") return;
      const wait = AGAIN[Math.min(tries++, AGAIN.length - 1)];
      waiting = setTimeout(() => {
        waiting = 0;
        if (state !== "paused") htmx.trigger(body, "live:again", {}, false);
      }, wait * (0.75 + Math.random() / 2));
    }

    body.addEventListener("htmx:sse:before:connection", (event) => {
      if (state === "paused") event.preventDefault();
    });
    body.addEventListener("htmx:sse:before:message", (event) => {
      if (state === "paused") event.preventDefault();
      else heard(event.detail.message);
    });
    body.addEventListener("htmx:sse:after:message", () => cadastre.refresh());
    body.addEventListener("hello", (event) => {
      const [version, language] = event.detail.data.split(" ");
      const root = document.documentElement;
      if (version && (version !== root.dataset.version || language !== root.lang)) become("old");
    });
    body.addEventListener("htmx:sse:error", (event) => {
      const status = event.detail.status;
      if (status === 401 || status === 403) become("out");
      else if (state !== "paused") become("frozen");
    });
    body.addEventListener("htmx:sse:close", () => {
      if (state !== "paused") again();
    });
    for (const failure of ["htmx:error", "htmx:response:error"]) {
      body.addEventListener(failure, (event) => {
        const status = event.detail.ctx?.response?.status;
        if (status === 401 || status === 403) return become("out");
        if (state !== "paused") become("frozen");
        again();
      });
    }

    button.hidden = false;
    button.addEventListener("click", () => {
      if (state === "paused") {
        become("frozen");
        htmx.trigger(body, "live:again", {}, false);
      } else {
        become("paused");
        clearTimeout(waiting);
        waiting = 0;
        body._htmx?.sse?.reader?.cancel();
      }
    });
    setInterval(() => {
      if (document.hidden) {
        heardOn = performance.now(); // a hidden page is let go by the extension, on purpose
      } else if (state === "live" && performance.now() - heardOn > SILENCE) {
        become("frozen");
        body._htmx?.sse?.reader?.cancel(); // a line that is dead without having said so
      }
    }, 1000);
  }
})();
