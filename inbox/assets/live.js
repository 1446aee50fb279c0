// Live messages: one stream, opened again where it broke off; a silent one counts as broken.
import { address, say } from "./talk.js";
import { count, load, setRead, setReadUpTo, take } from "./rows.js";
import { renew } from "./drawer.js";
import { ring } from "./desktop.js";

const SILENT = 40000;
const list = document.getElementById("rows");
const pulse = document.getElementById("pulse");
let stream, heard, last, first;

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
    state("live", "Live");
    act(event.data && JSON.parse(event.data), Number(event.lastEventId));
  });
  mine.onopen = () => { heard = Date.now(); state("live", "Live"); };
  mine.onerror = async () => {
    if (mine !== stream) return;
    first = true;
    state("away", "Reconnecting");
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => mine === stream && again(), 2000);
  };
  on("beat", () => {});
  on("rows", (message, clock) => {
    if (clock < last) return;
    last = clock;
    const news = take(message, clock);
    renew(touched(message));
    // What came while the lid was closed rings once, not thirty times.
    ring(news, { late: first && news.length > 0 });
    first = false;
    if (news.length) say(`${news.length} new: ${news[0].querySelector(".title").textContent}`);
  });
  on("reset", async () => { await load(); last = Number(list.dataset.clock); listen(); });
  on("unread", ({ count: unread }) => count(unread));
  on("seen", ({ threads = [], rows = [], up_to: upTo, read }) => (upTo === undefined ? setRead(threads, read, rows) : setReadUpTo(upTo)));
}

const touched = ({ html }) => [...html.matchAll(/data-thread="(\d+)"/g)].map((each) => each[1]);

// A refused stream is not tried again by browsers: who was shut out is shown the door, else it is opened anew.
async function again() {
  const answer = await fetch("/rows?" + address()).catch(() => null);
  if (answer?.status === 401) location.assign("/enter");
  else listen();
}

function state(name, text) {
  if (pulse.dataset.state === name) return;
  pulse.dataset.state = name;
  pulse.lastElementChild.textContent = text;
}

function look() {
  if (Date.now() - heard < SILENT) return;
  state("away", "Reconnecting");
  listen();
}
setInterval(look, 5000);
for (const name of ["online", "focus", "pageshow"]) addEventListener(name, look);
document.addEventListener("visibilitychange", () => document.hidden || look());
