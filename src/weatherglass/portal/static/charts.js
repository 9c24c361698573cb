// Charts by uPlot, over the same data that the server drew: a shared cursor, gaps as gaps, thresholds and changes drawn in.
(() => {
  const resolve = (name) => {
    const probe = document.createElement("i"); probe.className = `ink-${name}`; document.body.append(probe);
    const colour = getComputedStyle(probe).color; probe.remove(); return colour;
  };
  const PALETTE = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];
  const sync = window.uPlot ? uPlot.sync("page") : null;
  const drawn = new Map();

  const short = (v) => Math.abs(v) >= 1e9 ? `${+(v / 1e9).toPrecision(3)} G` : Math.abs(v) >= 1e6 ? `${+(v / 1e6).toPrecision(3)} M` : Math.abs(v) >= 1e4 ? `${+(v / 1e3).toPrecision(3)} k` : `${+v.toPrecision(3)}`;
  const written = (v, unit) => {
    if (v == null) return "–";
    if (!v) return `0${unit === "share" || unit === "ratio" ? " %" : unit ? ` ${unit}` : ""}`;
    if (unit === "s") return v < 0.001 ? `${+(v * 1e6).toPrecision(3)} µs` : v < 1 ? `${+(v * 1e3).toPrecision(3)} ms` : `${+v.toPrecision(3)} s`;
    if (unit === "share" || unit === "ratio") return `${+(v * 100).toPrecision(3)} %`;
    if (unit === "B") return `${short(v)}B`;
    return `${short(v)}${unit ? ` ${unit}` : ""}`;
  };
  const clock = (t, whole) => new Date(t * 1000).toISOString().slice(11, whole ? 19 : 16);

  function draw(place) {
    const spec = JSON.parse(place.dataset.chart), figure = place.closest("figure"), tall = figure.classList.contains("tall");
    if (!spec.data[0].length) return;
    const many = spec.labels.length > 1, ink = resolve("dim"), line = resolve("line"), limit = resolve("dying"), mark = resolve("mark");
    const colours = spec.labels.map((_, i) => many ? resolve(PALETTE[i % PALETTE.length]) : resolve(spec.state));
    const height = tall ? 300 : Math.max(116, place.clientHeight);
    const options = {
      width: Math.max(120, place.clientWidth), height, legend: { show: false }, padding: [8, 20, 0, 0], tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "UTC"),
      cursor: { sync: { key: sync.key, setSeries: false }, points: { size: 6 }, y: false, drag: { x: tall, y: false, setScale: false } },
      scales: { x: { min: spec.span[0], max: spec.span[1] }, y: { range: (u, lo, hi) => { const t = spec.threshold, top = Math.max(hi ?? 0, t ?? hi ?? 0), low = Math.min(0, lo ?? 0); return [low, top === low ? low + 1 : top + (top - low) * 0.08]; } } },
      axes: [
        { stroke: ink, grid: { show: false }, ticks: { stroke: line, size: 4 }, font: "11px InterVariable, system-ui, sans-serif", size: 24, space: 70, values: (u, splits, axis, space, step) => splits.map((t) => clock(t, step < 60)) },
        { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px InterVariable, system-ui, sans-serif", size: (u, values) => Math.max(36, ...(values || []).map((v) => v.length * 6.4 + 14)), space: tall ? 40 : 30, values: (u, splits) => splits.map((v) => written(v, ["s", "share", "ratio", "B"].includes(spec.unit) ? spec.unit : "")) },
      ],
      series: [{}, ...spec.labels.map((label, i) => ({ label, stroke: colours[i], width: 1.6, points: { show: spec.data[i + 1].filter((v) => v != null).length < 4, size: 4 }, spanGaps: false }))],
      hooks: {
        draw: [(u) => {
          const c = u.ctx, r = devicePixelRatio, { left, top, width: w, height: h } = u.bbox;
          c.save(); c.lineWidth = r;
          if (spec.threshold != null) { const y = Math.round(u.valToPos(spec.threshold, "y", true)); c.strokeStyle = limit; c.setLineDash([4 * r, 3 * r]); c.beginPath(); c.moveTo(left, y); c.lineTo(left + w, y); c.stroke(); }
          c.setLineDash([]); c.strokeStyle = mark;
          for (const [t] of spec.marks) { if (t < spec.span[0] || t > spec.span[1]) continue; const x = Math.round(u.valToPos(t, "x", true)); c.beginPath(); c.moveTo(x, top); c.lineTo(x, top + h); c.stroke(); }
          c.restore();
        }],
        setCursor: [(u) => {
          const i = u.cursor.idx;
          if (i == null) { readout.textContent = rest; return; }
          const t = u.data[0][i], near = spec.marks.find(([m]) => Math.abs(m - t) < (spec.span[1] - spec.span[0]) / 80);
          const shown = spec.labels.slice(0, many ? 4 : 1).map((label, s) => (many ? `${label} ` : "") + written(u.data[s + 1][i], spec.unit));
          readout.textContent = `${clock(t, true)}  ${shown.join(" · ")}${near ? `  ${near[1]}` : ""}`;
        }],
        setSelect: [(u) => {
          if (u.select.width < 8 || !place.dataset.zoom) return;
          const url = new URL(location.href), a = u.posToVal(u.select.left, "x"), b = u.posToVal(u.select.left + u.select.width, "x");
          url.searchParams.set("start", new Date(a * 1000).toISOString()); url.searchParams.set("end", new Date(b * 1000).toISOString());
          location.href = url.href;
        }],
      },
    };
    const readout = figure.querySelector("figcaption .dim"), rest = figure.dataset.rest ?? readout.textContent;
    figure.dataset.rest = rest;
    const data = spec.data.length === 1 ? [spec.data[0]] : spec.data;
    drawn.get(place)?.destroy();
    place.replaceChildren();
    figure.classList.add("drawn");
    const plot = new uPlot(options, data, place);
    sync.sub(plot);
    drawn.set(place, plot);
    if (tall) document.querySelectorAll("[data-series]").forEach((row) => { const i = Number(row.dataset.series); if (i < colours.length) row.querySelector(".swatch")?.classList.add(many ? `ink-${PALETTE[i % PALETTE.length]}` : `ink-${spec.state}`); });
  }
  const every = (root) => {
    for (const [place, plot] of drawn) if (!place.isConnected) { sync.unsub(plot); plot.destroy(); drawn.delete(place); }
    root.querySelectorAll(".plot[data-chart]").forEach((place) => { if (!drawn.has(place)) draw(place); });
  };
  const again = () => { for (const place of [...drawn.keys()]) if (place.isConnected) draw(place); };
  if (!window.uPlot) return;
  every(document);
  document.addEventListener("htmx:afterSettle", () => every(document));
  document.addEventListener("weatherglass:theme", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let timer; addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(again, 120); });
  document.addEventListener("toggle", (e) => { if (e.target.open) every(e.target); }, true);
})();
