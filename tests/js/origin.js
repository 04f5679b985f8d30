// A stand-in for the origin: the KV namespace below /kv, and a record of everything else.

import { createServer } from "node:http";

/**
 * Listens on a port of its own.
 *
 * `values` maps keys to bytes and may change at any time; `requests` fills with what came in
 * beside KV; `fault` may be set to `(request, response) => boolean`, true meaning "I answered".
 */
export async function startOrigin() {
  const origin = {
    /** @type {Map<string, Buffer>} */
    values: new Map(),
    /** @type {{ method: string, url: string, headers: object, body: Buffer }[]} */
    requests: [],
    /** @type {string[]} */
    reads: [],
    fault: null,
    /** What `/v1/...` answers. */
    status: 202,
  };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (origin.fault?.(request, response)) return;
    const url = new URL(request.url, "http://origin");
    if (url.pathname.startsWith("/kv/")) {
      kv(origin, request, url, Buffer.concat(chunks), response);
      return;
    }
    origin.requests.push({
      method: request.method,
      url: request.url,
      headers: request.headers,
      body: Buffer.concat(chunks),
    });
    response.writeHead(origin.status).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin.address = `127.0.0.1:${server.address().port}`;
  origin.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return origin;
}

function kv(origin, request, url, body, response) {
  const key = decodeURIComponent(url.pathname.slice("/kv/".length));
  if (request.method === "PUT") {
    origin.values.set(key, body);
    response.writeHead(200).end();
    return;
  }
  origin.reads.push(key);
  const value = origin.values.get(key);
  if (value) response.writeHead(200).end(value);
  else response.writeHead(404).end();
}
