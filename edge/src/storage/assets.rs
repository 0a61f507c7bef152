//! Objects among the Worker's static assets, where they lie at the paths they are served at.
//!
//! Good for images of up to 20,000 chunks (2.5 GB that are not zero), the number of files a deployment may have. There
//! is no bucket to be filled: `wrangler deploy` uploads all.

use worker::{Env, Fetcher, Response, ResponseBody};

use super::{Content, Failure, Fetched, Key, Meta, Object, Storage};

/// The binding's name in `wrangler.toml`.
const BINDING: &str = "ASSETS";

/// The assets of this Worker.
pub struct Assets(Fetcher);

impl Assets {
    /// The assets bound to this Worker, if there are any.
    pub fn of_environment(env: &Env) -> Option<Self> {
        env.assets(BINDING).ok().map(Assets)
    }

    async fn ask(&self, key: Key<'_>) -> Result<Option<Response>, Failure> {
        // The platform looks at the path only.
        let response = self.0.fetch(format!("https://assets.local/disk/{key}"), None).await?;
        match response.status_code() {
            200 => Ok(Some(response)),
            404 => Ok(None),
            status => Err(Failure(format!("status {status} for an asset"))),
        }
    }
}

impl Storage for Assets {
    fn get<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Object> {
        Box::pin(async move {
            let Some(response) = self.ask(key).await? else { return Ok(None) };
            let content = match response.into_parts().1 {
                ResponseBody::Stream(stream) => Content::Stream(stream),
                ResponseBody::Body(bytes) => Content::Bytes(bytes),
                ResponseBody::Empty => Content::Bytes(Vec::new()),
            };
            // A deployment does not tell when a file was changed, and no length before it is sent.
            Ok(Some(Object { meta: Meta { size_bytes: None, modified: None }, content }))
        })
    }

    fn head<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Meta> {
        Box::pin(async move {
            let Some(object) = self.get(key).await? else { return Ok(None) };
            let size_bytes = Some(object.content.read().await?.len() as u64);
            Ok(Some(Meta { size_bytes, ..object.meta }))
        })
    }
}
