// The Worker's entry point: starts the Rust module and hands requests to it. Everything else is in src/.
import module from "./edge_bg.wasm";
import { fetch, initSync } from "./edge.js";

initSync({ module });

export default { fetch };
