// Processes that tests start end with the tests, also when those are interrupted.

const children = new Set();

function endAll() {
  for (const child of children) child.kill("SIGKILL");
}

process.once("exit", endAll);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => process.exit(1));
}

/**
 * Ends this child with this process, at the latest.
 *
 * @param {import("node:child_process").ChildProcess} child
 */
export function own(child) {
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}
