// The token stands behind the # and is sent in a body: it reaches no log, no history, no referrer.
const says = document.getElementById("says");

function enter() {
  const back = sessionStorage.getItem("tocsin-back") ?? "/";
  sessionStorage.removeItem("tocsin-back");
  location.replace(/^\/(?!\/)/.test(back) ? back : "/");
}

async function knock() {
  const token = location.hash.slice(1);
  if (!token) return document.getElementById("main").dataset.reader && enter();
  history.replaceState(null, "", "/enter");
  const answer = await fetch("/enter", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Tocsin": "enter" },
    body: JSON.stringify({ token }),
  }).catch(() => null);
  if (answer?.ok) enter();
  else says.textContent = answer ? "This link is not, or no longer, valid. Ask for a new one." : "The inbox does not answer. Try again in a moment.";
}

// A link pasted into a tab that shows the door changes the hash only.
addEventListener("hashchange", knock);
knock();
