//! Where requests come in.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use disk::Encoding;
use worker::wasm_bindgen::{self, JsValue, prelude::wasm_bindgen};
use worker::{Date, Env, web_sys};

use crate::access::Access;
use crate::cors::Policy;
use crate::encoding::negotiate;
use crate::request::Request;
use crate::send::send;
use crate::service::Service;
use crate::storage::{self, preview::Preview};

/// Variable with the origins whose scripts may read answers; see [`Policy::parse`].
const CORS_VARIABLE: &str = "CORS_ORIGINS";

/// Variable and secret that say who may ask; see [`Access`].
const ACCESS_VARIABLE: &str = "ACCESS";
const ACCESS_SECRET: &str = "ACCESS_KEY";

/// Variable that says where chunks are sent from: the Worker, or [`OPEN_CHUNKS`], the assets themselves, unasked.
const CHUNKS_VARIABLE: &str = "CHUNKS";
const OPEN_CHUNKS: &str = "assets";

/// Variable that names the preview this Worker is, if it is one.
const PREVIEW_VARIABLE: &str = "PREVIEW";

thread_local! {
    /// Outlives requests, as long as the isolate does: its configuration never changes.
    static SERVICE: OnceCell<Rc<Service>> = const { OnceCell::new() };
}

#[wasm_bindgen(module = "/src/bridge.js")]
extern "C" {
    fn describe(request: &web_sys::Request) -> String;
    fn header(request: &web_sys::Request, name: &str) -> Option<String>;
}

/// Answers every request that no static asset answers.
///
/// # Errors
/// The platform's, which it answers with status 500.
#[wasm_bindgen]
pub async fn answer(request: web_sys::Request, env: Env) -> Result<web_sys::Response, JsValue> {
    let service = SERVICE.with(|service| Rc::clone(service.get_or_init(|| Rc::new(service_of(&env)))));
    let line = describe(&request);
    let (method, path) = line.split_once(' ').unwrap_or_default();
    let headers = |name: &str| header(&request, name);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(Date::now().as_millis());
    let request = Request { method, path, headers: &headers, now };
    send(service.answer(&request).await)
}

/// What a client gets, so that the cache in front of [`answer`] keeps two variants of a chunk instead of one for every
/// spelling of `Accept-Encoding`.
#[wasm_bindgen]
#[must_use]
pub fn chosen_encoding(request: &web_sys::Request) -> String {
    match negotiate(header(request, "accept-encoding").as_deref()) {
        Encoding::Brotli => "br".into(),
        Encoding::Identity => "identity".into(),
    }
}

fn service_of(env: &Env) -> Service {
    let cors = env.var(CORS_VARIABLE).map(|origins| origins.to_string()).unwrap_or_default();
    let preview = env.var(PREVIEW_VARIABLE).map(|name| name.to_string()).unwrap_or_default();
    let variable = env.var(ACCESS_VARIABLE).map(|value| value.to_string()).ok();
    let secret = env.secret(ACCESS_SECRET).map(|value| value.to_string()).ok();
    let are_chunks_open = env.var(CHUNKS_VARIABLE).is_ok_and(|value| value.to_string() == OPEN_CHUNKS);
    let access = Access::of_configuration(variable.as_deref(), secret.as_deref(), &preview, are_chunks_open);
    let storage = Preview::of(&preview, storage::of_environment(env));
    Service { storage, memory: Rc::default(), access, cors: Policy::parse(&cors) }
}
