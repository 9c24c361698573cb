// The keyboard, and what needs a hand beside it: search, g + letter, help, theme, tables, typed confirmations.
(() => {
  const by = (id) => document.getElementById(id);
  const typing = (el) => el && (el.isContentEditable || /^(input|textarea|select)$/i.test(el.tagName));
  const help = () => { const d = by("help"); if (d.open) d.close(); else d.showModal(); };
  const theme = () => {
    const now = window.weatherglassTheme();
    by("theme")?.setAttribute("aria-label", `Theme: ${now}`);
    by("theme")?.setAttribute("title", `theme: ${now}`);
  };
  const tables = () => {
    const all = [...document.querySelectorAll("details.values")], open = all.some((d) => !d.open);
    all.forEach((d) => { d.open = open; });
  };
  let g = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu[open]").forEach((d) => { d.open = false; d.querySelector("summary").focus(); });
      if (typing(document.activeElement)) { document.activeElement.blur(); by("quick")?.replaceChildren(); }
      return;
    }
    if (event.key === "ArrowDown" && event.target.id === "search") {
      const first = by("quick")?.querySelector("a"); if (first) { event.preventDefault(); first.focus(); } return;
    }
    if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.closest?.("#quick")) {
      const links = [...by("quick").querySelectorAll("a")], i = links.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1);
      event.preventDefault(); (links[i] || by("search")).focus(); return;
    }
    if (typing(event.target)) return;
    const key = event.key;
    if (g && Date.now() - g < 1500) {
      g = 0;
      const link = document.querySelector(`nav.side a[data-key="${CSS.escape(key)}"]`);
      if (link) { event.preventDefault(); link.click(); return; }
    }
    if (key === "g") { g = Date.now(); return; }
    if (key === "/") { event.preventDefault(); by("search")?.focus(); by("search")?.select(); }
    else if (key === "?") { event.preventDefault(); help(); }
    else if (key === "d") theme();
    else if (key === "t") tables();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("#theme")) theme();
    else if (event.target.closest("#help-open")) help();
    else if (event.target.closest("#print")) window.print();
    else if (event.target.closest("[data-copy]")) {
      const b = event.target.closest("[data-copy]");
      navigator.clipboard?.writeText(new URL(b.dataset.copy, location.href).href).then(() => { b.textContent = "Copied"; });
    }
    document.querySelectorAll("details.menu[open]").forEach((d) => { if (!d.contains(event.target)) d.open = false; });
    if (!event.target.closest("[role=search]")) by("quick")?.replaceChildren();
  });
  const guard = (input) => {
    const button = input.form.querySelector("button");
    button.disabled = input.value !== input.dataset.must;
  };
  document.addEventListener("input", (event) => { if (event.target.dataset?.must) guard(event.target); });
  const ready = () => {
    for (const id of ["theme", "help-open", "print"]) if (by(id)) by(id).hidden = false;
    document.querySelectorAll("[data-copy]").forEach((b) => { b.hidden = false; });
    document.querySelectorAll("input[data-must]").forEach(guard);
  };
  ready();
  document.addEventListener("htmx:afterSettle", ready);
})();
