// The Cloudflare adapter in the runtime that it is deployed to.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { startOrigin } from "./origin.js";
import { startWorkerd } from "./workerd.js";

let origin;
let edge;

before(async () => {
  origin = await startOrigin();
  edge = await startWorkerd({ origin: origin.address });
});

after(async () => {
  await edge?.stop();
  await origin?.stop();
});

test("the worker says that it is healthy", async () => {
  const answer = await fetch(`${edge.url}/healthz`);
  assert.equal(answer.status, 200, edge.output());
});
