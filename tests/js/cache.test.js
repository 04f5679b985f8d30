// The stand-in for Cloudflare's cache, held to the wire that workerd speaks to it.

import assert from "node:assert/strict";
import { test } from "node:test";

import cache from "../../edge/cloudflare/local/cache.js";

const url = "https://edge.example/feed";

function look(key = url) {
  return cache.fetch(new Request(key, { headers: { "cache-control": "only-if-cached" } }));
}

function store(wire, key = url) {
  return cache.fetch(new Request(key, { method: "PUT", body: wire }));
}

test("what was never stored is a miss", async () => {
  const answer = await look("https://edge.example/other");
  assert.equal(answer.status, 504);
  assert.equal(answer.headers.get("cf-cache-status"), "MISS");
});

test("a stored response comes back with its head and body", async () => {
  const wire = "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nX-Note: a\r\n\r\n{\"a\":1}";
  assert.equal((await store(wire)).status, 204);
  const answer = await look();
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("cf-cache-status"), "HIT");
  assert.equal(answer.headers.get("x-note"), "a");
  assert.equal(await answer.text(), "{\"a\":1}");
});

test("a chunked body is put together", async () => {
  const head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n";
  await store(`${head}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n`);
  assert.equal(await (await look()).text(), "abcde");
});

test("a response that may not be kept is gone at once", async () => {
  await store("HTTP/1.1 200 OK\r\n\r\nx", "https://edge.example/short");
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal((await look("https://edge.example/short")).status, 504);
});

test("a broken response is refused", async () => {
  assert.equal((await store("HTTP/1.1 200 OK")).status, 400);
});
