// Completion in the query box: the word at the caret, answered by the server; arrows, Enter or Tab take one.
(() => {
  const box = document.getElementById("q"), list = document.getElementById("words");
  if (!box || !list) return;
  let at = -1, asked = 0;
  const word = () => { const before = box.value.slice(0, box.selectionStart), m = before.match(/[A-Za-z_:][\w:]*$/); return m && !/\{[^}]*$/.test(before) ? m[0] : ""; };
  const close = () => { list.hidden = true; box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant"); at = -1; };
  const mark = (i) => { const all = [...list.children]; at = (i + all.length) % all.length; all.forEach((li, k) => li.setAttribute("aria-selected", k === at)); all[at].scrollIntoView({ block: "nearest" }); box.setAttribute("aria-activedescendant", all[at].id); };
  const take = (li) => { const w = word(), end = box.selectionStart, name = li.dataset.word + (li.dataset.kind === "function" ? "(" : ""); box.setRangeText(name, end - w.length, end, "end"); close(); box.focus(); };
  async function ask() {
    const w = word(), turn = ++asked;
    if (w.length < 2) return close();
    const url = new URL(box.dataset.names, location.href); url.searchParams.set("prefix", w);
    let found;
    try { found = await (await fetch(url)).json(); } catch { return close(); }
    if (turn !== asked || !found.length || (found.length === 1 && found[0][0] === w)) return turn === asked && close();
    list.replaceChildren(...found.map(([name, kind, help], i) => { const li = document.createElement("li"); li.id = `word-${i}`; li.role = "option"; li.dataset.word = name; li.dataset.kind = kind; const b = document.createElement("code"), s = document.createElement("span"); b.textContent = name; s.textContent = help || kind; s.className = "dim"; li.append(b, s); return li; }));
    list.hidden = false; box.setAttribute("aria-expanded", "true"); at = -1;
  }
  box.addEventListener("input", ask);
  box.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey || (list.hidden && !e.shiftKey))) { e.preventDefault(); box.form.requestSubmit(); return; }
    if (list.hidden) return;
    if (e.key === "ArrowDown") { e.preventDefault(); mark(at + 1); } else if (e.key === "ArrowUp") { e.preventDefault(); mark(at - 1); }
    else if ((e.key === "Enter" || e.key === "Tab") && at >= 0) { e.preventDefault(); take(list.children[at]); }
    else if (e.key === "Enter") { e.preventDefault(); close(); box.form.requestSubmit(); }
    else if (e.key === "Escape") { e.stopPropagation(); close(); }
  });
  box.addEventListener("blur", () => setTimeout(close, 150));
  list.addEventListener("pointerdown", (e) => { const li = e.target.closest("li"); if (li) { e.preventDefault(); take(li); } });
})();
