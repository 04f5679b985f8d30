// One thread of the parity test: digests of the ranges it is given, by the npm package.

import { parentPort, workerData } from "node:worker_threads";

const { digest } = await import(workerData);

parentPort.on("message", ([from, n]) => {
  parentPort.postMessage(BigInt.asUintN(64, digest(BigInt(from), n)).toString(16).padStart(16, "0"));
});
