/**
 * Isolation from other origins on hosts that can't send the headers for it: the service worker `sw.js` adds them.
 */

/** Noted in the tab's storage: once is enough to try. */
const TRIED = 'edgebox-isolation-tried';

/** Milliseconds after which a service worker that has not started is given up. */
const START_MS_MAX = 5000;

/**
 * Sees to it that the page is isolated, if a service worker can do that. It reloads the page then, and never returns.
 *
 * Firefox and Chromium take headers for a page from a service worker, if that was there before the page.
 */
export async function isolate() {
  if (globalThis.crossOriginIsolated) {
    sessionStorage.removeItem(TRIED);
    return;
  }
  // A frame is isolated by the outermost page or not at all.
  if (!globalThis.isSecureContext || !navigator.serviceWorker || window !== window.top || sessionStorage.getItem(TRIED)) return;
  try {
    await navigator.serviceWorker.register(new URL('../sw.js', import.meta.url));
    const late = new Promise((_, reject) => { setTimeout(() => reject(new Error('it does not start')), START_MS_MAX); });
    await Promise.race([navigator.serviceWorker.ready, late]);
  } catch (error) {
    console.warn(`no service worker: ${error.message}`);
    return;
  }
  sessionStorage.setItem(TRIED, '1');
  location.reload();
  await new Promise(() => {});
}
