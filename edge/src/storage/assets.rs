//! Objects among the Worker's static assets, where they lie at the paths they are served at.
//!
//! Good for images of up to 20,000 chunks (2.5 GB that are not zero), the number of files a deployment may have. There
//! is no bucket to be filled: `wrangler deploy` uploads all.

use worker::wasm_bindgen::JsCast;
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::Response;
use worker::{Env, worker_sys};

use super::platform::failure;
use super::{Content, Failure, Fetched, Key, Meta, Object, Storage};

/// The binding's name in `wrangler.toml`.
const BINDING: &str = "ASSETS";

/// The assets of this Worker. Not the `worker` crate's own type: it reads all of a response, this only what is needed.
pub struct Assets(worker_sys::Fetcher);

impl Assets {
    /// The assets bound to this Worker, if there are any.
    pub fn of_environment(env: &Env) -> Option<Self> {
        env.assets(BINDING).ok().map(|assets| Assets(assets.into_rpc()))
    }

    async fn ask(&self, key: Key<'_>) -> Result<Option<Object>, Failure> {
        // The platform looks at the path only.
        let promise = self.0.fetch_with_str(&format!("https://assets.local/disk/{key}")).map_err(failure)?;
        let response: Response = JsFuture::from(promise).await.map_err(failure)?.unchecked_into();
        let content = match response.status() {
            200 => response.body().map_or_else(|| Content::Bytes(Vec::new()), Content::Stream),
            404 => return Ok(None),
            status => return Err(Failure(format!("status {status} for an asset"))),
        };
        // A deployment does not tell when a file was changed, and no length before it is sent.
        Ok(Some(Object { meta: Meta { size_bytes: None, modified: None }, content }))
    }
}

impl Storage for Assets {
    fn get<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Object> {
        Box::pin(self.ask(key))
    }

    fn head<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Meta> {
        Box::pin(async move {
            let Some(object) = self.ask(key).await? else { return Ok(None) };
            let size_bytes = Some(object.content.read().await?.len() as u64);
            Ok(Some(Meta { size_bytes, ..object.meta }))
        })
    }
}
