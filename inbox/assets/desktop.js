// Desktop notifications for urgent alerts, when asked for; of many open tabs, one rings.
import { markRead, show as open } from "./drawer.js";
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

// Rings for alerts the server names: whatever this tab's filters show, for it may be the one tab that rings.
export function ring(alerts, { late, count }) {
  if (!wanted() || (navigator.locks && !mine)) return;
  if (count > 3 || (late && count > 1)) return show(`${count} urgent alerts`, alerts[0].title, "many");
  for (const { title, about, thread } of alerts) show(title, about, thread, thread);
}

function show(title, body, tag, thread) {
  const shown = new Notification(title, { body, tag: `tocsin-${tag}`, icon: document.getElementById("favicon").href });
  shown.onclick = () => {
    window.focus();
    shown.close();
    if (!thread) return;
    const row = document.querySelector(`.row[data-thread="${thread}"] .title`);
    if (row) row.click();
    else open(thread).then((there) => there && markRead());
  };
}

function paint() {
  button.setAttribute("aria-pressed", String(wanted()));
}
addEventListener("storage", paint);
paint();
