// The events page: completion at the end of the query, a histogram that one can brush, keys for lines, a tail that stays short.
(() => {
  const box = document.getElementById("q"), list = document.getElementById("words");
  if (!box || !list) return;
  let at = -1, asked = 0, from = 0;
  const close = () => { list.hidden = true; box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant"); at = -1; };
  const mark = (i) => { const all = [...list.children]; at = (i + all.length) % all.length; all.forEach((li, k) => li.setAttribute("aria-selected", k === at)); all[at].scrollIntoView({ block: "nearest" }); box.setAttribute("aria-activedescendant", all[at].id); };
  const take = (li) => { box.setRangeText(li.dataset.word, from, box.selectionStart, "end"); close(); box.focus(); if (li.dataset.word.endsWith(":")) ask(); };
  async function ask() {
    const before = box.value.slice(0, box.selectionStart), turn = ++asked;
    if (!before.trim() || /\s$/.test(before)) return close();
    const url = new URL(box.dataset.words, location.href); url.searchParams.set("q", before.slice(-500));
    let found;
    try { found = await (await fetch(url)).json(); } catch { return close(); }
    if (turn !== asked) return;
    from = Math.max(0, before.length - 500) + found.from;
    const word = before.slice(from);
    const fits = found.words.filter(([text]) => text.trim() !== word.trim());
    if (!fits.length) return close();
    list.replaceChildren(...fits.map(([text, help], i) => { const li = document.createElement("li"); li.id = `word-${i}`; li.role = "option"; li.dataset.word = text; const b = document.createElement("code"), s = document.createElement("span"); b.textContent = text; s.textContent = help; s.className = "dim"; li.append(b, s); return li; }));
    list.hidden = false; box.setAttribute("aria-expanded", "true"); at = -1;
  }
  box.addEventListener("input", ask);
  box.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && at < 0 && !e.shiftKey) { e.preventDefault(); close(); box.form.requestSubmit(); return; }
    if (list.hidden) return;
    if (e.key === "ArrowDown") { e.preventDefault(); mark(at + 1); } else if (e.key === "ArrowUp") { e.preventDefault(); mark(at - 1); }
    else if ((e.key === "Enter" || e.key === "Tab") && at >= 0) { e.preventDefault(); take(list.children[at]); }
    else if (e.key === "Escape") { e.stopPropagation(); close(); }
  });
  box.addEventListener("blur", () => setTimeout(close, 150));
  list.addEventListener("pointerdown", (e) => { const li = e.target.closest("li"); if (li) { e.preventDefault(); take(li); } });
})();
(() => {
  const bars = document.getElementById("bars"), brush = document.getElementById("brush");
  if (!bars || !brush) return;
  const wide = bars.viewBox.baseVal.width, first = BigInt(bars.dataset.start), length = BigInt(bars.dataset.end) - first;
  const place = (e) => { const r = bars.getBoundingClientRect(); return Math.min(1, Math.max(0, (e.clientX - r.left) / r.width)); };
  let begun = null, moved = false;
  bars.addEventListener("pointerdown", (e) => { begun = place(e); moved = false; });
  bars.addEventListener("dragstart", (e) => e.preventDefault());
  addEventListener("pointermove", (e) => {
    if (begun === null) return;
    const now = place(e);
    if (Math.abs(now - begun) * bars.getBoundingClientRect().width < 5 && !moved) return;
    moved = true;
    brush.setAttribute("x", Math.min(now, begun) * wide); brush.setAttribute("width", Math.abs(now - begun) * wide);
  });
  addEventListener("pointerup", (e) => {
    if (begun === null) return;
    const ends = [begun, place(e)].sort((a, b) => a - b); begun = null;
    if (!moved) return;
    const iso = (share) => new Date(Number((first + BigInt(Math.round(share * 1e6)) * length / 1000000n) / 1000000n)).toISOString();
    const url = new URL(location.href);
    for (const name of ["range", "around", "before", "follow"]) url.searchParams.delete(name);
    url.searchParams.set("start", iso(ends[0])); url.searchParams.set("end", iso(ends[1]));
    location.href = url.href;
  });
  bars.addEventListener("click", (e) => { if (moved) e.preventDefault(); }, true);
})();
(() => {
  const typing = (el) => /^(input|textarea|select)$/i.test(el.tagName);
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || typing(e.target)) return;
    if (e.key === "f") { document.getElementById("follow")?.click(); return; }
    if (e.key !== "j" && e.key !== "k") return;
    const all = [...document.querySelectorAll("details.event > summary")], i = all.indexOf(document.activeElement);
    const next = all[e.key === "j" ? i + 1 : Math.max(0, i - 1)];
    if (next) { e.preventDefault(); next.focus(); }
  });
  document.addEventListener("htmx:sseMessage", () => {
    const tail = document.getElementById("tail");
    while (tail && tail.children.length > 500) tail.lastElementChild.remove();
  });
})();
