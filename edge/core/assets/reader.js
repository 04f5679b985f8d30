// Makes the reader page livelier; everything works without it.
"use strict";
(() => {
  const page = document.body.dataset;
  const brand = page.brand;
  const given = page.consent === "given";
  const hex = (n) => Array.from(crypto.getRandomValues(new Uint8Array(n)), (b) => b.toString(16).padStart(2, "0")).join("");
  // A session is only named with consent; it ends with the tab.
  let session;
  if (given) {
    try {
      session = sessionStorage.getItem("mf") || hex(8);
      sessionStorage.setItem("mf", session);
    } catch { session = undefined; }
  }
  const waiting = [];
  const event = (type, data) => {
    waiting.push({
      specversion: "1.0", id: hex(16), source: location.origin + location.pathname, type: `org.mediaflow.${type}.v1`,
      time: new Date().toISOString(), subject: data.content_id,
      data: { brand, surface: page.surface, feed_id: page.feed, session, ...data },
    });
  };
  const send = () => {
    if (!waiting.length) return;
    const batch = waiting.splice(0, 100);
    const body = JSON.stringify(batch);
    if (!(navigator.sendBeacon && navigator.sendBeacon("/v1/events", new Blob([body], { type: "text/plain" })))) {
      fetch("/v1/events", { method: "POST", body, keepalive: true, headers: { "content-type": "text/plain" } }).catch(() => {});
    }
  };
  setInterval(send, 5000);

  // Impressions: at least half of an item in view for a second.
  const seen = new WeakSet(), timers = new Map();
  if ("IntersectionObserver" in window) {
    const watch = new IntersectionObserver((entries) => {
      for (const e of entries) {
        const li = e.target;
        clearTimeout(timers.get(li));
        if (!e.isIntersecting || seen.has(li)) continue;
        timers.set(li, setTimeout(() => {
          seen.add(li);
          watch.unobserve(li);
          event("impression", { content_id: li.dataset.id, exposure: li.dataset.x, slot: Number(li.dataset.slot) });
        }, 1000));
      }
    }, { threshold: 0.5 });
    document.querySelectorAll("[data-x]").forEach((li) => watch.observe(li));
  }

  // Where the article page is ours, reading is measured there and a click is only a click.
  if (page.here) document.querySelectorAll("a[data-go]").forEach((a) => { a.href += "&j=1"; });

  // Time an article is in view: three seconds are a read, told at once so that the next page knows; the whole time
  // is told when the reader leaves.
  const article = document.querySelector("article[data-read]");
  let spent = 0, since = 0, left = false;
  const shown = () => document.visibilityState === "visible";
  const resume = () => { if (shown() && !since) since = performance.now(); };
  const pause = () => { if (since) { spent += performance.now() - since; since = 0; } };
  const tell = (type) => event(type, {
    content_id: article.dataset.read, exposure: article.dataset.from || undefined, dwell_s: Math.round(spent / 100) / 10,
  });
  const leave = () => {
    pause();
    if (article && !left && spent > 0) { left = true; tell("view"); }
    send();
  };
  if (article) {
    resume();
    const tick = setInterval(() => {
      pause(); resume();
      if (spent >= 3000) { clearInterval(tick); tell("read"); send(); }
    }, 250);
  }
  document.addEventListener("visibilitychange", () => {
    if (shown()) resume(); else { pause(); send(); }
  });
  addEventListener("pagehide", leave);

  // Less of this, mute: in place.
  const say = document.querySelector(".say");
  document.addEventListener("click", async (e) => {
    const button = e.target.closest("button[name=do]");
    if (!button || !button.closest("[data-x]")) return;
    const [action, ...rest] = button.value.split(":");
    const body = action === "less" ? { action, content: rest[0] } : { action, [rest[0]]: rest.slice(1).join(":") };
    e.preventDefault();
    button.disabled = true;
    try {
      const r = await fetch(`/v1/me?brand=${brand}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
      if (!r.ok) throw new Error((await r.json()).reason);
      const li = button.closest("li"), next = li.nextElementSibling;
      li.hidden = true;
      next?.querySelector("a")?.focus();
      if (say) say.textContent = action === "less" ? "Understood: less of this from now on." : "Muted, from the next page on.";
    } catch (problem) {
      button.disabled = false;
      if (say) say.textContent = `That did not work: ${problem.message}`;
    }
    if (say) setTimeout(() => { say.textContent = ""; }, 5000);
  });
  document.querySelectorAll("img").forEach((i) => i.addEventListener("error", () => { i.hidden = true; }));
})();
