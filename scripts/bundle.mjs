// Bundles modules and style sheets, each with what it imports in it.
//
//   node scripts/bundle.mjs FROM TO FILE...
//
// FILEs are below FROM, and become files of the same names below TO. What one of them imports only when it needs it
// (`import()`) stays a file of its own, which must be another FILE.
import { join } from "node:path";

import { build } from "esbuild";

const keepDynamic = ({ kind, path }) => (kind === "dynamic-import" ? { path, external: true } : undefined);

const [from, to, ...files] = process.argv.slice(2);
await build({
  entryPoints: files.map((file) => join(from, file)),
  outbase: from,
  outdir: to,
  bundle: true,
  plugins: [{ name: "dynamic", setup: ({ onResolve }) => onResolve({ filter: /^\./ }, keepDynamic) }],
  format: "esm",
  charset: "utf8",
  // Names stay, for whoever looks into it with a debugger.
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: "warning",
});
