// Live messages: one stream, opened again where it broke off; a silent one counts as broken.
import { address, door, say } from "./talk.js";
import { count, load, remark, setRead, setReadUpTo, take } from "./rows.js";
import { opened, renew } from "./drawer.js";
import { ring } from "./desktop.js";

const SILENT = 40000;
const list = document.getElementById("rows");
const pulse = document.getElementById("pulse");
const warning = document.getElementById("trouble");
let stream, heard, last, first, broke = false;

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
    if (clock < last) return;
    last = clock;
    const { news, urgent } = take(message, clock);
    if (message.html) warn(null);
    renew(broke ? [opened()] : touched(message));
    if (broke) remark();
    // What came while the lid was closed rings once, not thirty times.
    ring(urgent, { late: first });
    first = broke = false;
    if (news.length) say(`${news.length} new: ${news[0].querySelector(".title").textContent}`);
  });
  on("reset", async () => {
    const before = last;
    pause();
    if (!(await load())) return;
    ring([...list.querySelectorAll(".row.unread[data-level=urgent]")].filter((row) => Number(row.dataset.newest) > before), { late: true });
    renew([opened()]);
    listen();
  });
  on("delivered", ({ threads }) => renew(threads.map(String)));
  on("unread", ({ count: unread }) => count(unread));
  on("seen", ({ threads = [], rows = [], up_to: upTo, read }) => (upTo === undefined ? setRead(threads, read, rows) : setReadUpTo(upTo)));
}

const touched = ({ html }) => [...html.matchAll(/data-thread="(\d+)"/g)].map((each) => each[1]);

// A refused stream is not tried again by browsers: who was shut out is shown the door, else it is opened anew.
async function again() {
  const answer = await fetch("/rows?" + address()).catch(() => null);
  if (answer?.status === 401) door();
  else if (stream) listen();
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
