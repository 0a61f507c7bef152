//! Objects in an R2 bucket. The tool uploads under the same keys.

use worker::{Bucket, Env, ResponseBody};

use super::platform::whole_seconds;
use super::{Content, Fetched, Key, Meta, Object, Storage};

/// The binding's name in `wrangler.toml`.
const BINDING: &str = "DISK";

/// A bucket.
pub struct R2(Bucket);

impl R2 {
    /// The bucket bound to this Worker, if there is one.
    pub fn of_environment(env: &Env) -> Option<Self> {
        env.bucket(BINDING).ok().map(R2)
    }
}

fn meta(object: &worker::Object) -> Meta {
    Meta { size_bytes: Some(object.size()), modified: Some(whole_seconds(&object.uploaded())) }
}

impl Storage for R2 {
    fn get<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Object> {
        Box::pin(async move {
            let Some(object) = self.0.get(key.to_string()).execute().await? else { return Ok(None) };
            let content = match object.body().map(worker::ObjectBody::response_body).transpose()? {
                Some(ResponseBody::Stream(stream)) => Content::Stream(stream),
                _ => Content::Bytes(Vec::new()),
            };
            Ok(Some(Object { meta: meta(&object), content }))
        })
    }

    fn head<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Meta> {
        Box::pin(async move { Ok(self.0.head(key.to_string()).await?.as_ref().map(meta)) })
    }
}
