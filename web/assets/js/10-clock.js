// The server's time, counted on by a clock that nobody sets: ages on the page are right even where
// the machine's own clock is not. `cadastre` is the only name that these scripts leave behind.
const cadastre = (() => {
  "use strict";
  const root = document.documentElement;
  const language = root.lang;
  let base = Number(root.dataset.now);
  let mark = performance.now();

  const now = () => base + (performance.now() - mark);

  // `moment`, in milliseconds, came from the server just now.
  function heard(moment) {
    if (Number.isFinite(moment) && moment > 0) {
      base = moment;
      mark = performance.now();
    }
  }

  const units = [
    ["year", 31536000], ["month", 2592000], ["week", 604800],
    ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1],
  ];
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "always" });

  // The same steps as web/speech.py, so that nothing jumps when a script takes over.
  function ago(moment) {
    const seconds = (moment - now()) / 1000;
    for (const [unit, length] of units) {
      const count = Math.abs(seconds) / length;
      if (count >= 1.2 || unit === "second") {
        const whole = Math.max(1, Math.round(count));
        return relative.format(seconds > 0 ? whole : -whole, unit);
      }
    }
    return "";
  }

  let clock;
  try {
    clock = new Intl.DateTimeFormat(language, { timeZone: root.dataset.zone, timeStyle: "medium" });
  } catch {
    clock = new Intl.DateTimeFormat(language, { timeZone: "UTC", timeStyle: "medium" });
  }
  const time = (moment) => clock.format(new Date(moment));

  function refresh() {
    for (const part of document.querySelectorAll("[data-ago]")) {
      const text = ago(Date.parse(part.closest("time").dateTime));
      if (text && part.textContent !== text) part.textContent = text;
    }
  }

  setInterval(refresh, 5000);
  return { now, heard, time, refresh };
})();
