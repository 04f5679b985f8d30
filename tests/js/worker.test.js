// The Cloudflare adapter in the runtime that it is deployed to.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startOrigin } from "./origin.js";
import { startWorkerd } from "./workerd.js";

let origin;
let edge;

before(async () => {
  origin = await startOrigin();
  edge = await startWorkerd({ origin: origin.address, kv: origin.kvAddress });
});

after(async () => {
  await edge?.stop();
  await origin?.stop();
});

test("the worker says that it is healthy", async () => {
  const answer = await fetch(`${edge.url}/healthz`);
  assert.equal(answer.status, 200, edge.output());
});

test("a feed is served although the namespace is empty", async () => {
  const answer = await fetch(`${edge.url}/v1/feed/daily/home`);
  assert.equal(answer.status, 200, edge.output());
  const feed = await answer.json();
  assert.equal(feed.version, "https://jsonfeed.org/version/1.1");
  assert.ok(
    origin.reads.includes("f/daily/home"),
    `the front was not asked for: ${origin.reads}`,
  );
});

test("a feed is served although the namespace never answers", async () => {
  const silent = await startOrigin();
  silent.kvFault = () => new Promise(() => {});
  const worker = await startWorkerd({ origin: silent.address, kv: silent.kvAddress });
  try {
    const answer = await fetch(`${worker.url}/v1/feed/daily/home`);
    assert.equal(answer.status, 200, worker.output());
    await answer.json();
  } finally {
    await worker.stop();
    await silent.stop();
  }
});

test("an unknown brand is not found", async () => {
  const answer = await fetch(`${edge.url}/v1/feed/nobody/home`);
  assert.equal(answer.status, 404);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
});

test("a body past the limit is refused, not read to its end", async () => {
  const answer = await fetch(`${edge.url}/v1/events`, {
    method: "POST",
    headers: { "content-type": "application/cloudevents-batch+json" },
    body: new Uint8Array(3_000_000).fill(0x20),
  });
  assert.equal(answer.status, 413, await answer.text());
});

test("without keys the worker says which variable is missing, and no secret", async () => {
  const bare = await startWorkerd({
    origin: origin.address,
    kv: origin.kvAddress,
    env: { MEDIAFLOW_TOKEN_KEYS: "" },
  });
  try {
    const answer = await fetch(`${bare.url}/healthz`);
    assert.equal(answer.status, 503);
    const text = await answer.text();
    assert.match(text, /MEDIAFLOW_TOKEN_KEYS/);
    assert.doesNotMatch(text, /2222/);
  } finally {
    await bare.stop();
  }
});
