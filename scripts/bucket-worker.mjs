// The side of scripts/bucket.mjs that has the bucket: runs in workerd, on this machine, whichever bucket it is.

/** Objects in one answer to `/list`: as many as R2 tells at once. */
const LISTED_MAX = 1000;

async function list(bucket, cursor) {
  const page = await bucket.list({ limit: LISTED_MAX, cursor: cursor ?? undefined });
  const objects = page.objects.map(({ key, size, uploaded }) => ({ key, size, uploaded_ms: uploaded.getTime() }));
  return Response.json({ objects, cursor: page.truncated ? page.cursor : null });
}

async function get(bucket, key) {
  const object = await bucket.get(key);
  return object ? new Response(object.body) : new Response("there is no such object", { status: 404 });
}

export default {
  async fetch(request, { DISK, TOKEN }) {
    // Other programs of this machine, and pages in its browsers, have no business here.
    if (request.headers.get("authorization") !== TOKEN) return new Response("no", { status: 403 });
    const { pathname, searchParams } = new URL(request.url);
    const key = searchParams.get("key");
    try {
      if (pathname === "/list") return await list(DISK, searchParams.get("cursor"));
      if (request.method === "PUT") await DISK.put(key, await request.arrayBuffer());
      else if (request.method === "GET") return await get(DISK, key);
      else if (request.method === "DELETE") await DISK.delete(await request.json());
      return new Response(null, { status: 204 });
    } catch (error) {
      return new Response(String(error?.message ?? error), { status: 500 });
    }
  },
};
