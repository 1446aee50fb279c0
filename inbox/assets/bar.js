// What the bar of every page says of the pipeline, and of the unread where no stream counts them.
import { reach } from "./talk.js";

const EVERY = 30000;
const dot = document.getElementById("state");
const WORDS = { well: "", watch: ", something is late", wrong: ", something is wrong" };

async function look() {
  if (document.hidden) return;
  const answer = await reach("/pipeline/state");
  if (!answer?.ok) return;
  const { state, unread } = await answer.json();
  dot.dataset.state = state;
  dot.hidden = false;
  document.getElementById("state-says").textContent = WORDS[state];
  if (document.getElementById("pulse")) return;
  const badge = document.getElementById("unread");
  badge.textContent = unread > 999 ? "999+" : unread;
  badge.hidden = !unread;
}

look();
setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
