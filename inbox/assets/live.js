// Live messages: one stream, opened again where it broke off; a silent one counts as broken.
import { address, reach, say } from "./talk.js";
import { count, load, remark, remarkSoon, setRead, setReadUpTo, take } from "./rows.js";
import { opened, renew } from "./drawer.js";
import { ring } from "./desktop.js";

const SILENT = 40000;
const list = document.getElementById("rows");
const pulse = document.getElementById("pulse");
const warning = document.getElementById("trouble");
let stream, heard, last, first, broke = false;
// The clock up to which what is urgent has rung, here or in the tab whose turn it is; lists loaded anew do not move it.
let rung = Number(list.dataset.clock);

// Hears nothing until `listen`: what the list shows is being exchanged.
export function pause() {
  stream?.close();
  stream = undefined;
  state("waiting", "Connecting");
}

export function listen() {
  stream?.close();
  last = Number(list.dataset.clock);
  heard = Date.now();
  first = true;
  const query = address();
  query.set("after", last);
  query.set("rung", rung);
  const mine = stream = new EventSource("/live?" + query);
  const on = (name, act) => mine.addEventListener(name, (event) => {
    if (mine !== stream) return;
    heard = Date.now();
    if (!warning.hidden) state("silent", "Nothing new");
    else state("live", "Live");
    act(event.data && JSON.parse(event.data), Number(event.lastEventId));
  });
  mine.onopen = () => { heard = Date.now(); };
  mine.onerror = async () => {
    if (mine !== stream) return;
    first = broke = true;
    state("away", "Reconnecting");
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => mine === stream && again(), 2000);
  };
  on("beat", ({ trouble }) => warn(trouble));
  on("rows", (message, clock) => {
    // What came while the lid was closed rings once, not thirty times.
    rise(message.urgent, clock, first);
    if (clock < last) return;
    last = clock;
    const news = take(message, clock);
    if (message.html) warn(null);
    renew(broke ? [opened()] : message.threads.map(String));
    if (broke) remark();
    first = broke = false;
    if (news.length) say(`${news.length} new: ${news[0].querySelector(".title").textContent}`);
  });
  on("reset", async ({ clock, urgent }) => {
    rise(urgent, clock, true);
    pause();
    if (!(await load())) return;
    renew([opened()]);
    listen();
  });
  on("delivered", ({ threads }) => renew(threads.map(String)));
  on("unread", ({ count: unread }) => count(unread));
  on("seen", ({ threads = [], rows = [], up_to: upTo, until, read, more }) => {
    if (upTo !== undefined) return setReadUpTo(upTo);
    setRead(threads, read, { rows, until });
    if (more) remarkSoon();
  });
}

// Two messages may tell of the same alert: after a break the first overlaps with what its channel was about to say.
function rise(urgent, clock, late) {
  const fresh = (urgent?.alerts ?? []).filter((each) => each.at > rung);
  if (fresh.length) ring(fresh, { late, count: fresh.length === urgent.alerts.length ? urgent.count : fresh.length });
  rung = Math.max(rung, clock);
}

// A refused stream is not tried again by browsers: who was shut out is shown the door, else it is opened anew.
async function again() {
  await reach("/rows?" + address());
  if (stream) listen();
}

function state(name, text) {
  if (pulse.dataset.state === name) return;
  pulse.dataset.state = name;
  pulse.lastElementChild.textContent = text;
}

// A page that hears nothing because nothing can come must not pass for a quiet night.
function warn(trouble) {
  warning.hidden = !trouble;
  warning.firstElementChild.textContent = trouble ?? "";
  if (stream) state(trouble ? "silent" : "live", trouble ? "Nothing new" : "Live");
}

function look() {
  if (!stream || Date.now() - heard < SILENT) return;
  broke = true;
  state("away", "Reconnecting");
  listen();
}
setInterval(look, 5000);
for (const name of ["online", "focus", "pageshow"]) addEventListener(name, look);
document.addEventListener("visibilitychange", () => document.hidden || look());
