// The KV namespace of raw workerd: hands every request on to the origin's /kv.
//
// Only for development and tests: deployed, the namespace is Cloudflare's own.

export default {
  fetch(request, env) {
    const url = new URL(request.url);
    url.pathname = `/kv${url.pathname}`;
    const onward = new Request(url, request);
    if (env.MEDIAFLOW_EDGE_TOKEN) {
      onward.headers.set("authorization", `Bearer ${env.MEDIAFLOW_EDGE_TOKEN}`);
    }
    return env.ORIGIN.fetch(onward);
  },
};
