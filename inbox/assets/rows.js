// The list: rows come in, change, leave, and open as bursts; newest first, always in the order of their keys.
import { address, ask, say } from "./talk.js";
import { opened } from "./drawer.js";

const list = document.getElementById("rows");
const LONGEST = 300;
const AGAIN = 2000;
let missed = 0;
let loads = 0;
let longest = LONGEST;
let marks = 0;

export const rowOf = (row) => ({ title: row.querySelector(".title") });
export const visible = () => [...list.querySelectorAll(".row")].filter((row) => row.offsetParent);
const tops = () => [...list.children].filter((row) => !row.classList.contains("member"));
const key = (row) => Number(row.dataset.newest);

function parse(html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  return [...made.content.children];
}

export function ages(within = document) {
  const now = Date.now();
  for (const time of within.querySelectorAll("time")) {
    const at = Date.parse(time.dateTime);
    const passed = (now - at) / 1000;
    if ("exact" in time.dataset) {  // its text names the zone; the local time is what one sees on pointing at it
      time.title = new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long", hour12: false });
      continue;
    }
    time.textContent = passed >= 86400 ? `${Math.floor(passed / 86400)} d` : passed >= 3600 ? `${Math.floor(passed / 3600)} h` : passed >= 60 ? `${Math.floor(passed / 60)} min` : "now";
  }
}

function paged(older) {
  list.dataset.older = older ?? "";
  document.getElementById("older").hidden = !older;
  document.getElementById("empty").hidden = list.children.length > 0;
}

// Loads the first page until it is there; returns whether it still is what was asked for last.
export async function load() {
  const mine = ++loads;
  let found;
  while (!found) {
    found = await ask("/rows?" + address()).then((answer) => answer.json()).catch(() => null);
    if (!found) {
      say("The inbox does not answer; trying again");
      await new Promise((done) => setTimeout(done, AGAIN));
    }
    if (mine !== loads) return false;
  }
  longest = LONGEST;
  list.replaceChildren(...parse(found.html));
  list.dataset.clock = found.clock;
  paged(found.older);
  count(found.unread);
  ages(list);
  opened(opened());
  say(`${list.children.length}${found.older ? " or more" : ""} rows`);
  return true;
}

// What was marked in another tab while this one heard nothing.
export async function remark() {
  const before = marks, query = address();
  let left = tops().length;
  while (left > 0) {  // page by page, as far down as somebody went
    const found = await ask("/rows?" + query).then((answer) => answer.json()).catch(() => null);
    if (!found) return;
    if (before !== marks) return remark();  // told of a mark meanwhile: this answer may be older
    const rows = parse(found.html);
    for (const row of rows) {
      const shown = document.getElementById(row.id);
      if (shown && key(shown) === key(row)) paint(shown, row.classList.contains("unread"));
    }
    count(found.unread);
    left = found.older ? left - rows.length : 0;
    query.set("before", found.older);
  }
}

export async function older() {
  if (!list.dataset.older) return;
  const query = address();
  query.set("before", list.dataset.older);
  const answer = await ask("/rows?" + query).catch(() => null);
  if (!answer) return;
  const found = await answer.json();
  const known = new Set([...list.children].map((row) => row.id));
  const more = parse(found.html).filter((row) => !known.has(row.id));
  list.append(...more);
  longest = Math.max(longest, tops().length);
  paged(found.older);
  ages(list);
}

// Takes a live message; returns the rows that are news.
export function take({ html, gone, more }, clock) {
  const rows = parse(html);
  const news = [];
  for (const number of gone) if (!rows.some((row) => row.dataset.row === String(number))) drop(document.getElementById(`row-${number}`));
  for (const row of rows) {
    const before = document.getElementById(row.id);
    const fresh = !before || key(before) < key(row);
    if (fresh) news.push(row); else paint(row, before.classList.contains("unread"));
    place(row, before);
  }
  if (more && rows.length) cut(key(rows.at(-1)));
  const surplus = tops().slice(longest);
  if (surplus.length) cut(key(tops()[longest - 1]));
  list.dataset.clock = clock;
  document.getElementById("empty").hidden = list.children.length > 0;
  opened(opened());
  ages(list);
  if (news.length && scrollY > 200) tellMissed(news.length);
  return news;
}

function place(row, before) {
  const held = before?.contains(document.activeElement) ? document.activeElement : null;
  const after = tops().find((each) => each !== before && key(each) < key(row));
  if (!after && list.dataset.older && !before) return;  // below what is loaded: it comes with its page
  const open = before ? members(before) : [];
  const inside = open.find((each) => each.contains(document.activeElement));
  if (before) drop(before);
  else row.classList.add("new");
  list.insertBefore(row, after ?? null);
  const burst = row.querySelector(".burst");
  if (open.length && burst) {
    burst.setAttribute("aria-expanded", "true");
    row.after(...open);
    if (inside) rowOf(inside).title.focus({ preventScroll: true });
    refill(row);
  }
  if (held) (held.dataset.burst ? row.querySelector(".burst") ?? rowOf(row).title : rowOf(row).title).focus({ preventScroll: true });
}

function members(row) {
  const found = [];
  for (let next = row.nextElementSibling; next?.classList.contains("member"); next = next.nextElementSibling) found.push(next);
  return found;
}

function drop(row) {
  if (!row) return;
  for (const each of members(row)) each.remove();
  row.remove();
}

// Below this key something may be missing: it is loaded again when somebody goes there.
function cut(last) {
  for (const row of tops()) if (key(row) < last) drop(row);
  paged(last);
}

export async function toggleBurst(button) {
  const row = button.closest(".row");
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  if (open) return fill(row.id);
  for (const each of members(row)) each.remove();
}

// Shows the members of a row that may have been drawn anew, closed or taken away while they were on their way.
async function fill(id) {
  const found = await ask(`/bursts/${id.replace("row-", "")}?${address()}`).then((answer) => answer.json()).catch(() => null);
  const row = document.getElementById(id);
  if (!found || row?.querySelector(".burst")?.getAttribute("aria-expanded") !== "true") return;
  const focused = document.activeElement.closest?.(".member")?.id;
  for (const each of members(row)) each.remove();
  row.after(...parse(found.html));
  if (focused) document.getElementById(focused)?.querySelector(".title").focus({ preventScroll: true });
  opened(opened());
  ages(list);
}

const refilling = new Set();
function refill({ id }) {
  if (refilling.has(id)) return;
  refilling.add(id);
  setTimeout(() => { refilling.delete(id); fill(id); }, 400);
}

// What came after the clock stood at `until` was not seen by who marked.
export function setRead(threads, read, { rows = [], until = Infinity } = {}) {
  marks += 1;
  for (const row of list.querySelectorAll(".row")) {
    if (read && key(row) > until) continue;
    const single = row.dataset.members === "1" || row.classList.contains("member");
    if ((single && threads.includes(Number(row.dataset.thread))) || rows.includes(Number(row.dataset.row))) paint(row, !read);
  }
  if (tops().some((row) => row.dataset.members !== "1")) remarkSoon();
}

// Whether a burst has unread members left, the server knows: those that are not shown count too.
let remarking;
export function remarkSoon() {
  clearTimeout(remarking);
  remarking = setTimeout(remark, 150);
}

export function setReadUpTo(clock) {
  marks += 1;
  for (const row of list.querySelectorAll(".row")) if (key(row) <= clock) paint(row, false);
}

function paint(row, unread) {
  row.classList.toggle("unread", unread);
  row.querySelector(".dot-word").textContent = unread ? "Unread. " : "";
}

export function count(unread) {
  const shown = unread > 999 ? "999+" : String(unread);
  const badge = document.getElementById("unread");
  badge.textContent = shown;
  badge.hidden = !unread;
  document.title = (unread ? `(${shown}) ` : "") + "Inbox · tocsin";
  const icon = document.getElementById("favicon");
  icon.href = unread ? icon.dataset.ringing : icon.dataset.quiet;
}

function tellMissed(some) {
  missed += some;
  const button = document.getElementById("jump");
  button.textContent = `${missed} new above`;
  button.hidden = false;
}

export function jump() {
  scrollTo({ top: 0, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}
addEventListener("scroll", () => {
  if (scrollY < 100) { missed = 0; document.getElementById("jump").hidden = true; }
}, { passive: true });
