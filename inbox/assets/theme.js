// What every page has: the theme, set before the first paint so that it does not flash, and the way out.
const chosen = localStorage.getItem("tocsin-theme");
if (chosen) document.documentElement.dataset.theme = chosen;
addEventListener("DOMContentLoaded", () => {
  document.getElementById("leave")?.addEventListener("click", async () => {
    await fetch("/leave", { method: "POST", headers: { "X-Tocsin": "page" } });
    location.assign("/enter");
  });
  document.getElementById("theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("tocsin-theme", root.dataset.theme);
  });
});
