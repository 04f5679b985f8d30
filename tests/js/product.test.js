// The path of a story over the real product, on each of the three edges: content in, feed, consent,
// read, changed feed, pin, receipt, takedown, replay. And what happens to readers when stores fail.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { Reader, hostMissing, publish, startHost, startOrigin, startWorker, until } from "./product.js";
import { startProxy } from "./proxy.js";
import { stories } from "./stories.js";

/** What an editor is promised. */
const PIN_MS = 2000;
const RECEIPT_MS = 10_000;
const REPLAY_MS = 15_000;

const PINS = "/admin/v1/brands/daily/surfaces/home/pins";
const TAKEDOWNS = "/admin/v1/brands/daily/takedowns";

let origin;
/** Name in receipts → where it listens. The component is absent where it could not be built. */
const edges = {};
const started = [];

before(async () => {
  origin = await startOrigin();
  started.push(origin);
  await publish(origin, stories(), 45);
  edges.native = origin.native;
  const worker = await startWorker(origin);
  started.push(worker);
  edges.workerd = worker.url;
  if (!hostMissing()) {
    const host = await startHost(origin);
    started.push(host);
    edges.component = host.url;
  }
});

after(async () => {
  for (const program of started.reverse()) await program.stop();
});

/** The edge of this name; without one the test is skipped by name. */
function edge(t, name) {
  if (edges[name]) return edges[name];
  console.log(`SKIPPED: ${t.name}: ${hostMissing()}`);
  t.skip(hostMissing());
  return undefined;
}

async function ok(answer) {
  assert.ok(answer.ok, `${answer.status}: ${await answer.clone().text()}`);
  return answer.json();
}

for (const name of ["native", "workerd", "component"]) {
  test(`${name}: the path of a story, from import to replay`, { timeout: 60_000 }, async (t) => {
    const url = edge(t, name);
    if (!url) return;

    // Everybody's feed: no consent, no cookie, every item with its reasons.
    const anyone = new Reader(url);
    const everybody = await until("a full feed", 5000, async () => {
      const feed = await anyone.feed("?limit=30&explain=1");
      return feed.ids.length === 30 && feed;
    });
    assert.equal(everybody.rung, "2");
    assert.equal(anyone.cookie, "");
    for (const item of everybody.json.items) {
      assert.ok(item._mediaflow.reasons.length > 0, `${item.title} has no reason`);
    }

    // Consent, a read, and the very next feed.
    const reader = new Reader(url);
    assert.equal((await reader.consent()).status, 200);
    const before = await reader.feed("?limit=30");
    assert.equal(before.rung, "0");
    const read = before.json.items[2];
    const sent = await reader.read(read, `${name}-read`);
    assert.equal(sent.status, 202);
    assert.equal((await sent.json()).accepted, 1);
    const next = await reader.feed("?limit=30");
    assert.equal(next.rung, "0");
    assert.ok(!next.ids.includes(read.id), "what was read is still there");
    assert.notDeepEqual(next.ids, before.ids.filter((id) => id !== read.id), "nothing else moved");
    assert.equal(next.headers.get("cache-control"), "private, no-store");

    // A pin, within two seconds, with a receipt from this edge.
    const pinned = next.json.items.at(-1);
    const pin = { content_id: pinned.id, slot: 0, ttl_min: 60, name: `Front page of ${name}` };
    const { receipt_url: receiptUrl } = await ok(await origin.admin("POST", PINS, pin));
    const begun = performance.now();
    const shown = await until("the pin", PIN_MS, async () => {
      const feed = await reader.feed("?limit=10");
      return feed.ids[0] === pinned.id && feed;
    }, 20);
    const pin_ms = Math.round(performance.now() - begun);
    assert.match(JSON.stringify(shown.json.items[0]._mediaflow.reasons), new RegExp(pin.name));
    const page = await (await reader.ask("/r/daily")).text();
    assert.match(page, new RegExp(`<li class="lead[^"]*" data-id="${pinned.id}"`));
    const receipt = await until("the receipt", RECEIPT_MS, async () => {
      // The others need readers too: an edge without requests serves, and says, nothing.
      await Promise.all(Object.values(edges).map((other) => new Reader(other).feed("?limit=1")));
      const told = await ok(await origin.admin("GET", receiptUrl));
      const mine = told.edges.find((heard) => heard.edge === name);
      return mine?.reached && told.propagation_ms !== null && told;
    });
    const mine = receipt.edges.find((heard) => heard.edge === name);
    const propagation_ms = Date.parse(mine.since) - Date.parse(receipt.published_at);
    t.diagnostic(`pin in the feed after ${pin_ms} ms; receipt: ${name} after ${propagation_ms} ms`);
    assert.ok(propagation_ms < PIN_MS, `the receipt says ${propagation_ms} ms`);

    // A takedown outranks the pin, and stays.
    await ok(await origin.admin("POST", TAKEDOWNS, { content_id: pinned.id, reason: "court order" }));
    await until("the takedown", PIN_MS, async () => !(await reader.feed("?limit=100")).ids.includes(pinned.id), 20);

    // The same bytes again, from the archive.
    const served = await reader.feed("?limit=20&explain=1");
    const replayed = await until("the replay", REPLAY_MS, async () => {
      const answer = await origin.admin("GET", `/admin/v1/replay/${served.id}`);
      return answer.status === 200 && answer;
    }, 200);
    assert.equal(replayed.headers.get("mediaflow-replay"), "identical");
    assert.equal(await replayed.text(), served.text);
  });
}

test("the three edges answer the same cookie with the same bytes", { timeout: 60_000 }, async (t) => {
  if (!edge(t, "component")) return;
  const reader = new Reader(edges.native);
  await reader.consent();
  const first = await reader.feed("?limit=30");
  await reader.read(first.json.items[0], "same-bytes-0");
  await reader.read(first.json.items[5], "same-bytes-5");
  const { cookie } = reader;
  for (const query of ["?limit=30&explain=1", "?limit=100", "?limit=7&lang=en&section=science"]) {
    for (const held of [cookie, ""]) {
      // The feed id names minute and versions: it differs while a minute turns or an edge has not yet looked.
      const feeds = await until(`the same feed id for ${query}`, 15_000, async () => {
        const all = await Promise.all(
          Object.values(edges).map((url) => new Reader(url, held).feed(query)),
        );
        return new Set(all.map((feed) => feed.id)).size === 1 && all;
      }, 250);
      assert.equal(feeds[0].rung, held ? "0" : "2");
      assert.ok(feeds[0].ids.length > 0);
      for (const feed of feeds) assert.equal(feed.text, feeds[0].text);
    }
  }
});

describe("workerd behind stores that fail", { timeout: 90_000 }, () => {
  let kv;
  let upstream;

  before(async () => {
    kv = await startProxy(origin.kv);
    upstream = await startProxy(origin.address);
  });
  after(async () => {
    await kv.stop();
    await upstream.stop();
  });

  const through = (env) => startWorker(origin, { kv: kv.address, upstream: upstream.address, env });

  test("a feed with a token reads nothing from KV once front and rules are warm", async () => {
    const hour = "3600000";
    const worker = await through({
      MEDIAFLOW_RULES_TTL_MS: hour, MEDIAFLOW_FRONT_TTL_MS: hour, MEDIAFLOW_MODEL_TTL_MS: hour,
    });
    try {
      const reader = new Reader(worker.url);
      await reader.consent();
      assert.equal((await reader.feed()).rung, "0");
      await pause(100);
      kv.seen.length = 0;
      for (let round = 0; round < 100; round += 1) {
        const feed = await reader.feed(`?limit=${10 + (round % 20)}`);
        assert.equal(feed.rung, "0");
        if (round % 20 === 0) await reader.read(feed.json.items[3], `warm-${round}`);
      }
      assert.deepEqual(kv.seen, []);
    } finally {
      await worker.stop();
    }
  });

  test("with ordinary times to live, only front, rules and model are looked at again, never the reader", async () => {
    const worker = await through({});
    try {
      const reader = new Reader(worker.url);
      await reader.consent();
      await reader.feed();
      kv.seen.length = 0;
      const end = Date.now() + 2500;
      let feeds = 0;
      for (; Date.now() < end; feeds += 1) await reader.feed();
      assert.deepEqual(kv.seen.filter((key) => key.startsWith("u/")), []);
      // Rules twice a second, the front once.
      assert.ok(kv.seen.length <= 12, `${kv.seen.length} reads for ${feeds} feeds: ${kv.seen}`);
      assert.ok(feeds > 20, `${feeds} feeds`);
    } finally {
      await worker.stop();
    }
  });

  // A worker that never saw a store, and one that was warm before it failed.
  for (const fault of ["slow", "fail", "empty", "half", "cut", "down"]) {
    test(`KV ${fault}: feeds go on, and say from where`, async () => {
      kv.fault = "pass";
      const warm = await through({ MEDIAFLOW_FRONT_TTL_MS: "200", MEDIAFLOW_RULES_TTL_MS: "200" });
      kv.fault = fault;
      const cold = await through({});
      try {
        kv.fault = "pass";
        const reader = new Reader(warm.url);
        await reader.consent();
        const good = await reader.feed("?limit=30");
        assert.equal(good.rung, "0");
        kv.fault = fault;

        // Without anything in memory the brand's built-in default is left.
        const nobody = await new Reader(cold.url).feed();
        assert.equal(nobody.rung, "4", "a cold edge has nothing else");

        // With a front in memory the stories stay, while it gets older than the store would confirm.
        const rungs = new Set();
        const took_ms = [];
        for (let round = 0; round < 20; round += 1) {
          const begun = performance.now();
          const feed = await reader.feed("?limit=30");
          took_ms.push(performance.now() - begun);
          assert.ok(feed.ids.length >= 25, `${feed.ids.length} stories`);
          rungs.add(feed.rung);
          const page = await reader.ask("/r/daily");
          assert.equal(page.status, 200);
          await pause(50);
        }
        for (const rung of rungs) assert.ok(["0", "1", "3"].includes(rung), `rungs ${[...rungs]}`);
        // The deadline is 40 ms, and a store that just failed is left in peace for a second.
        took_ms.sort((a, b) => a - b);
        assert.ok(took_ms[10] < 150, `half of the feeds took more than ${took_ms[10]} ms`);
        assert.ok(took_ms[19] < 1000, `a feed took ${took_ms[19]} ms`);

        // And back: the store answers again.
        kv.fault = "pass";
        await until("the first rung again", 5000, async () => {
          const feeds = [await reader.feed(), await new Reader(cold.url).feed()];
          return feeds[0].rung === "0" && feeds[1].rung === "2";
        });
      } finally {
        kv.fault = "pass";
        await warm.stop();
        await cold.stop();
      }
    });
  }

  test("origin down: feeds go on; events are taken with 202, kept, and arrive once it is back", async () => {
    const worker = await through({});
    try {
      const reader = new Reader(worker.url);
      await reader.consent();
      const first = await reader.feed("?limit=30");
      // The consent is an event too, and follows the answer.
      await pause(300);
      const before = await origin.accepted();
      upstream.fault = "down";
      for (let n = 0; n < 5; n += 1) {
        const sent = await reader.read(first.json.items[n], `kept-${n}`);
        assert.equal(sent.status, 202);
        assert.deepEqual(await sent.json(), { accepted: 1, queued: true, rejected: [] });
      }
      const changed = await reader.feed("?limit=30");
      assert.equal(changed.rung, "0");
      for (let n = 0; n < 5; n += 1) assert.ok(!changed.ids.includes(first.ids[n]));
      assert.equal(await origin.accepted(), before);
      upstream.fault = "pass";
      await until("the five events at the origin", 20_000, async () => {
        await reader.feed("?limit=1");
        return (await origin.accepted()) >= before + 5;
      }, 200);
    } finally {
      upstream.fault = "pass";
      await worker.stop();
    }
  });
});

test("component, origin down: feeds go on; events are refused with 503 and Retry-After", { timeout: 60_000 }, async (t) => {
  if (!edge(t, "component")) return;
  // Its instances come and go, so that a promise to send later could not be kept.
  const upstream = await startProxy(origin.address);
  const host = await startHost(origin, { upstream: upstream.address });
  try {
    const reader = new Reader(host.url);
    await reader.consent();
    const first = await reader.feed("?limit=30");
    upstream.fault = "down";
    const refused = await reader.read(first.json.items[0], "refused");
    assert.equal(refused.status, 503, await refused.text());
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    assert.ok((await reader.feed("?limit=30")).ids.length > 0);
    upstream.fault = "pass";
    await until("the event taken at another try", 10_000, async () => {
      return (await reader.read(first.json.items[0], "refused")).status === 202;
    }, 250);
    assert.ok(!(await reader.feed("?limit=30")).ids.includes(first.ids[0]));
  } finally {
    await host.stop();
    await upstream.stop();
  }
});
