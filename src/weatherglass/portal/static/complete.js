// Completion in the query boxes: metrics and functions, labels inside braces and by (…), values after =; arrows, Enter or Tab take one.
(() => {
  document.querySelectorAll("textarea[data-names]").forEach((box) => {
    const list = document.getElementById(box.getAttribute("aria-controls"));
    let at = -1, asked = 0, typed = "";
    // What the caret stands in: {what, prefix, metric, label}; null where nothing can be offered.
    const place = () => {
      const before = box.value.slice(0, box.selectionStart);
      const braces = before.match(/([A-Za-z_:][\w:]*)?\s*\{((?:[^{}"]|"(?:[^"\\]|\\.)*"?)*)$/);
      if (braces) {
        const metric = braces[1] || "", value = braces[2].match(/([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)$/);
        if (value) return { what: "values", label: value[1], prefix: value[2], metric };
        const label = braces[2].match(/(?:^|,)\s*([A-Za-z_]\w*)?$/);
        return label ? { what: "labels", prefix: label[1] || "", metric } : null;
      }
      const by = before.match(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\((?:[^()]*,)?\s*([A-Za-z_]\w*)?$/);
      if (by) return { what: "labels", prefix: by[1] || "", metric: "" };
      const word = before.match(/[A-Za-z_:][\w:]*$/);
      return word && word[0].length > 1 ? { what: "", prefix: word[0], metric: "" } : null;
    };
    const close = () => { list.hidden = true; box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant"); at = -1; };
    const mark = (i) => { const all = [...list.children]; at = (i + all.length) % all.length; all.forEach((li, k) => li.setAttribute("aria-selected", k === at)); all[at].scrollIntoView({ block: "nearest" }); box.setAttribute("aria-activedescendant", all[at].id); };
    const quoted = (text) => text.replace(/\\/g, "\\\\").replace(/"/g, '\\"');
    const take = (li) => { const end = box.selectionStart, { word, kind } = li.dataset, text = kind === "function" ? `${word}(` : kind === "value" ? quoted(word) : word; box.setRangeText(text, end - typed.length, end, "end"); close(); box.focus(); };
    async function ask() {
      const found = place(), turn = ++asked;
      if (!found) return close();
      const url = new URL(box.dataset.names, location.href);
      for (const [name, text] of Object.entries(found)) if (text) url.searchParams.set(name, text);
      let rows;
      try { rows = await (await fetch(url)).json(); } catch { return close(); }
      if (turn !== asked) return;
      if (!rows.length || (rows.length === 1 && rows[0][0] === found.prefix)) return close();
      typed = found.prefix;
      list.replaceChildren(...rows.map(([name, kind, help], i) => { const li = document.createElement("li"); li.id = `${list.id}-${i}`; li.role = "option"; li.dataset.word = name; li.dataset.kind = kind; const b = document.createElement("code"), s = document.createElement("span"); b.textContent = name; s.textContent = help || kind; s.className = "dim"; li.append(b, s); return li; }));
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
  });
})();
