// Asking the server, telling it, and saying things to who listens to the page.
let leaving = false;

export function address() {
  const found = new URLSearchParams(location.search);
  found.delete("open");
  return found;
}

// Nothing of ours redirects: who is sent elsewhere is signed out at the proxy, and has to go through the door.
export async function reach(path, options = {}) {
  const answer = await fetch(path, { redirect: "manual", ...options }).catch(() => null);
  const asks = !options.method && answer?.status === 403;
  if (answer?.status === 401 || answer?.type === "opaqueredirect" || asks) door();
  return answer;
}

export async function ask(path) {
  const answer = await reach(path);
  if (!answer?.ok) throw new Error(`${path} ${answer?.status}`);
  return answer;
}

export async function tell(path, what) {
  const answer = await reach(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Tocsin": "page" },
    body: JSON.stringify(what),
  });
  if (!answer?.ok) say("That did not reach the inbox; try again");
  return answer?.ok;
}

// To the door, and back to this view from there.
export function door() {
  if (leaving) return;
  leaving = true;
  sessionStorage.setItem("tocsin-back", location.pathname + location.search);
  location.assign("/enter");
}

export function say(text) {
  document.getElementById("news").textContent = text;
}
