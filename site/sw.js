/**
 * The service worker for hosts that can't send headers, such as GitHub Pages: it gives everything of this site the headers
 * without which a browser denies a page shared memory. Where the server sends them itself, it is never installed.
 */

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'cross-origin',
};

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

async function isolated(request) {
  const response = await fetch(request);
  // An opaque answer, as of a redirected navigation, can only be handed on.
  if (response.status === 0 || response.type === 'opaqueredirect') return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  const { status, statusText } = response;
  return new Response([101, 204, 205, 304].includes(status) ? null : response.body, { status, statusText, headers });
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  // Chromium asks for this when its developer tools are open, and fails if anybody else does.
  if (request.cache === 'only-if-cached' && request.mode !== 'same-origin') return;
  if (new URL(request.url).origin === self.location.origin) event.respondWith(isolated(request));
});
