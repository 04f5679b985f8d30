// What crosses between JavaScript and WebAssembly on every request, in as few calls as possible:
// a crossing costs more than ranking a candidate. Strings with line feeds carry lists, since
// neither a header nor a URL can hold one.

/** Method, URL, country and data centre, a line each. `cf` is empty outside Cloudflare. */
export function describe(request) {
  const cf = request.cf;
  return `${request.method}\n${request.url}\n${cf?.country ?? ""}\n${cf?.colo ?? ""}`;
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
  const headers = [];
  for (let at = 0; at + 1 < lines.length; at += 2) headers.push([lines[at], lines[at + 1]]);
  return new Response(body.length === 0 ? null : body.slice(), { status, headers });
}

/** A variable or secret; anything that is no string counts as unset. */
export function variable(env, name) {
  const value = env[name];
  return typeof value === "string" ? value : undefined;
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

/** Fills WebAssembly's own memory with secure random bytes. */
export function fillRandom(out) {
  crypto.getRandomValues(out);
}
