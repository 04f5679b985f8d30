// What wrangler would upload. Nothing leaves the machine: `--dry-run` stops before that.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** The build command may have to compile the worker first. */
const TIMEOUT_MS = 600_000;

test("wrangler accepts the deployment and its KV namespace", { timeout: TIMEOUT_MS }, async () => {
  const outdir = await mkdtemp(join(tmpdir(), "mediaflow-deploy-"));
  try {
    const output = await wrangler(["deploy", "--dry-run", "--outdir", outdir]);
    assert.match(output, /env\.MEDIAFLOW .*KV Namespace/);
    assert.match(output, /index_bg\.wasm +│ compiled-wasm/);
    assert.match(output, /--dry-run: exiting now/);
    const uploaded = await readdir(outdir);
    for (const file of ["entry.js", "index.js", "index_bg.wasm"]) {
      assert.ok(uploaded.includes(file), `${file} is not uploaded: ${uploaded}`);
    }
  } finally {
    await rm(outdir, { recursive: true });
  }
});

function wrangler(args) {
  const program = join(here, "node_modules/wrangler/bin/wrangler.js");
  const options = {
    cwd: join(here, "../.."),
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: "false",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      NO_COLOR: "1",
    },
  };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [program, ...args], options, (error, stdout, stderr) => {
      if (error) reject(new Error(`wrangler failed:\n${stdout}${stderr}`));
      else resolve(stdout + stderr);
    });
  });
}
