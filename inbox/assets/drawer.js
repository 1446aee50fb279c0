// The drawer beside the list; what is open stands in the address.
import { ask, say, tell } from "./talk.js";
import { ages } from "./rows.js";

const drawer = document.getElementById("drawer");
const desk = document.getElementById("desk");
const HOLDS = "a, button, h2, summary, pre";
let current = "";
let shows = 0;
let drawn = "";
let stale = false;

export const isOpen = () => !drawer.hidden;

// Up to where the clock stood when what the drawer shows was looked up: what came since was not seen.
export const shownAt = () => Number(drawer.firstElementChild.dataset.newest);
export const markRead = () => tell("/read", { thread: Number(current), clock: shownAt(), read: true });

export function opened(number) {
  if (number !== undefined) mark(number);
  return current;
}

export async function show(number, { keep = false } = {}) {
  const mine = ++shows;
  const html = await fetched(number);
  if (mine !== shows) return false;  // another one was opened meanwhile
  if (html === null) {
    say("This alert is no longer in the inbox");
    return false;
  }
  drawn = html;
  const was = drawer.hidden;
  drawer.innerHTML = html;
  drawer.hidden = false;
  drawer.scrollTop = 0;
  desk.classList.add("opened");
  mark(number);
  if (!keep) remember(number, { step: was });
  ages(drawer);
  if (matchMedia("(max-width: 1100px)").matches) drawer.querySelector("h2").focus({ preventScroll: true });
  say(`Opened: ${drawer.querySelector("h2").textContent}`);
  return true;
}

function fetched(number) {
  return ask(`/threads/${number}?${new URLSearchParams(location.search)}`).then((answer) => answer.text()).catch(() => null);
}

export function close({ keep = false } = {}) {
  shows += 1;
  drawer.hidden = true;
  drawer.replaceChildren();
  desk.classList.remove("opened");
  mark("");
  if (keep) return;
  if (history.state?.opened) history.back();
  else remember("");
}

function mark(number) {
  current = String(number);
  for (const row of document.querySelectorAll(".row.current")) row.classList.remove("current");
  const shown = (kind) => document.querySelector(`.row${kind}[data-thread="${current}"]`);
  if (current) (shown(".member") ?? shown(""))?.classList.add("current");
}

// The thread shown changed: show it as it is now, without moving the focus or what is scrolled, open or selected.
export async function renew(threads) {
  if (!current || !threads.includes(current)) return;
  stale = document.hidden || selecting();
  if (stale) return;
  const mine = shows;
  const html = await fetched(current);
  if (mine !== shows || html === null || html === drawn) return;
  drawn = html;
  const open = [...drawer.querySelectorAll("details")].map((each) => each.open);
  const scrolled = [drawer, ...drawer.querySelectorAll("pre")].map((each) => each.scrollTop);
  const held = drawer.contains(document.activeElement) ? sign(document.activeElement) : "";
  drawer.innerHTML = html;
  [...drawer.querySelectorAll("details")].forEach((each, n) => { each.open = open[n]; });
  [drawer, ...drawer.querySelectorAll("pre")].forEach((each, n) => { each.scrollTop = scrolled[n] ?? 0; });
  if (held) [...drawer.querySelectorAll(HOLDS)].find((each) => sign(each) === held)?.focus({ preventScroll: true });
  ages(drawer);
}

const sign = (element) => `${element.tagName} ${element.id} ${element.getAttribute("href")} ${element.getAttribute("aria-label")}`;
const selecting = () => !getSelection().isCollapsed && drawer.contains(getSelection().anchorNode);
for (const name of ["visibilitychange", "selectionchange"]) document.addEventListener(name, () => stale && !document.hidden && !selecting() && renew([current]));

// Opening is a step in the history, so that Back closes what covers a phone's whole screen; the next alert is none.
function remember(number, { step = false } = {}) {
  const found = new URLSearchParams(location.search);
  found.delete("open");
  if (number) found.set("open", number);
  const where = "/" + (found.size ? "?" + found : "");
  if (step) history.pushState({ opened: true }, "", where);
  else history.replaceState(number ? history.state : null, "", where);
}
