//! Where requests come in.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use disk::Encoding;
use worker::wasm_bindgen::{self, prelude::wasm_bindgen};
use worker::{Context, Date, Env, Request, Response, Result, event};

use crate::cors::Policy;
use crate::encoding::negotiate;
use crate::image::opened::Memory;
use crate::request;
use crate::send::send;
use crate::service::Service;
use crate::storage;

/// Variable with the origins whose scripts may read answers; see [`Policy::parse`].
const CORS_VARIABLE: &str = "CORS_ORIGINS";

thread_local! {
    /// Outlives requests, as long as the isolate does.
    static MEMORY: Rc<Memory> = Rc::default();
}

/// Answers every request that no static asset answers.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let cors = env.var(CORS_VARIABLE).map(|origins| origins.to_string()).unwrap_or_default();
    let service =
        Service { storage: storage::of_environment(&env), memory: MEMORY.with(Rc::clone), cors: Policy::parse(&cors) };
    let (method, path) = (request.method(), request.path());
    let headers = |name: &str| request.headers().get(name).ok().flatten();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(Date::now().as_millis());
    let request = request::Request { method: method.as_ref(), path: &path, headers: &headers, now };
    send(service.answer(&request).await)
}

/// What a client that sends this `Accept-Encoding` gets, so that the cache in front of [`fetch`] keeps two variants of
/// a chunk instead of one for every spelling.
#[wasm_bindgen]
#[must_use]
pub fn normalised_encoding(accept_encoding: Option<String>) -> String {
    match negotiate(accept_encoding.as_deref()) {
        Encoding::Brotli => "br".into(),
        Encoding::Identity => "identity".into(),
    }
}
