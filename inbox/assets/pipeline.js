// Looks again every five seconds, while somebody looks.
const glance = document.getElementById("glance");
setInterval(async () => {
  if (document.hidden || glance.contains(document.activeElement)) return;
  const answer = await fetch("/pipeline?fragment=1").catch(() => null);
  if (answer?.ok) glance.innerHTML = await answer.text();
}, 5000);
