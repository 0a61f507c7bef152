//! edgebox at the edge: the Worker that hands out disks.
//!
//! Page and engine are static assets, which the platform serves without running any of this (`site/_headers` gives
//! them their headers). What remains is `/disk/…`, out of an R2 bucket.
//!
//! | module | subject |
//! |---|---|
//! | [`route`] | what a method and a path ask for (pure) |
//! | [`headers`] | headers of every kind of answer, conditional requests (pure) |
//! | [`storage`] | the bucket |
//! | [`chunk`] | chunks and index pages: brotli passed through untouched, cached forever |
//! | [`manifest`] | manifests: asked for again every time |
//! | [`refusal`] | 400, 404, 405, 500 |
//!
//! **Invariant:** nothing here looks inside a chunk. The client verifies what it gets against the digest it asked for.

pub mod chunk;
pub mod headers;
pub mod manifest;
pub mod refusal;
pub mod route;
pub mod storage;

use worker::{Context, Env, Request, Response, Result, event};

use route::Route;
use storage::Storage;

/// Answers every request that no static asset answers.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let if_none_match = request.headers().get("if-none-match")?;
    let outcome = match Route::parse(request.method().as_ref(), &request.path()) {
        Err(refusal) => Err(refusal),
        Ok(Route::Chunk(digest)) => chunk::answer(&Storage::new(&env), &digest, if_none_match.as_deref()).await,
        Ok(Route::Manifest(name)) => manifest::answer(&Storage::new(&env), name, if_none_match.as_deref()).await,
    };
    outcome.or_else(|refusal| refusal.to_response())
}
