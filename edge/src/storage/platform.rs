//! Which storage the Worker's configuration names, and reading the platform's streams.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use disk::codec::DecodeError;
use futures_util::future;
use worker::js_sys::{ArrayBuffer, Uint8Array};
use worker::wasm_bindgen::{self, JsCast, JsValue, prelude::wasm_bindgen};
use worker::wasm_bindgen_futures::JsFuture;
use worker::web_sys::{ReadableStream, Response};
use worker::{Date, Env};

use super::assets::Assets;
use super::r2::R2;
use super::{Failure, Fetched, Key, Meta, Object, Storage};

/// Variable that names the storage, `r2` or `assets`; without it, the bucket is used if there is one.
const VARIABLE: &str = "STORAGE";

/// The storage of this Worker. A configuration without one is a storage that always fails, and says why.
pub fn of_environment(env: &Env) -> Rc<dyn Storage> {
    let name = env.var(VARIABLE).map(|name| name.to_string()).unwrap_or_default();
    let (r2, assets) = (|| R2::of_environment(env), || Assets::of_environment(env));
    let found: Option<Rc<dyn Storage>> = match name.as_str() {
        "r2" => r2().map(|storage| Rc::new(storage) as _),
        "assets" => assets().map(|storage| Rc::new(storage) as _),
        "" => r2().map(|storage| Rc::new(storage) as _).or_else(|| assets().map(|storage| Rc::new(storage) as _)),
        _ => None,
    };
    found.unwrap_or_else(|| Rc::new(Missing(format!("this Worker has no storage: {VARIABLE} is {name:?}"))))
}

/// What there is instead of a storage.
struct Missing(String);

impl Storage for Missing {
    fn get<'a>(&'a self, _key: Key<'a>) -> Fetched<'a, Object> {
        Box::pin(future::ready(Err(Failure(self.0.clone()))))
    }

    fn head<'a>(&'a self, _key: Key<'a>) -> Fetched<'a, Meta> {
        Box::pin(future::ready(Err(Failure(self.0.clone()))))
    }
}

impl From<worker::Error> for Failure {
    fn from(error: worker::Error) -> Self {
        worker::console_error!("{error}");
        Failure(error.to_string())
    }
}

/// What the platform has thrown.
pub fn failure(error: JsValue) -> Failure {
    worker::Error::from(error).into()
}

/// Reads a stream to its end.
pub async fn read(stream: &ReadableStream) -> Result<Vec<u8>, Failure> {
    Ok(Uint8Array::new(buffer(stream).await?.as_ref()).to_vec())
}

#[wasm_bindgen(module = "/src/bridge.js")]
extern "C" {
    #[wasm_bindgen(js_name = decode)]
    fn decode_brotli(bytes: &ArrayBuffer, limit: u32) -> JsValue;
}

/// Reads a stream of brotli to its end and decodes it, if it is not longer than `encoded_max`, to at most `limit_bytes`.
pub async fn decode(
    stream: &ReadableStream,
    encoded_max: u64,
    limit_bytes: usize,
) -> Result<Result<Vec<u8>, DecodeError>, Failure> {
    let bytes = buffer(stream).await?;
    if u64::from(bytes.byte_length()) > encoded_max {
        return Ok(Err(DecodeError::TooLong { limit_bytes }));
    }
    let decoded = decode_brotli(&bytes, u32::try_from(limit_bytes).unwrap_or(u32::MAX));
    Ok(match decoded.dyn_into::<Uint8Array>() {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(is_too_long) if is_too_long.is_truthy() => Err(DecodeError::TooLong { limit_bytes }),
        Err(_) => Err(DecodeError::Corrupt),
    })
}

/// The platform collects a body much faster than a loop over its parts here would.
async fn buffer(stream: &ReadableStream) -> Result<ArrayBuffer, Failure> {
    let buffer = Response::new_with_opt_readable_stream(Some(stream)).and_then(|response| response.array_buffer());
    Ok(JsFuture::from(buffer.map_err(failure)?).await.map_err(failure)?.unchecked_into())
}

/// A date in whole seconds, as HTTP has it.
pub fn whole_seconds(date: &Date) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(date.as_millis() / 1000)
}
