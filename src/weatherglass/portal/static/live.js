// Says whether the page is live. A dropped stream is told in words; when it mends, the page renews itself.
(() => {
  const chip = document.getElementById("live-chip");
  if (!chip) return;
  let dropped = false;
  const tell = (text, ok) => { chip.hidden = false; chip.textContent = text; chip.classList.toggle("off", !ok); };
  document.addEventListener("htmx:sseOpen", () => {
    tell("live", true);
    if (dropped) { dropped = false; const part = document.getElementById("renew"); if (part) window.htmx.trigger(part, "renew"); }
  });
  document.addEventListener("htmx:sseError", () => { dropped = true; tell("not live, retrying", false); });
  document.addEventListener("htmx:sseClose", () => { dropped = true; tell("not live, retrying", false); });
  // A part that someone is working in (an open confirmation, a focused field) is left alone until they are done.
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const part = event.detail.target;
    if (part.querySelector("details.confirm[open]") || part.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) event.detail.shouldSwap = false;
  });
})();
