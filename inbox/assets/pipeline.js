// Looks again every five seconds, while somebody looks; what it shows must not pass for now when it is not.
import "./bar.js";
import { reach } from "./talk.js";

const glance = document.getElementById("glance");
setInterval(async () => {
  if (document.hidden || glance.contains(document.activeElement)) return;
  const answer = await reach("/pipeline?fragment=1");
  document.getElementById("deaf").hidden = Boolean(answer?.ok);
  if (answer?.ok) glance.innerHTML = await answer.text();
}, 5000);
