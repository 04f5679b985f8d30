// A server in front of another one, that counts what passes and can fail in the ways that networks do.

import { createServer, request as ask } from "node:http";

/**
 * How a proxy treats what passes:
 * `pass` · `slow` (250 ms late) · `fail` (500) · `empty` (404) · `half` (the first half of the body, as if
 * that were all) · `cut` (the connection ends in the middle of the body) · `down` (ends without a word).
 *
 * @typedef {"pass" | "slow" | "fail" | "empty" | "half" | "cut" | "down"} Fault
 */

const SLOW_MS = 250;

/**
 * Listens on a port of its own before `target`, `127.0.0.1:PORT`.
 *
 * @param {string} target
 */
export async function startProxy(target) {
  const proxy = {
    /** @type {Fault} */
    fault: "pass",
    /** Decoded paths without their first slash, in the order in which they came. @type {string[]} */
    seen: [],
    address: "",
    stop: () => {},
  };
  const server = createServer((request, response) => {
    treat(proxy, target, request, response).catch(() => response.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.address = `127.0.0.1:${server.address().port}`;
  proxy.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return proxy;
}

async function treat(proxy, target, request, response) {
  const { pathname } = new URL(request.url, "http://proxy");
  proxy.seen.push(decodeURIComponent(pathname.slice(1)));
  const { fault } = proxy;
  const body = await whole(request);
  if (fault === "down") return request.socket.destroy();
  if (fault === "fail") return response.writeHead(500).end("out of order");
  if (fault === "empty") return response.writeHead(404).end();
  if (fault === "slow") await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
  const answer = await pass(target, request, body);
  const half = answer.body.subarray(0, answer.body.length >> 1);
  if (fault === "cut") {
    response.writeHead(answer.status, { "content-length": answer.body.length });
    response.write(half, () => response.destroy());
  } else {
    response.writeHead(answer.status, answer.headers).end(fault === "half" ? half : answer.body);
  }
}

function pass(target, { method, url, headers }, body) {
  const [host, port] = target.split(":");
  return new Promise((resolve, reject) => {
    const request = ask({ host, port, method, path: url, headers }, async (answer) => {
      try {
        const passed = { ...answer.headers };
        // The body is whole here, and may be shortened.
        for (const name of ["content-length", "transfer-encoding", "connection"]) delete passed[name];
        resolve({ status: answer.statusCode, headers: passed, body: await whole(answer) });
      } catch (error) {
        reject(error);
      }
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function whole(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
