// The inbox: what a click or key does. Rows are in rows.js, live messages in live.js.
import "./bar.js";
import { address, ask, say, tell } from "./talk.js";
import { close, isOpen, markRead, opened, show, shownAt } from "./drawer.js";
import { ages, jump, load, older, rowOf, setRead, toggleBurst, visible } from "./rows.js";
import { listen, pause } from "./live.js";
import { askDesktop } from "./desktop.js";

const $ = (id) => document.getElementById(id);
const filters = $("filters");
let typing;

function query() {
  const found = new URLSearchParams();
  const data = new FormData(filters);
  const levels = data.getAll("urgency");
  if (levels.length) found.set("urgency", levels.join(","));
  for (const [name, value] of data) if (name !== "urgency" && value && !(name === "group" && value === "rule")) found.set(name, value);
  return found;
}

// One step back undoes one filter, not one typed letter.
async function narrow({ typed = false } = {}) {
  const found = query();
  if (isOpen()) found.set("open", opened());
  const where = "/" + (found.size ? "?" + found : "");
  if (typed && address().has("q") && found.has("q")) history.replaceState(null, "", where);
  else history.pushState(null, "", where);
  await refresh();
}

const narrowed = (found) => [...found.keys()].some((name) => name !== "group");
let shown = String(address());

async function refresh() {
  const found = address();
  const some = narrowed(found);
  shown = String(found);
  $("clear").hidden = $("empty-some").hidden = !some;
  $("empty-all").hidden = some;
  $("read-all").lastElementChild.textContent = some ? "Mark matching read" : "Mark all read";
  $("bell").setAttribute("aria-pressed", String(found.has("state")));
  pause();
  if (await load()) listen();
}

filters.addEventListener("change", () => narrow());
filters.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); narrow(); });
$("find").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(narrow, 250, { typed: true }); });
$("apply").hidden = true;

$("bell").addEventListener("click", (event) => {
  event.preventDefault();
  const unread = !address().has("state");
  filters.querySelector(`[name=state][value="${unread ? "unread" : ""}"]`).checked = true;
  narrow();
});
$("show-filters").addEventListener("click", (event) => {
  const shown = filters.classList.toggle("shown");
  event.currentTarget.setAttribute("aria-expanded", String(shown));
});
$("desktop").addEventListener("click", askDesktop);
$("read-all").addEventListener("click", async () => {
  const found = address();
  if (await tell(`/read-all?${found}`, { clock: Number($("rows").dataset.clock) })) say(narrowed(found) ? "What matches is marked read" : "All marked read");
});
$("older").addEventListener("click", (event) => { event.preventDefault(); older(); });
$("jump").addEventListener("click", jump);

$("rows").addEventListener("click", (event) => {
  const burst = event.target.closest("[data-burst]");
  if (burst) return toggleBurst(burst);
  const row = event.target.closest(".row");
  if (!row || event.target.closest(".out") || event.metaKey || event.ctrlKey) return;
  event.preventDefault();
  // The alert that opens is the most urgent of its burst: what is new may be another.
  open(row).then(() => {
    const closed = document.getElementById(row.id)?.querySelector('.burst[aria-expanded="false"]');
    if (closed) toggleBurst(closed);
  });
});

async function open(row) {
  rowOf(row).title.focus({ preventScroll: true });
  if (!(await show(row.dataset.thread))) return;
  if ((row.dataset.members === "1" || row.classList.contains("member"))) setRead([Number(row.dataset.thread)], true, { until: shownAt() });
  await markRead();
}

$("drawer").addEventListener("click", async (event) => {
  if (event.target.closest("#close")) { event.preventDefault(); leave(); }
  const button = event.target.closest("[data-unread]");
  if (button) {
    await tell("/read", { thread: Number(button.dataset.unread), clock: 0, read: false });
    leave();
  }
});

function leave() {
  const row = document.querySelector(".row.current") || visible()[0];
  close();
  row && rowOf(row).title.focus();
}

async function toggleRead(row) {
  const read = row.classList.contains("unread");
  const clock = Number(row.dataset.newest);
  if (row.dataset.members === "1") return tell("/read", { thread: Number(row.dataset.thread), clock, read });
  return tell(`/bursts/${row.dataset.row}/read?${address()}`, { clock, read });
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target.closest("input:not([type=checkbox],[type=radio]), select, textarea");
  if (event.key === "Escape") return field ? field.blur() : isOpen() && leave();
  if (field) return;
  if (event.key === " " && event.target.id === "bell") { event.preventDefault(); return event.target.click(); }
  const row = document.activeElement.closest?.(".row");
  if (event.key === "/") { event.preventDefault(); $("find").focus(); $("find").select(); }
  else if (event.key === "j" || event.key === "k") { event.preventDefault(); move(row, event.key === "j" ? 1 : -1); }
  else if (event.key === "u" && row) toggleRead(row);
  else if (event.key === "o" && row) row.querySelector("a.out")?.click();
});

function move(row, step) {
  const rows = visible();
  const from = row || document.querySelector(".row.current");
  const next = rows[from ? rows.indexOf(from) + step : 0];
  if (!next) return step > 0 && older();
  rowOf(next).title.focus();
  next.scrollIntoView({ block: "nearest" });
  if (isOpen()) open(next);
}

addEventListener("popstate", async () => {
  const found = address();
  for (const field of filters.elements) {
    if (field.type === "checkbox") field.checked = (found.get("urgency") || "").split(",").includes(field.value);
    else if (field.type === "radio") field.checked = field.value === (found.get("state") || "");
    else if (field.name) field.value = found.get(field.name) || (field.name === "group" ? "rule" : "");
  }
  const number = new URLSearchParams(location.search).get("open");
  if (number) show(number, { keep: true }); else close({ keep: true });
  if (String(found) !== shown) await refresh();
});

ages();
setInterval(ages, 15000);
listen();
const number = new URLSearchParams(location.search).get("open");
if (number && isOpen()) { opened(number); markRead(); }
else if (number) ask("/threads/" + number).catch(() => say("This alert is no longer in the inbox"));
