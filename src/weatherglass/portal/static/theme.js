// Light, dark or as the system says: set before anything is painted, so that nothing flashes.
(() => {
  const root = document.documentElement, order = ["", "light", "dark"];
  const kept = () => { try { return localStorage.getItem("weatherglass-theme") || ""; } catch { return ""; } };
  const wear = (theme) => { if (theme) root.dataset.theme = theme; else delete root.dataset.theme; };
  wear(kept());
  root.classList.add("scripts");
  window.weatherglassTheme = () => {
    const next = order[(order.indexOf(kept()) + 1) % order.length];
    try { localStorage.setItem("weatherglass-theme", next); } catch { /* private windows keep nothing */ }
    wear(next);
    document.dispatchEvent(new CustomEvent("weatherglass:theme", { detail: next || "system" }));
    return next || "system";
  };
})();
