# The worker in raw workerd: for development, the tests and `cargo xtask up`.
#
# One configuration for all of them. What differs is given on the command line and in the
# environment, so that every port can be 0:
#
#   workerd serve edge/cloudflare/workerd.capnp --experimental
#     --socket-addr http=127.0.0.1:0      where readers come in; printed by --control-fd=3
#     --external-addr kv=127.0.0.1:PORT   the KV namespace: the origin's `kv_listen`
#
# The environment holds MEDIAFLOW_ORIGIN, the brands and the secrets (see the list of bindings);
# an absent one is null, and counts as not set.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    # The origin speaks workerd's own KV protocol there.
    (name = "kv", external = (address = "127.0.0.1:8082", http = ())),
    (name = "cache", worker = .cache),
    # The origin is on this machine: Cloudflare's own network is public only.
    (name = "network", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "edge")],
);

const edge :Workerd.Worker = (
  modules = [
    (name = "entry.js", esModule = embed "../../target/worker/entry.js"),
    (name = "index.js", esModule = embed "../../target/worker/index.js"),
    (name = "snippets/worker/inline0.js",
     esModule = embed "../../target/worker/snippets/worker/inline0.js"),
    (name = "snippets/mediaflow-edge-cloudflare/src/border.js",
     esModule = embed
       "../../target/worker/snippets/mediaflow-edge-cloudflare/src/border.js"),
    (name = "index_bg.wasm", wasm = embed "../../target/worker/index_bg.wasm"),
  ],
  compatibilityDate = "2026-10-01",
  bindings = [
    (name = "MEDIAFLOW", kvNamespace = "kv"),
    (name = "MEDIAFLOW_ORIGIN", fromEnvironment = "MEDIAFLOW_ORIGIN"),
    (name = "MEDIAFLOW_EDGE_ID", fromEnvironment = "MEDIAFLOW_EDGE_ID"),
    (name = "MEDIAFLOW_TOKEN_KEYS", fromEnvironment = "MEDIAFLOW_TOKEN_KEYS"),
    (name = "MEDIAFLOW_READER_KEY", fromEnvironment = "MEDIAFLOW_READER_KEY"),
    (name = "MEDIAFLOW_EXPOSURE_KEY", fromEnvironment = "MEDIAFLOW_EXPOSURE_KEY"),
    (name = "MEDIAFLOW_LOGIN_KEY", fromEnvironment = "MEDIAFLOW_LOGIN_KEY"),
    (name = "MEDIAFLOW_EDGE_TOKEN", fromEnvironment = "MEDIAFLOW_EDGE_TOKEN"),
    (name = "MEDIAFLOW_BRANDS", fromEnvironment = "MEDIAFLOW_BRANDS"),
    (name = "MEDIAFLOW_SECURE_COOKIES", fromEnvironment = "MEDIAFLOW_SECURE_COOKIES"),
    (name = "MEDIAFLOW_KV_DEADLINE_MS", fromEnvironment = "MEDIAFLOW_KV_DEADLINE_MS"),
    (name = "MEDIAFLOW_RULES_TTL_MS", fromEnvironment = "MEDIAFLOW_RULES_TTL_MS"),
    (name = "MEDIAFLOW_FRONT_TTL_MS", fromEnvironment = "MEDIAFLOW_FRONT_TTL_MS"),
    (name = "MEDIAFLOW_MODEL_TTL_MS", fromEnvironment = "MEDIAFLOW_MODEL_TTL_MS"),
    (name = "MEDIAFLOW_CONSENT_VERSION", fromEnvironment = "MEDIAFLOW_CONSENT_VERSION"),
  ],
  globalOutbound = "network",
  cacheApiOutbound = "cache",
);

# Raw workerd has no cache of its own.
const cache :Workerd.Worker = (
  modules = [(name = "cache.js", esModule = embed "local/cache.js")],
  compatibilityDate = "2026-10-01",
);
