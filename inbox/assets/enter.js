// The token stands behind the # and is sent in a body: it reaches no log, no history, no referrer.
const token = location.hash.slice(1);
const says = document.getElementById("says");
if (token) {
  history.replaceState(null, "", "/enter");
  const answer = await fetch("/enter", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Tocsin": "enter" },
    body: JSON.stringify({ token }),
  }).catch(() => null);
  if (answer?.ok) location.replace("/");
  else says.textContent = answer ? "This link is not, or no longer, valid. Ask for a new one." : "The inbox does not answer. Try again in a moment.";
}
