// The whole product as processes: the origin, the worker in workerd, the component in its host.
//
// All three edges get the same secrets and the same brand, and stand before the same origin. Each
// listens on a port of its own; `stop` ends what was started here, and nothing else.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { own } from "./children.js";
import { secrets, startWorkerd } from "./workerd.js";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Where cargo builds. */
export const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
const mediaflow = join(target, "debug/mediaflow");
const hosts = ["target/debug", "target-host/debug"].map((at) => join(root, at, "mediaflow-edge-host"));
const component = join(target, "wasm32-wasip2/component/mediaflow_edge_spin.wasm");

/** A debug build on a machine that builds beside it. */
const START_TIMEOUT_MS = 30_000;
/** Content passes intake, enrichment and a front before an edge can serve it. */
const FIRST_FEED_MS = 60_000;

const ADMIN_TOKEN = "javascript-admin-token";

/** The only brand, as the edges read it; the origin's file below says the same. */
export const brand = {
  slug: "daily",
  title: "The Daily",
  home_url: "https://daily.example",
  languages: ["en"],
  surfaces: ["home", { slug: "sport", title: "Sport" }],
};

const CONFIG = `
listen = "127.0.0.1:0"
edge_listen = "127.0.0.1:0"
kv_listen = "127.0.0.1:0"
partitions = 4
front_rebuild_s = 3600
[[brand]]
slug = "daily"
title = "The Daily"
home_url = "https://daily.example"
languages = ["en"]
surfaces = ["home", { slug = "sport", title = "Sport", topic = "sport" }]
`;

/** Every edge looks for a new front within a second: tests are impatient. */
const environment = {
  ...secrets,
  MEDIAFLOW_BRANDS: JSON.stringify([brand]),
  MEDIAFLOW_SECURE_COOKIES: "false",
  MEDIAFLOW_FRONT_TTL_MS: "1000",
};

/**
 * Starts `mediaflow serve` on an empty folder.
 *
 * @returns {Promise<{ url: string, address: string, native: string, kv: string, log: () => string,
 *   stop: () => Promise<void>, admin: Function, accepted: () => Promise<number> }>}
 */
export async function startOrigin() {
  if (!existsSync(mediaflow)) throw new Error(`${mediaflow} is missing: run \`cargo build -p mediaflow-server\``);
  const folder = await mkdtemp(join(tmpdir(), "mediaflow-js-"));
  await writeFile(join(folder, "mediaflow.toml"), CONFIG);
  const tokens = execFileSync(mediaflow, ["keys", "admin", "root", "*=admin"], { input: `${ADMIN_TOKEN}\n` });
  const logFile = join(folder, "origin.log");
  const log = () => readFileSync(logFile, "utf8");
  const errors = await open(logFile, "w");
  const program = run(mediaflow, ["serve", "--config", join(folder, "mediaflow.toml")], {
    env: { PATH: process.env.PATH, ...environment, MEDIAFLOW_ADMIN_TOKENS: tokens.toString().trim() },
    stderr: errors.fd,
  });
  const stop = async () => {
    await program.stop();
    await errors.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const addresses = {};
    await program.line((told) => {
      if (told.role) addresses[told.role] = told.addr;
      return ["origin", "edge", "kv"].every((role) => addresses[role]);
    });
    const url = `http://${addresses.origin}`;
    const admin = async (method, path, body) => {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
        body: body && JSON.stringify(body),
      });
      return answer;
    };
    /** Events taken so far, by the origin's own counter. */
    const accepted = async () => {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      const line = /^mediaflow_ingest_events_total\{[^}]*envelope="cloudevents"[^}]*outcome="accepted"[^}]*\} (\d+)/m.exec(metrics);
      return line ? Number(line[1]) : 0;
    };
    const native = `http://${addresses.edge}`;
    return { url, address: addresses.origin, native, kv: addresses.kv, log, stop, admin, accepted };
  } catch (error) {
    const text = log();
    await stop();
    throw new Error(`${error.message}\n${text}`);
  }
}

/** Hands stories to the origin and waits until its own edge serves `least` of them. */
export async function publish(origin, items, least = 30) {
  const answer = await origin.admin("POST", "/admin/v1/import/content", items);
  if (answer.status !== 200) throw new Error(`the import answered ${answer.status}: ${await answer.text()}`);
  await until(`a feed of ${least} stories`, FIRST_FEED_MS, async () => {
    const feed = await (await fetch(`${origin.native}/v1/feed/daily/home?limit=100`)).json();
    return feed.items.length >= least;
  });
}

/** The worker before this origin, perhaps through proxies. */
export function startWorker(origin, { kv = origin.kv, upstream = origin.address, env = {} } = {}) {
  return startWorkerd({ origin: upstream, kv, env: { ...environment, MEDIAFLOW_EDGE_ID: "workerd", ...env } });
}

/** What is missing for the component in its host, or nothing. */
export function hostMissing() {
  if (!hosts.some((file) => existsSync(file))) return "mediaflow-edge-host is not built";
  if (!existsSync(component)) return "the Spin component is not built";
  return undefined;
}

/** The component in its host, before this origin. */
export async function startHost(origin, options = {}) {
  const { kv = origin.kv, upstream = origin.address, env = {}, wasm = component } = options;
  const variables = Object.entries({ ...environment, MEDIAFLOW_EDGE_ID: "component", ...env });
  const program = run(
    hosts.find((file) => existsSync(file)),
    ["--component", wasm, "--listen", "127.0.0.1:0", "--kv", `http://${kv}`, "--allow-outbound", `http://${upstream}`],
    {
      env: {
        PATH: process.env.PATH,
        ...Object.fromEntries(variables.map(([name, value]) => [name.replace("MEDIAFLOW_", "SPIN_VARIABLE_"), value])),
        SPIN_VARIABLE_ORIGIN_URL: `http://${upstream}`,
      },
    },
  );
  try {
    const { addr } = await program.line((told) => told.event === "listening");
    return { url: `http://${addr}`, output: program.output, stop: program.stop };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/** Asks again until `done` is true or gives a value; the last trouble is the error. */
export async function until(what, limit_ms, done, every_ms = 50) {
  const end = Date.now() + limit_ms;
  let trouble = "";
  for (;;) {
    try {
      const value = await done();
      if (value) return value;
    } catch (error) {
      trouble = `: ${error.message}`;
    }
    if (Date.now() > end) throw new Error(`${what} did not happen within ${limit_ms} ms${trouble}`);
    await pause(every_ms);
  }
}

/** A reader with a cookie jar. */
export class Reader {
  #cookies = new Map();

  constructor(edge, cookie = "") {
    this.edge = edge;
    for (const pair of cookie.split("; ").filter(Boolean)) this.#cookies.set(...pair.split("=", 2));
  }

  /** The header `Cookie`, empty without any. */
  get cookie() {
    return [...this.#cookies].map((pair) => pair.join("=")).join("; ");
  }

  async ask(path, { headers = {}, ...options } = {}) {
    const answer = await fetch(`${this.edge}${path}`, {
      redirect: "manual",
      ...options,
      headers: this.cookie ? { cookie: this.cookie, ...headers } : headers,
    });
    for (const set of answer.headers.getSetCookie()) {
      const [name, value] = set.split(";", 1)[0].split("=", 2);
      if (value) this.#cookies.set(name, value);
      else this.#cookies.delete(name);
    }
    return answer;
  }

  /** Rung, feed id and body, as text and as JSON. A feed never fails, so anything but 200 is an error. */
  async feed(query = "") {
    const answer = await this.ask(`/v1/feed/daily/home${query}`);
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`the feed answered ${answer.status}: ${text}`);
    const { headers } = answer;
    const json = JSON.parse(text);
    return {
      headers,
      text,
      json,
      rung: headers.get("mediaflow-rung"),
      id: headers.get("mediaflow-feed-id"),
      ids: json.items.map((item) => item.id),
    };
  }

  consent() {
    return this.post("/v1/me?brand=daily", { action: "consent_on" });
  }

  post(path, body) {
    const headers = { "content-type": "application/json" };
    return this.ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /** Reads an item of a feed: the event that the reader page sends. */
  read(item, id) {
    return this.post("/v1/events", [
      {
        specversion: "1.0",
        id,
        source: "https://daily.example/test",
        type: "org.mediaflow.read.v1",
        time: new Date().toISOString(),
        subject: item.id,
        data: { brand: "daily", surface: "home", content_id: item.id, dwell_s: 40, exposure: item._mediaflow.exposure },
      },
    ]);
  }
}

/** A child process that says on standard output, in lines of JSON, when it is ready. */
function run(file, args, { env, stderr = "pipe" }) {
  const child = own(spawn(file, args, { cwd: root, env, stdio: ["ignore", "pipe", stderr] }));
  const ended = new Promise((resolve) => child.once("close", resolve));
  let output = "";
  child.stderr?.on("data", (text) => (output += text));
  let waiting = () => {};
  let partial = "";
  child.stdout.on("data", (text) => {
    const lines = (partial + text).split("\n");
    partial = lines.pop();
    for (const line of lines) {
      output += `${line}\n`;
      if (line.startsWith("{")) waiting(JSON.parse(line));
    }
  });
  return {
    output: () => output,
    line: (wanted) =>
      new Promise((resolve, reject) => {
        const fail = (why) => reject(new Error(`${file} ${why}\n${output}`));
        const timer = setTimeout(() => fail("did not start in time"), START_TIMEOUT_MS);
        child.once("error", (error) => fail(error.message));
        child.once("close", (code) => fail(`ended with ${code}`));
        waiting = (told) => {
          if (!wanted(told)) return;
          clearTimeout(timer);
          resolve(told);
        };
      }),
    stop: async () => {
      const hard = setTimeout(() => child.kill("SIGKILL"), 5000);
      child.kill("SIGTERM");
      await ended;
      clearTimeout(hard);
    },
  };
}
