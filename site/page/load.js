/**
 * What a machine needs first, loaded by the page: its worker takes as long to start as these take to come.
 */

import { accessHeaders, denial, isDenied } from '../shared/access.js';

/** @returns {Promise<Uint8Array>} the manifest of an image */
export async function loadManifest(base, image, access) {
  let response;
  try {
    response = await fetch(new URL(`disk/manifests/${image}.json`, base), { headers: accessHeaders(access) });
  } catch (error) {
    throw new Error(`the server of the image "${image}" can't be reached (${error.message}): reload to try again`);
  }
  if (response.status === 404) throw new Error(`there is no image named "${image}" on this server`);
  if (isDenied(response.status)) {
    throw new Error(`access to the image "${image}" is denied: ${await denial(response)} Ask whoever runs this server for a link`);
  }
  if (!response.ok) throw new Error(`the image "${image}" can't be loaded: the server answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @returns {Promise<WebAssembly.Module>} the engine, compiled while it comes if the server says what it is */
export async function loadEngine(base) {
  const response = await fetch(new URL('engine/vm_bg.wasm', base));
  if (!response.ok) throw new Error(`the engine can't be loaded: the server answers ${response.status}`);
  const isNamed = response.headers.get('content-type')?.startsWith('application/wasm');
  return isNamed ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}
