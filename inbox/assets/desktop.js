// Desktop notifications for urgent alerts, when asked for; of many open tabs, one rings.
import { say } from "./talk.js";

const button = document.getElementById("desktop");
const KEY = "tocsin-desktop";
const wanted = () => localStorage.getItem(KEY) === "on" && "Notification" in window && Notification.permission === "granted";
let mine = false;
navigator.locks?.request("tocsin-desktop", () => new Promise(() => { mine = true; }));

export async function askDesktop() {
  if (!("Notification" in window)) return say("This browser shows no desktop notifications here");
  if (wanted()) localStorage.removeItem(KEY);
  else if ((await Notification.requestPermission()) === "granted") localStorage.setItem(KEY, "on");
  else return say("The browser does not allow desktop notifications for this page");
  paint();
  say(wanted() ? "Urgent alerts will show on the desktop" : "Desktop notifications are off");
}

export function ring(urgent, { late }) {
  if (!urgent.length || !wanted() || (navigator.locks && !mine)) return;
  const title = (row) => row.querySelector(".title").textContent.replace("Unread. ", "").trim();
  if (late || urgent.length > 3) return show(`${urgent.length} urgent ${urgent.length > 1 ? "alerts" : "alert"}`, title(urgent[0]), "many", "");
  for (const row of urgent) show(title(row), row.querySelector(".meta").innerText, row.dataset.row, row.dataset.thread);
}

function show(title, body, tag, thread) {
  const shown = new Notification(title, { body, tag: `tocsin-${tag}`, icon: document.getElementById("favicon").href });
  shown.onclick = () => {
    window.focus();
    if (thread) document.querySelector(`.row[data-thread="${thread}"] .title`)?.click();
    shown.close();
  };
}

function paint() {
  button.setAttribute("aria-pressed", String(wanted()));
}
addEventListener("storage", paint);
paint();
