// Looks again every five seconds, while somebody looks; what it shows must not pass for now when it is not.
import "./bar.js";
import { reach } from "./talk.js";

// A state links to its entry, which is folded; entries link to each other.
function unfold() {
  const entry = document.getElementById(location.hash.slice(1));
  if (entry?.tagName !== "DETAILS") return;
  entry.open = true;
  entry.scrollIntoView({ block: "start" });
}
document.addEventListener("click", ({ target }) => target.closest?.('a[href^="#"]') && setTimeout(unfold));
addEventListener("hashchange", unfold);
unfold();

const glance = document.getElementById("glance");
setInterval(async () => {
  if (document.hidden || glance.contains(document.activeElement)) return;
  const answer = await reach("/pipeline?fragment=1");
  document.getElementById("deaf").hidden = Boolean(answer?.ok);
  if (answer?.ok) glance.innerHTML = await answer.text();
}, 5000);
