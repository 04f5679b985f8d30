// Answers the digest over the cases `from .. from + n` for `/{from}/{n}`, as 16 hex digits.

import module from "mediaflow_wasm_bg.wasm";
import { digest, initSync } from "mediaflow_wasm.js";

initSync({ module });

export default {
  fetch(request) {
    const [from, n] = new URL(request.url).pathname.slice(1).split("/");
    return new Response(BigInt.asUintN(64, digest(BigInt(from), Number(n))).toString(16).padStart(16, "0"));
  },
};
