// The Cache API of raw workerd, in this process's memory.
//
// workerd asks with `GET` and `cache-control: only-if-cached`, stores with `PUT` and a serialized
// HTTP response, and forgets with `PURGE`. Only for development and tests.

// A dozen brands with a handful of contexts fit many times over.
const ENTRIES_MAX = 512;

/** @type {Map<string, { head: [string, string][], status: number, body: Uint8Array, until_ms: number }>} */
const entries = new Map();

export default {
  async fetch(request) {
    switch (request.method) {
      case "GET":
        return look(request.url);
      case "PUT":
        return store(request.url, new Uint8Array(await request.arrayBuffer()));
      default:
        return new Response(null, { status: entries.delete(request.url) ? 200 : 404 });
    }
  },
};

function look(key) {
  const entry = entries.get(key);
  if (!entry || entry.until_ms < Date.now()) {
    entries.delete(key);
    return new Response(null, { status: 504, headers: { "cf-cache-status": "MISS" } });
  }
  const headers = new Headers(entry.head);
  headers.set("cf-cache-status", "HIT");
  return new Response(entry.body, { status: entry.status, headers });
}

function store(key, bytes) {
  const end = headEnd(bytes);
  if (end < 0) return new Response(null, { status: 400 });
  const [first, ...lines] = new TextDecoder("latin1").decode(bytes.subarray(0, end)).split("\r\n");
  const head = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  const value = (name) => head.find(([found]) => found === name)?.[1] ?? "";
  const age_s = Number(/(?:s-maxage|max-age)=(\d+)/.exec(value("cache-control"))?.[1] ?? 0);
  let body = bytes.slice(end + 4);
  if (value("transfer-encoding") === "chunked") body = unchunk(body);
  if (entries.size >= ENTRIES_MAX) entries.delete(entries.keys().next().value);
  entries.set(key, {
    head: head.filter(([name]) => name !== "transfer-encoding" && name !== "content-length"),
    status: Number(first.split(" ")[1]),
    body,
    until_ms: Date.now() + age_s * 1000,
  });
  return new Response(null, { status: 204 });
}

/** Where the empty line begins that ends the head, or -1. */
function headEnd(bytes) {
  for (let at = 0; at + 3 < bytes.length; at += 1) {
    if (bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) {
      return at;
    }
  }
  return -1;
}

function unchunk(bytes) {
  const parts = [];
  let at = 0;
  for (;;) {
    const line = bytes.indexOf(13, at);
    if (line < 0) break;
    const size = Number.parseInt(new TextDecoder().decode(bytes.subarray(at, line)), 16);
    if (!(size > 0)) break;
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let to = 0;
  for (const part of parts) {
    whole.set(part, to);
    to += part.length;
  }
  return whole;
}
