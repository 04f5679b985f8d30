// The same bytes everywhere: the digest over random ranking cases (front, profile, rules, model,
// request; ranked and written as a feed) is the native one in Node, Chromium, workerd and the component.
//
// The native digest is that of `mediaflow-figures`, whose ranking is the origin's and the native edge's.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";

import { chromiumMissing, openPage, startChromium } from "./chromium.js";
import { hostMissing, root, startHost, target } from "./product.js";
import { startParityWorkerd } from "./workerd.js";

const run = promisify(execFile);

const CASES = 1_000_000;
/** Cases per comparison: a difference is found to within this many, and both cores have work. */
const RANGE = 50_000;
/** Cases in Chromium and in workerd, which compile the same module as Node. */
const CASES_ELSEWHERE = 100_000;
/** The host stops a request after 100 ms of CPU: these take a fifth of it. */
const RANGE_COMPONENT = 500;

const figures = join(target, "debug/mediaflow-figures");
const npm = join(target, "npm/mediaflow-wasm");
const BUILD_MS = 600_000;

before(async () => {
  assert.ok(existsSync(join(npm, "package.json")), `${npm} is missing: run \`cargo xtask build-wasm\``);
  if (!existsSync(figures)) await cargo(["build", "-q", "-p", "mediaflow-tests", "--bin", "mediaflow-figures"]);
}, { timeout: BUILD_MS });

function cargo(args) {
  return run(process.env.CARGO ?? "cargo", args, { cwd: root, timeout: BUILD_MS });
}

async function native(from, cases) {
  const { stdout } = await run(figures, ["digest", "--from", `${from}`, "--cases", `${cases}`]);
  return JSON.parse(stdout).digest;
}

/** Ranges `[from, n]` that make up `cases`. */
function ranges(cases, size) {
  return Array.from({ length: cases / size }, (_, at) => [at * size, size]);
}

/** Every range by `one` and natively, as many at once as there are `lanes`; the first difference is thrown. */
async function same(all, lanes, one) {
  const waiting = [...all];
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let range = waiting.shift(); range; range = waiting.shift()) {
        const [here, there] = await Promise.all([one(range, lane), native(...range)]);
        assert.equal(here, there, `cases ${range[0]} to ${range[0] + range[1] - 1} differ`);
      }
    }),
  );
}

test(`Node: ${CASES} cases as natively`, { timeout: 240_000 }, async () => {
  const url = pathToFileURL(join(npm, "node/mediaflow_wasm.js")).href;
  const file = new URL("parity-thread.js", import.meta.url);
  const threads = Array.from({ length: availableParallelism() }, () => new Worker(file, { workerData: url }));
  try {
    await same(ranges(CASES, RANGE), threads.length, (range, lane) => {
      const thread = threads[lane];
      return new Promise((resolve, reject) => {
        thread.removeAllListeners();
        thread.once("message", resolve).once("error", reject);
        thread.postMessage(range);
      });
    });
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
});

test("a digest differs when one case does", async () => {
  const { digest } = await import(pathToFileURL(join(npm, "node/mediaflow_wasm.js")).href);
  assert.notEqual(digest(0n, 100), digest(0n, 101));
  assert.notEqual(digest(0n, 100), digest(1n, 100));
});

test(`Chromium: ${CASES_ELSEWHERE} cases as natively`, { timeout: 120_000 }, async (t) => {
  if (chromiumMissing()) return skip(t, chromiumMissing());
  const site = await serveFolder(join(npm, "web"));
  const browser = await startChromium();
  try {
    const { page } = await openPage(browser);
    await page.goto(`${site.url}/`);
    await page.evaluate(async () => {
      const module = await import("/mediaflow_wasm.js");
      await module.default();
      globalThis.digest = module.digest;
    });
    await same(ranges(CASES_ELSEWHERE, RANGE), 1, ([from, n]) =>
      page.evaluate(
        ([start, count]) =>
          BigInt.asUintN(64, globalThis.digest(BigInt(start), count)).toString(16).padStart(16, "0"),
        [from, n],
      ),
    );
  } finally {
    await browser.close();
    await site.stop();
  }
});

test(`workerd: ${CASES_ELSEWHERE} cases as natively`, { timeout: 120_000 }, async () => {
  const worker = await startParityWorkerd();
  try {
    await same(ranges(CASES_ELSEWHERE, RANGE), 1, async ([from, n]) => {
      const answer = await fetch(`${worker.url}/${from}/${n}`);
      assert.equal(answer.status, 200, worker.output());
      return answer.text();
    });
  } finally {
    await worker.stop();
  }
});

test(`component: ${CASES_ELSEWHERE} cases as natively`, { timeout: BUILD_MS + 120_000 }, async (t) => {
  if (hostMissing()) return skip(t, hostMissing());
  await cargo([
    "build", "-q", "--package", "mediaflow-edge-spin", "--example", "parity",
    "--target", "wasm32-wasip2", "--profile", "edge",
  ]);
  const wasm = join(target, "wasm32-wasip2/edge/examples/parity.wasm");
  const host = await startHost({ kv: "127.0.0.1:9", address: "127.0.0.1:9" }, { wasm });
  try {
    await same(ranges(CASES_ELSEWHERE, RANGE_COMPONENT), 2, async ([from, n]) => {
      const answer = await fetch(`${host.url}/${from}/${n}`);
      const text = await answer.text();
      assert.equal(answer.status, 200, `${text} ${host.output()}`);
      return text;
    });
  } finally {
    await host.stop();
  }
});

function skip(t, what) {
  console.log(`SKIPPED: ${t.name}: ${what}`);
  t.skip(what);
}

async function serveFolder(folder) {
  const types = { js: "text/javascript", wasm: "application/wasm" };
  const server = createServer(async (request, response) => {
    const name = request.url.slice(1);
    const type = types[name.split(".").pop()];
    if (!type || name.includes("/")) {
      response.writeHead(200, { "content-type": "text/html" }).end('<!doctype html><link rel="icon" href="data:,">');
    } else {
      response.writeHead(200, { "content-type": type }).end(await readFile(join(folder, name)));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
