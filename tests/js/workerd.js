// Starts the built worker in a real workerd, on a port of its own.
//
// The files are those of `cargo xtask build-worker`; the configuration is the one that
// development uses too. Nothing here reaches beyond 127.0.0.1.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import workerdPackage from "workerd";

import { own } from "./children.js";

/** The program inside the package: its module is CommonJS, compiled from one with a default. */
const workerd = workerdPackage.default;

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Longer than a cold start ever took, 0.2 s, on a machine that builds beside it. */
const START_TIMEOUT_MS = 20_000;

/** Secrets of no value: the same ones in every test, so that a failure can be repeated. */
export const secrets = {
  MEDIAFLOW_TOKEN_KEYS: `1:${"11".repeat(32)}`,
  MEDIAFLOW_READER_KEY: "22".repeat(32),
  MEDIAFLOW_EXPOSURE_KEY: "33".repeat(16),
  MEDIAFLOW_LOGIN_KEY: "44".repeat(32),
  MEDIAFLOW_EDGE_TOKEN: "edge-token-of-the-tests",
};

/** One brand, with a feed of last resort. */
export const brands = [
  {
    slug: "daily",
    title: "The Daily",
    home_url: "https://daily.example/",
    languages: ["en"],
    surfaces: ["home"],
    default_feed: [{ title: "The Daily", url: "https://daily.example/" }],
  },
];

/**
 * Starts workerd before an origin and its KV namespace (both `127.0.0.1:PORT`) and waits until it
 * listens.
 *
 * @param {{ origin: string, kv: string, env?: Record<string, string> }} options
 * @returns {Promise<{ url: string, output: () => string, stop: () => Promise<void> }>}
 */
export async function startWorkerd({ origin, kv, env = {} }) {
  if (!existsSync(join(root, "target/worker/entry.js"))) {
    throw new Error("target/worker is missing: run `cargo xtask build-worker`");
  }
  return serve("edge/cloudflare/workerd.capnp", [`--external-addr=kv=${kv}`], {
    ...secrets,
    MEDIAFLOW_ORIGIN: `http://${origin}`,
    MEDIAFLOW_EDGE_ID: "workerd-test",
    MEDIAFLOW_BRANDS: JSON.stringify(brands),
    ...env,
  });
}

/** Starts a worker that holds nothing but the npm package of the shared ranking. */
export function startParityWorkerd() {
  return serve("tests/js/parity.capnp", [], {});
}

/** workerd with a configuration of this repository, whose socket `http` gets a port of its own. */
async function serve(config, flags, env) {
  const child = own(
    spawn(
      workerd,
      ["serve", config, "--experimental", "--socket-addr=http=127.0.0.1:0", "--control-fd=3", ...flags],
      { cwd: root, stdio: ["ignore", "pipe", "pipe", "pipe"], env: { PATH: process.env.PATH, ...env } },
    ),
  );
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let output = "";
  child.stdout.on("data", (text) => (output += text));
  child.stderr.on("data", (text) => (output += text));
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  try {
    const port = await listening(child, () => output);
    return { url: `http://127.0.0.1:${port}`, output: () => output, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The port that workerd reports: `{"event":"listen","socket":"http","port":N}`. */
function listening(child, output) {
  return new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`workerd ${why}:\n${output()}`));
    const timer = setTimeout(() => fail("did not start in time"), START_TIMEOUT_MS);
    child.once("error", (error) => fail(`could not be started (${error.message})`));
    child.once("exit", (code) => fail(`ended with ${code}`));
    let text = "";
    child.stdio[3].on("data", (chunk) => {
      text += chunk;
      for (const line of text.split("\n").slice(0, -1)) {
        const event = JSON.parse(line);
        if (event.event === "listen" && event.socket === "http") {
          clearTimeout(timer);
          resolve(event.port);
        }
      }
    });
  });
}
