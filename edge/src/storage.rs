//! The bucket that holds chunks and manifests.
//!
//! Keys are `chunks/DIGEST` and `manifests/NAME.json`; the tool uploads to the same names.

use disk::ChunkDigest;
use worker::{Env, Object, Response, ResponseBuilder};

use crate::refusal::Refusal;

/// The R2 binding's name in `wrangler.toml`.
const BINDING: &str = "DISK";

/// Reads objects.
pub struct Storage<'a> {
    env: &'a Env,
}

impl<'a> Storage<'a> {
    /// The bucket bound to this Worker.
    #[must_use]
    pub fn new(env: &'a Env) -> Self {
        Storage { env }
    }

    /// The chunk called `digest`.
    ///
    /// # Errors
    /// 404 if it isn't stored, 503 if the storage fails.
    pub async fn chunk(&self, digest: &ChunkDigest) -> Result<Object, Refusal> {
        let object = self.get(format!("chunks/{digest}")).await?;
        object.ok_or_else(|| Refusal::NotFound(format!("There is no chunk {digest}.")))
    }

    /// The manifest of image `name`.
    ///
    /// # Errors
    /// 404 if it isn't stored, 503 if the storage fails.
    pub async fn manifest(&self, name: &str) -> Result<Object, Refusal> {
        let object = self.get(format!("manifests/{name}.json")).await?;
        object.ok_or_else(|| Refusal::NotFound(format!("There is no image {name}.")))
    }

    async fn get(&self, key: String) -> Result<Option<Object>, Refusal> {
        Ok(self.env.bucket(BINDING)?.get(key).execute().await?)
    }
}

/// The whole object, with its length: HEAD has no other way to tell it.
///
/// # Errors
/// The platform's.
pub fn respond(head: ResponseBuilder, object: &Object) -> Result<Response, Refusal> {
    let head = head.with_header("content-length", &object.size().to_string())?;
    match object.body() {
        Some(body) => Ok(head.body(body.response_body()?)),
        None => Ok(head.empty()),
    }
}
