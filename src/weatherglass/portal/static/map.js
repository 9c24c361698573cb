// The map: elkjs lays out what the server folded, in a worker; boxes are links, so the keyboard works as everywhere.
(() => {
  const place = document.getElementById("map"), source = () => document.getElementById("map-data");
  if (!place || !source() || !window.ELK) return;
  const NS = "http://www.w3.org/2000/svg", canvas = place.querySelector(".canvas");
  const make = (name, attributes, ...children) => { const e = document.createElementNS(NS, name); for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v); e.append(...children); return e; };
  const elk = new ELK({ workerUrl: source().dataset.worker });
  let view = { x: 0, y: 0, scale: 1 }, size = { width: 1, height: 1 }, shape = "", svg, group;

  const apply = () => group?.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
  const fit = () => {
    const w = canvas.clientWidth, h = canvas.clientHeight;
    view.scale = Math.min(1.15, (w - 32) / size.width, (h - 32) / size.height);
    view.x = (w - size.width * view.scale) / 2; view.y = (h - size.height * view.scale) / 2; apply();
  };
  const zoom = (by, cx = canvas.clientWidth / 2, cy = canvas.clientHeight / 2) => {
    const next = Math.min(3, Math.max(0.08, view.scale * by)), k = next / view.scale;
    view = { scale: next, x: cx - (cx - view.x) * k, y: cy - (cy - view.y) * k }; apply();
  };

  async function draw() {
    const data = JSON.parse(source().dataset.map);
    if (!data.nodes.length) return;
    const now = JSON.stringify([data.nodes.map((n) => n[0]), data.flows]);
    if (now === shape) { data.nodes.forEach((n) => { const box = svg.querySelector(`[data-id="${CSS.escape(n[0])}"]`); if (box) box.setAttribute("class", css(n, data.focus)); }); return; }
    const width = (n) => Math.min(230, (n[3] ? 36 : 22) + n[1].length * 7.2);
    const graph = {
      id: "root",
      layoutOptions: { "elk.algorithm": "layered", "elk.direction": "RIGHT", "elk.layered.spacing.nodeNodeBetweenLayers": "56", "elk.spacing.nodeNode": "10", "elk.edgeRouting": "SPLINES", "elk.partitioning.activate": "true", "elk.layered.thoroughness": "5", "elk.spacing.componentComponent": "18" },
      children: data.nodes.map((n) => { const layer = data.layers.indexOf(n[2]); return { id: n[0], width: width(n), height: 32, layoutOptions: layer >= 0 && n[2] !== "service" ? { "elk.partitioning.partition": String(n[2] === "tenant" ? 90 : layer) } : { "elk.partitioning.partition": "50" } }; }),
      edges: data.flows.map(([a, b], i) => ({ id: `e${i}`, sources: [a], targets: [b] })),
    };
    let laid;
    try { laid = await elk.layout(graph); } catch (error) { place.hidden = true; console.warn("the map could not be laid out:", error.message); return; }
    shape = now; size = { width: laid.width, height: laid.height };
    place.hidden = false;
    const byId = new Map(data.nodes.map((n) => [n[0], n]));
    group = make("g", {});
    for (const edge of laid.edges) for (const s of edge.sections ?? []) {
      const points = [s.startPoint, ...(s.bendPoints ?? []), s.endPoint];
      let d = `M${points[0].x} ${points[0].y}`;
      if ((points.length - 1) % 3 === 0 && points.length > 2) for (let i = 1; i < points.length; i += 3) d += `C${points[i].x} ${points[i].y} ${points[i + 1].x} ${points[i + 1].y} ${points[i + 2].x} ${points[i + 2].y}`;
      else for (const p of points.slice(1)) d += `L${p.x} ${p.y}`;
      const state = byId.get(edge.sources[0])?.[3], to = byId.get(edge.targets[0])?.[3], ill = (x) => x === "sick" || x === "dying" || x === "dead";
      group.append(make("path", { d, class: ill(state) && ill(to) ? "flow hot" : "flow", "data-a": edge.sources[0], "data-b": edge.targets[0] }));
    }
    for (const child of laid.children) {
      const n = byId.get(child.id), text = make("text", { x: n[3] ? 26 : 12, y: 20.5 });
      text.textContent = n[1].length > 28 ? `${n[1].slice(0, 27)}…` : n[1];
      const title = make("title", {}); title.textContent = `${n[2]} ${n[1]}: ${n[3]}`;
      const box = make("g", { class: css(n, data.focus), transform: `translate(${child.x} ${child.y})`, "data-id": n[0] }, title,
        ...(n[4] > 1 ? [make("rect", { x: 4, y: 4, width: child.width, height: 32, rx: 7, class: "behind" })] : []),
        make("rect", { width: child.width, height: 32, rx: 7 }),
        ...(n[3] ? [make("svg", { x: 7, y: 9, width: 14, height: 14, class: "glyph" }, make("use", { href: `#wg-${n[3]}` }))] : []), text);
      group.append(make("a", { href: n[5], "aria-label": `${n[2]} ${n[1]}, ${n[3]}` }, box));
    }
    svg = make("svg", { class: "graph", role: "group" }, group);
    canvas.replaceChildren(svg);
    canvas.style.height = `${Math.max(220, Math.min(innerHeight * 0.68, size.height * Math.min(1.15, (canvas.clientWidth - 32) / size.width) + 32))}px`;
    fit();
  }
  const css = (n, focus) => `box ${n[3]}${n[0] === focus ? " cause" : ""} ${n[2]}`;

  canvas.addEventListener("wheel", (e) => { if (!e.ctrlKey && !e.metaKey) return; e.preventDefault(); const r = canvas.getBoundingClientRect(); zoom(Math.exp(-e.deltaY / 300), e.clientX - r.left, e.clientY - r.top); }, { passive: false });
  let drag = null;
  canvas.addEventListener("pointerdown", (e) => { if (e.button === 0 && !e.target.closest("a")) { drag = [e.clientX - view.x, e.clientY - view.y]; canvas.setPointerCapture(e.pointerId); } });
  canvas.addEventListener("pointermove", (e) => { if (drag) { view.x = e.clientX - drag[0]; view.y = e.clientY - drag[1]; apply(); } });
  canvas.addEventListener("pointerup", () => { drag = null; });
  canvas.addEventListener("keydown", (e) => {
    if (e.target !== canvas) return;
    const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[e.key];
    if (step) { e.preventDefault(); view.x += step[0]; view.y += step[1]; apply(); } else if (e.key === "+") zoom(1.25); else if (e.key === "-") zoom(0.8); else if (e.key === "0") fit();
  });
  const near = (id, on) => canvas.querySelectorAll(".flow").forEach((p) => p.classList.toggle("near", on && (p.dataset.a === id || p.dataset.b === id)));
  for (const [kind, on] of [["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]]) canvas.addEventListener(kind, (e) => { const box = e.target.closest?.("a")?.querySelector("[data-id]"); if (box) near(box.dataset.id, on); });
  place.querySelector(".legend").addEventListener("click", (e) => { const z = e.target.dataset.zoom; if (z === "in") zoom(1.25); else if (z === "out") zoom(0.8); else if (z) fit(); });
  const time = document.getElementById("time");
  time?.addEventListener("input", () => { document.getElementById("time-out").textContent = new Date(time.value * 1000).toISOString().slice(11, 16); });
  time?.addEventListener("change", () => document.getElementById("time-form").submit());
  addEventListener("resize", () => group && fit());
  document.addEventListener("htmx:afterSettle", draw);
  draw();
})();
