/**
 * The token for a private image: it comes in the link a visitor was given, after `#`, which is never sent to a server, and
 * is kept in this browser, so that the page can be loaded again, and other tabs go on with it.
 */

const key = (image) => `edgebox-access/${image}`;

/** What this browser lets be kept; some let nothing. */
function stored(action) {
  try {
    return action(localStorage);
  } catch {
    return null;
  }
}

/** Takes the token out of the page's address. @returns {string | null} */
function ofAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const token = parameters.get('access');
  if (token === null) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return token;
}

/** @returns {string | null} the token for an image: of the page's address, or kept */
export function accessTo(image) {
  const token = ofAddress();
  if (token !== null) stored((storage) => storage.setItem(key(image), token));
  return token ?? stored((storage) => storage.getItem(key(image)));
}

/** Calls back whenever there is a new token, of a link opened in this tab or another one. */
export function onNewAccess(image, callback) {
  addEventListener('hashchange', () => {
    if (new URLSearchParams(location.hash.slice(1)).has('access')) callback(accessTo(image));
  });
  addEventListener('storage', (event) => {
    if (event.key === key(image) && event.newValue) callback(event.newValue);
  });
}
