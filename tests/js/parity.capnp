# The npm package of the shared ranking inside workerd, for the parity test.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "parity", worker = .parity)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "parity")],
);

const parity :Workerd.Worker = (
  modules = [
    (name = "parity-worker.js", esModule = embed "parity-worker.js"),
    (name = "mediaflow_wasm.js",
     esModule = embed "../../target/npm/mediaflow-wasm/web/mediaflow_wasm.js"),
    (name = "mediaflow_wasm_bg.wasm",
     wasm = embed "../../target/npm/mediaflow-wasm/web/mediaflow_wasm_bg.wasm"),
  ],
  compatibilityDate = "2026-10-01",
);
