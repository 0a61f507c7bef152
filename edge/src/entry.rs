//! Where requests come in.

use worker::{Context, Env, Request, Response, Result, event};

use crate::headers::{CACHE_NEVER, ISOLATION};
use crate::refusal::Refusal;
use crate::route::Route;
use crate::storage::Storage;
use crate::{chunk, manifest};

/// Answers every request that no static asset answers.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let if_none_match = request.headers().get("if-none-match")?;
    let outcome = match Route::parse(request.method().as_ref(), &request.path()) {
        Err(refusal) => Err(refusal),
        Ok(Route::Chunk(digest)) => chunk::answer(&Storage::new(&env), &digest, if_none_match.as_deref()).await,
        Ok(Route::Manifest(name)) => manifest::answer(&Storage::new(&env), name, if_none_match.as_deref()).await,
    };
    outcome.or_else(|refusal| refuse(&refusal))
}

fn refuse(refusal: &Refusal) -> Result<Response> {
    let mut response = Response::builder().with_status(refusal.status());
    for (name, value) in ISOLATION.into_iter().chain([CACHE_NEVER, ("content-type", "text/plain; charset=utf-8")]) {
        response = response.with_header(name, value)?;
    }
    if *refusal == Refusal::MethodNotAllowed {
        response = response.with_header("allow", "GET, HEAD")?;
    }
    Ok(response.fixed(format!("{}\n", refusal.text()).into_bytes()))
}

impl From<worker::Error> for Refusal {
    fn from(error: worker::Error) -> Self {
        worker::console_error!("{error}");
        Refusal::Storage("The disk's storage does not answer. Try again.".into())
    }
}
