// Series that can be hovered: uPlot draws what the chart's own data table says. Without uPlot, or
// without scripts, the server's picture stands; the table is there either way.
(() => {
  "use strict";
  if (typeof uPlot === "undefined") return;
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const plots = new Map(); // figure -> uPlot

  function read(figure) {
    const table = figure.querySelector(".chart-data table");
    const [along, ...names] = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies[0].rows];
    const places = rows.map((row) => Date.parse(row.cells[0].querySelector("time")?.dateTime) / 1000);
    const columns = names.map((_, index) =>
      rows.map((row) => {
        const value = row.cells[index + 1].dataset.value;
        return value === undefined ? null : Number(value);
      }));
    return { along, names, data: [places, ...columns] };
  }

  function draw(figure) {
    const room = figure.querySelector(".series-live");
    const { along, names, data } = read(figure);
    if (!data[0].length || data[0].some(Number.isNaN)) return;
    const dashes = [[], [7, 4], [2, 4], [10, 3, 2, 3]];
    const number = new Intl.NumberFormat(root.lang, { maximumFractionDigits: 3 });
    const moment = new Intl.DateTimeFormat(root.lang, {
      timeZone: root.dataset.zone, dateStyle: "medium", timeStyle: "short",
    });
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
    const span = data[0].at(-1) - data[0][0];
    const tick = new Intl.DateTimeFormat(root.lang, span > 172800
      ? { timeZone: root.dataset.zone, day: "numeric", month: "short" }
      : { timeZone: root.dataset.zone, timeStyle: "short" });
    room.hidden = false;
    figure.dataset.drawn = "";
    plots.get(figure)?.destroy();
    plots.set(figure, new uPlot({
      width: room.clientWidth || 560,
      height: 240,
      cursor: { y: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), root.dataset.zone),
      series: [
        { label: along, value: (plot, seconds, series, index) => {
          const shown = index == null ? plot.data?.[0]?.at(-1) : seconds; // the newest where nobody points
          return shown == null ? "" : moment.format(shown * 1000);
        } },
        ...names.map((name, index) => ({
          label: name,
          stroke: colour(`--series-${index + 1}`),
          width: 2,
          dash: dashes[index],
          points: { show: false },
          paths: "stepped" in figure.dataset ? uPlot.paths.stepped({ align: 1 }) : undefined,
          value: (plot, value, series, index) => {
            const shown = index == null ? plot.data?.[series]?.at(-1) : value;
            return shown == null ? "" : number.format(shown);
          },
        })),
      ],
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((seconds) => tick.format(seconds * 1000)) },
        { ...axis, values: (_, ticks) => ticks.map((value) => number.format(value)) },
      ],
    }, data, room));
  }

  function all() {
    for (const [figure, plot] of plots) {
      if (figure.isConnected) continue;
      plot.destroy();
      plots.delete(figure);
    }
    for (const figure of document.querySelectorAll("[data-series]")) draw(figure);
  }

  all();
  document.addEventListener("htmx:after:swap", () => {
    for (const figure of document.querySelectorAll("[data-series]")) {
      figure.dataset.drawn = ""; // the fragment that came in knows nothing of it
      const plot = plots.get(figure);
      if (plot) plot.setData(read(figure).data);
      else draw(figure);
    }
  });
  document.addEventListener("cadastre:theme", all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  addEventListener("resize", () => {
    for (const [figure, plot] of plots) {
      plot.setSize({ width: figure.querySelector(".series-live").clientWidth, height: 240 });
    }
  });
})();
