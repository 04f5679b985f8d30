// What crosses between JavaScript and WebAssembly on every request, in as few calls as possible:
// a crossing costs more than ranking a candidate. Strings with line feeds carry lists, since
// neither a header nor a URL can hold one.

// The same for every request; Rust names them anew whenever its own memory is.
let described = [];

/** Names the headers, a line each, that `describe` reads. */
export function describeWith(names) {
  described = names.split("\n");
}

/**
 * Method, URL, country and data centre, then the values of the headers named before, a line each; an absent one is an
 * empty line. `cf` is empty outside Cloudflare.
 */
export function describe(request) {
  const { cf, headers } = request;
  let text = `${request.method}\n${request.url}\n${cf?.country ?? ""}\n${cf?.colo ?? ""}`;
  for (let at = 0; at < described.length; at++) text += `\n${headers.get(described[at]) ?? ""}`;
  return text;
}

/** The values of the headers named a line each; an absent one is an empty line. */
export function headerValues(request, names) {
  const headers = request.headers;
  return names
    .split("\n")
    .map((name) => headers.get(name) ?? "")
    .join("\n");
}

/** The body, read no further than one byte past `bytesMax`. */
export async function readBody(request, bytesMax) {
  const parts = [];
  let length = 0;
  if (request.body) {
    for await (const part of request.body) {
      parts.push(part);
      length += part.length;
      if (length > bytesMax) break;
    }
  }
  const whole = new Uint8Array(Math.min(length, bytesMax + 1));
  let at = 0;
  for (const part of parts) {
    whole.set(part.subarray(0, whole.length - at), at);
    at += part.length;
  }
  return whole;
}

/** A response. `head` is name and value in turn, a line each; `body` is copied out of the memory. */
export function respond(status, head, body) {
  const lines = head === "" ? [] : head.split("\n");
  // An object costs the runtime a fraction of what a list of pairs does, but holds a name only once.
  let headers = {};
  for (let at = 0; at + 1 < lines.length; at += 2) {
    if (Object.hasOwn(headers, lines[at])) {
      headers = new Headers(headers);
      for (; at + 1 < lines.length; at += 2) headers.append(lines[at], lines[at + 1]);
      break;
    }
    headers[lines[at]] = lines[at + 1];
  }
  return new Response(body.length === 0 ? null : body.slice(), { status, headers });
}

/** A variable or secret; anything that is no string counts as unset. */
export function variable(env, name) {
  const value = env[name];
  return typeof value === "string" ? value : undefined;
}

/** A value of a KV namespace, or undefined. Rejects when the namespace is not bound, or does not answer. */
export async function kvGet(env, namespace, key) {
  const found = await env[namespace].get(key, "arrayBuffer");
  return found ? new Uint8Array(found) : undefined;
}

/**
 * Posts to the origin, without following a redirect. The answer: its status, two bytes, low first, and at most
 * `bytesMax` bytes of its body. `head` is name and value in turn, a line each.
 */
export async function post(url, head, body, bytesMax) {
  const lines = head.split("\n");
  const headers = {};
  for (let at = 0; at + 1 < lines.length; at += 2) headers[lines[at]] = lines[at + 1];
  const answer = await fetch(url, { method: "POST", headers, body, redirect: "manual" });
  const said = new Uint8Array(await answer.arrayBuffer()).subarray(0, bytesMax);
  const whole = new Uint8Array(2 + said.length);
  whole.set([answer.status & 255, answer.status >> 8]);
  whole.set(said, 2);
  return whole;
}

/** A body of the cache, or undefined: no entry, no cache, or one that fails, are the same here. */
export async function cacheGet(url) {
  try {
    const found = await caches.default.match(url);
    return found && new Uint8Array(await found.arrayBuffer());
  } catch {
    return undefined;
  }
}

/** Stores a body; false when there is no cache or it refused. */
export async function cachePut(url, body, ttl_s) {
  const headers = { "cache-control": `public, max-age=${ttl_s}` };
  try {
    await caches.default.put(url, new Response(body, { headers }));
    return true;
  } catch {
    return false;
  }
}

/** Resolves after so many milliseconds. */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Fills WebAssembly's own memory with secure random bytes. */
export function fillRandom(out) {
  crypto.getRandomValues(out);
}
