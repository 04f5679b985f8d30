// The reader page in a real Chromium: what readers see, do and are promised, with JavaScript and without.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { faults, tabThrough } from "./accessibility.js";
import { chromiumMissing, openPage, startChromium } from "./chromium.js";
import { brand, publish, startOrigin, startWorker, target, until } from "./product.js";
import { startSite } from "./site.js";
import { stories } from "./stories.js";

const missing = chromiumMissing();
const options = { skip: missing, timeout: 60_000 };
if (missing) console.log(`SKIPPED: the reader page in a browser: ${missing}`);

/** Page, style and script together, pictures apart: what a reader on a train waits for. */
const PAGE_BYTES_MAX = 60_000;
/** The script sends every five seconds, and at once when the reader leaves. */
const BEACON_MS = 10_000;

const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const DESKTOP = { viewport: { width: 1280, height: 900 } };

let site;
let origin;
let browser;
/** The worker's readers read on its own article page, the native edge's at the publisher's. */
const edges = {};
const started = [];

before(async () => {
  if (missing) return;
  site = await startSite();
  started.push(site);
  origin = await startOrigin();
  started.push(origin);
  await publish(origin, stories({ site: site.url, image: site.image }), 45);
  const here = JSON.stringify([{ ...brand, read_here: true }]);
  const worker = await startWorker(origin, { env: { MEDIAFLOW_BRANDS: here } });
  started.push(worker);
  edges.workerd = worker.url;
  edges.native = origin.native;
  await until("the front at the worker", 10_000, async () => {
    const feed = await (await fetch(`${worker.url}/v1/feed/daily/home`)).json();
    return feed.items.length === 30;
  });
  browser = await startChromium();
});

after(async () => {
  await browser?.close();
  for (const program of started.reverse()) await program.stop();
});

/** Runs `work` on a page of its own and expects a clean console. */
async function visit(contextOptions, work) {
  const { page, context, trouble } = await openPage(browser, contextOptions);
  try {
    await work(page, context);
    assert.deepEqual(trouble, []);
  } finally {
    await context.close();
  }
}

const consentOf = (page) => page.locator("body").getAttribute("data-consent");
const idsOf = (page) => page.locator("li[data-id]:visible").evaluateAll((all) => all.map((li) => li.dataset.id));
const cookiesOf = async (context) => (await context.cookies()).filter((cookie) => cookie.value);

/** The first story whose topic is known, with its reasons opened. */
async function openFirst(page) {
  const story = page.locator("li[data-id]:visible:has(.kicker)").first();
  await story.locator("summary").click();
  return story;
}

for (const name of ["workerd", "native"]) {
  test(`${name}: stories, each with the reason why it is there`, options, async () => {
    await visit(DESKTOP, async (page, context) => {
      await page.goto(`${edges[name]}/r/daily`);
      const all = page.locator("li[data-id]");
      assert.equal(await all.count(), 19, "the lead, and full rows of one, two and three");
      for (const story of await all.all()) {
        assert.ok((await story.locator("h2").innerText()).length > 5);
        assert.ok((await story.locator("details.why li").count()) > 0, "a story without a reason");
      }
      assert.equal(await consentOf(page), "none");
      assert.deepEqual(await cookiesOf(context), []);
      await page.getByRole("link", { name: "More stories" }).click();
      assert.ok((await page.locator("li[data-id]").count()) > 10, "the second page");
    });
  });

  test(`${name}: without JavaScript, consent, less of this, mute and reading work`, options, async () => {
    await visit({ ...DESKTOP, javaScriptEnabled: false }, async (page, context) => {
      const front = `${edges[name]}/r/daily`;
      await page.goto(front);
      await page.getByRole("button", { name: "Yes, remember" }).click();
      assert.equal(page.url(), front);
      assert.equal(await consentOf(page), "given");
      assert.equal((await cookiesOf(context)).length, 1);
      assert.ok((await context.cookies())[0].httpOnly);

      // Less of this: the story is gone from the next page.
      const story = await openFirst(page);
      const unwanted = await story.getAttribute("data-id");
      await story.getByRole("button", { name: "Less of this" }).click();
      assert.equal(page.url(), front);
      assert.ok(!(await idsOf(page)).includes(unwanted));

      // Mute: the whole topic is gone.
      const muting = await openFirst(page);
      const topic = await muting.locator(".kicker").innerText();
      await muting.locator('button[value^="mute:topic:"]').click();
      const left = await page.locator(".kicker").allInnerTexts();
      assert.ok(left.length > 3 && !left.includes(topic), `${topic} is still among ${left}`);

      // Reading: a counted link, and the very next page without the story.
      const first = page.locator("li[data-id]").first();
      const read = await first.getAttribute("data-id");
      const title = await first.locator("h2").innerText();
      await first.locator("h2 a").click();
      if (name === "workerd") assert.match(page.url(), new RegExp(`/r/daily/a/${read}`));
      else assert.match(page.url(), new RegExp(`^${site.url}/story-`));
      await page.goto(front);
      assert.ok(!(await idsOf(page)).includes(read), "what was read is still there");

      // And the page about it says all that.
      await page.getByRole("link", { name: "What you know about me" }).click();
      const known = await page.locator("main").innerText();
      assert.ok(known.includes(title), "the read is not told");
      assert.match(known.toLowerCase(), new RegExp(`muted[^]*${topic.toLowerCase()}`));
      await page.getByRole("button", { name: "Take back" }).click();
      assert.equal(await page.getByRole("button", { name: "Take back" }).count(), 0);
      await page.getByRole("button", { name: "Forget and stop remembering" }).click();
      assert.equal(await consentOf(page), "none");
    });
  });
}

test("without JavaScript, a no is taken for an answer: nothing is minted, and nobody asks again", options, async () => {
  await visit({ ...DESKTOP, javaScriptEnabled: false }, async (page, context) => {
    await page.goto(`${edges.workerd}/r/daily`);
    await page.getByRole("button", { name: "No, thanks" }).click();
    for (const path of ["/r/daily", "/r/daily/sport"]) {
      await page.goto(`${edges.workerd}${path}`);
      assert.equal(await consentOf(page), "none");
      assert.equal(await page.getByRole("button", { name: "Yes, remember" }).count(), 0);
    }
    // All that is kept is the no itself.
    assert.deepEqual((await cookiesOf(context)).map(({ name, value }) => [name, value]), [["mf_no_daily", "1"]]);
    // Whoever changes their mind finds the question on the page about it.
    await page.goto(`${edges.workerd}/r/daily/me`);
    await page.getByRole("button", { name: "Yes, remember" }).click();
    assert.equal(await consentOf(page), "given");
  });
});

test("with JavaScript, less of this and mute happen in place, and events arrive by beacon", options, async () => {
  await visit(DESKTOP, async (page, context) => {
    const violations = [];
    await context.exposeBinding("report", (_, what) => violations.push(what));
    await page.addInitScript(() =>
      addEventListener("securitypolicyviolation", (event) => globalThis.report(`${event.violatedDirective} ${event.blockedURI}`)),
    );
    const front = `${edges.workerd}/r/daily`;
    await page.goto(front);
    await page.getByRole("button", { name: "Yes, remember" }).click();
    await page.waitForLoadState();
    assert.equal(await consentOf(page), "given");
    const story = await openFirst(page);
    let navigations = 0;
    page.on("framenavigated", () => (navigations += 1));
    const unwanted = await story.getAttribute("data-id");
    await story.getByRole("button", { name: "Less of this" }).click();
    await page.locator(".say", { hasText: "less of this" }).waitFor();
    assert.ok(!(await idsOf(page)).includes(unwanted));
    const muting = await openFirst(page);
    const topic = await muting.locator(".kicker").innerText();
    await muting.locator('button[value^="mute:topic:"]').click();
    await page.locator(".say", { hasText: "Muted" }).waitFor();
    assert.equal(navigations, 0, "the page was left");
    await page.goto(front);
    assert.ok(!(await idsOf(page)).includes(unwanted));
    assert.ok(!(await page.locator(".kicker").allInnerTexts()).includes(topic));

    // Impressions: what is in view for a second, sent with sendBeacon.
    const before = await origin.accepted();
    const beacons = [];
    page.on("request", (request) => {
      if (request.resourceType() === "ping" && request.url().endsWith("/v1/events")) beacons.push(request);
    });
    await until("a beacon", BEACON_MS, () => beacons.length > 0);
    await until("the impressions at the origin", BEACON_MS, async () => (await origin.accepted()) > before);

    // Reading on the article page: three seconds in view are a read, and the next page knows.
    const lead = page.locator("li[data-id]").first();
    const read = await lead.getAttribute("data-id");
    await lead.locator("h2 a").click();
    await page.waitForURL(/\/r\/daily\/a\//);
    const told = page.waitForRequest((request) => request.url().endsWith("/v1/events"));
    await told;
    await page.waitForTimeout(300);
    await page.goto(front);
    assert.ok(!(await idsOf(page)).includes(read), "what was read is still there");
    assert.deepEqual(violations, []);
  });
});

test("a browser that says Global Privacy Control is told so, and gets no cookie", options, async () => {
  await visit({ ...DESKTOP, extraHTTPHeaders: { "sec-gpc": "1" } }, async (page, context) => {
    await page.goto(`${edges.workerd}/r/daily`);
    assert.equal(await consentOf(page), "gpc");
    assert.match(await page.locator("body").innerText(), /Global Privacy Control/);
    assert.equal(await page.getByRole("button", { name: "Yes, remember" }).count(), 0);
    await page.goto(`${edges.workerd}/r/daily/me`);
    assert.match(await page.locator("main").innerText(), /asks not to be remembered/);
    const data = { action: "consent_on", brand: "daily" };
    const forced = await page.request.post(`${edges.workerd}/v1/me?brand=daily`, { data });
    assert.equal(forced.headers()["set-cookie"], undefined);
    assert.deepEqual(await context.cookies(), []);
  });
});

test("every page is built for everybody: structure, names, contrast, focus", options, async (t) => {
  for (const colorScheme of ["light", "dark"]) {
    for (const device of [DESKTOP, PHONE]) {
      await visit({ ...device, colorScheme }, async (page) => {
        const where = `${colorScheme}, ${device.viewport.width} px`;
        const check = async (path) => assert.deepEqual(await faults(page), [], `${path}, ${where}`);
        await page.goto(`${edges.workerd}/r/daily`);
        await check("the front page before consent");
        const { stops, unseen } = await tabThrough(page, 16);
        assert.deepEqual(unseen, [], `focus is not seen, ${where}`);
        assert.match(stops[0], /Skip to the stories/);
        assert.ok(stops.some((stop) => stop.startsWith("summary")), `${stops}`);
        await page.getByRole("button", { name: "Yes, remember" }).click();
        await page.waitForLoadState();
        for (const summary of await page.locator("summary").all()) await summary.click();
        await check("the front page with every reason open");
        await page.locator("h2 a").first().click();
        await page.waitForURL(/\/a\//);
        await check("an article");
        await page.goto(`${edges.workerd}/r/daily/me`);
        await check("what is known about me");
      });
    }
  }
  t.diagnostic("front page, reasons, article and profile: light and dark, desktop and phone");
});

test("the page is light", options, async (t) => {
  await visit(DESKTOP, async (page, context) => {
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    const kinds = new Map();
    let bytes = 0;
    let requests = 0;
    session.on("Network.responseReceived", ({ requestId, type }) => kinds.set(requestId, type));
    session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
      if (kinds.get(requestId) === "Image") return;
      bytes += encodedDataLength;
      requests += 1;
    });
    await page.goto(`${edges.workerd}/r/daily`, { waitUntil: "networkidle" });
    t.diagnostic(`${bytes} bytes in ${requests} requests, not compressed, without pictures`);
    assert.ok(requests >= 3, `${requests} requests`);
    assert.ok(bytes < PAGE_BYTES_MAX, `${bytes} bytes`);
  });
});

test("pictures of the page, for people to look at", options, async (t) => {
  const folder = join(target, "screenshots");
  await mkdir(folder, { recursive: true });
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, device] of [["desktop", DESKTOP], ["phone", PHONE]]) {
      await visit({ ...device, colorScheme }, async (page) => {
        const shoot = (what, full) =>
          page.screenshot({ path: join(folder, `${what}-${name}-${colorScheme}.png`), fullPage: full });
        await page.goto(`${edges.workerd}/r/daily`, { waitUntil: "networkidle" });
        await shoot("front", false);
        await page.getByRole("button", { name: "Yes, remember" }).click();
        await page.waitForLoadState("networkidle");
        await page.locator("h2 a").nth(1).click();
        await page.waitForURL(/\/a\//);
        await page.waitForRequest((request) => request.url().endsWith("/v1/events"));
        await shoot("article", false);
        await page.goto(`${edges.workerd}/r/daily`, { waitUntil: "networkidle" });
        for (const story of [0, 1, 2]) await page.locator("summary").nth(story).click();
        // Pictures below the fold are loaded when they come near.
        for (const picture of await page.locator("img").all()) await picture.scrollIntoViewIfNeeded();
        await page.waitForLoadState("networkidle");
        await page.evaluate(() => scrollTo(0, 0));
        await shoot("reasons", true);
        await page.goto(`${edges.workerd}/r/daily/me`);
        await shoot("me", true);
      });
    }
  }
  t.diagnostic(`in ${folder}`);
});
