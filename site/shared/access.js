/**
 * Access to private images: a token that is sent with every request for the disk.
 */

/** @param {string | null | undefined} token @returns {Record<string, string>} */
export const accessHeaders = (token) => (token ? { authorization: `Bearer ${token}` } : {});

/** Whether a server says that a token is missing, no longer valid, or one for something else. */
export const isDenied = (status) => status === 401 || status === 403;

/** What such a server says of it, in a line. */
export async function denial(response) {
  const text = await response.text().catch(() => '');
  return text.trim().split('\n')[0].slice(0, 200) || `the server answers ${response.status}`;
}
