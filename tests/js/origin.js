// A stand-in for the origin: a collector that remembers, and the KV namespace on its own listener.

import { createServer } from "node:http";

/**
 * Listens on two ports of its own, `address` and `kvAddress`.
 *
 * `values` maps keys to bytes and may change at any time; `reads` lists the keys that were read;
 * `requests` fills with what came in at the collector, which answers `status`. `kvFault` may be set
 * to `async (response) => boolean`, true meaning "I answered".
 */
export async function startOrigin() {
  const origin = {
    /** @type {Map<string, Buffer>} */
    values: new Map(),
    /** @type {string[]} */
    reads: [],
    /** @type {{ method: string, url: string, headers: object, body: Buffer }[]} */
    requests: [],
    status: 202,
    /** @type {null | ((response: import("node:http").ServerResponse) => Promise<boolean>)} */
    kvFault: null,
  };
  const collector = await listen(async (request, response) => {
    const { method, url, headers } = request;
    origin.requests.push({ method, url, headers, body: await whole(request) });
    response.writeHead(origin.status, { "content-type": "application/json" }).end("{}");
  });
  const kv = await listen(async (request, response) => {
    const url = new URL(request.url, "http://kv");
    const key = decodeURIComponent(url.pathname.slice(1));
    origin.reads.push(key);
    if (await origin.kvFault?.(response)) return;
    const value = origin.values.get(key);
    if (value) response.writeHead(200).end(value);
    else response.writeHead(404).end();
  });
  origin.address = address(collector);
  origin.kvAddress = address(kv);
  origin.stop = () => Promise.all([close(collector), close(kv)]);
  return origin;
}

async function listen(handle) {
  const server = createServer((request, response) => {
    handle(request, response).catch((error) => response.destroy(error));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function whole(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function address(server) {
  return `127.0.0.1:${server.address().port}`;
}

function close(server) {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
}
