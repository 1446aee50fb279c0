// Asking the server, telling it, and saying things to who listens to the page.
export function address() {
  const found = new URLSearchParams(location.search);
  found.delete("open");
  return found;
}

export async function ask(path) {
  const answer = await fetch(path);
  if (answer.status === 401) door();
  if (!answer.ok) throw new Error(`${path} ${answer.status}`);
  return answer;
}

export async function tell(path, what) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Tocsin": "page" },
    body: JSON.stringify(what),
  }).catch(() => null);
  if (answer?.status === 401) door();
  if (!answer?.ok) say("That did not reach the inbox; try again");
  return answer?.ok;
}

// To the door, and back to this view from there.
export function door() {
  sessionStorage.setItem("tocsin-back", location.pathname + location.search);
  location.assign("/enter");
}

export function say(text) {
  document.getElementById("news").textContent = text;
}
