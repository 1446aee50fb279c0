// The drawer beside the list; what is open stands in the address.
import { ask, say } from "./talk.js";
import { ages } from "./rows.js";

const drawer = document.getElementById("drawer");
const desk = document.getElementById("desk");
let current = "";

export const isOpen = () => !drawer.hidden;

export function opened(number) {
  if (number !== undefined) mark(number);
  return current;
}

export async function show(number, { keep = false } = {}) {
  let html;
  try {
    html = await (await ask(`/threads/${number}?${new URLSearchParams(location.search)}`)).text();
  } catch {
    say("This alert is no longer in the inbox");
    return false;
  }
  drawer.innerHTML = html;
  drawer.hidden = false;
  drawer.scrollTop = 0;
  desk.classList.add("opened");
  mark(number);
  if (!keep) remember(number);
  ages(drawer);
  if (matchMedia("(max-width: 1100px)").matches) drawer.querySelector("h2").focus({ preventScroll: true });
  say(`Opened: ${drawer.querySelector("h2").textContent}`);
  return true;
}

export function close({ keep = false } = {}) {
  drawer.hidden = true;
  drawer.replaceChildren();
  desk.classList.remove("opened");
  mark("");
  if (!keep) remember("");
}

function mark(number) {
  current = String(number);
  for (const row of document.querySelectorAll(".row.current")) row.classList.remove("current");
  if (current) document.querySelector(`.row.member[data-thread="${current}"], .row[data-thread="${current}"]`)?.classList.add("current");
}

// The thread shown changed: show it as it is now, without moving the focus.
export async function renew(threads) {
  if (!current || !threads.includes(current) || document.hidden) return;
  const answer = await ask(`/threads/${current}?${new URLSearchParams(location.search)}`).catch(() => null);
  if (!answer) return;
  const open = [...drawer.querySelectorAll("details")].map((each) => each.open);
  const inside = drawer.contains(document.activeElement);
  if (inside) return;
  drawer.innerHTML = await answer.text();
  [...drawer.querySelectorAll("details")].forEach((each, n) => { each.open = open[n]; });
  ages(drawer);
}

function remember(number) {
  const found = new URLSearchParams(location.search);
  found.delete("open");
  if (number) found.set("open", number);
  history.replaceState(null, "", "/" + (found.size ? "?" + found : ""));
}
