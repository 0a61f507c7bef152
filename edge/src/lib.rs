//! edgebox at the edge: the Worker that hands out disks.
//!
//! Page and engine are static assets, which the platform serves without running any of this (`site/_headers` gives
//! them their headers). What remains is `/disk/…`, out of an R2 bucket.
//!
//! | module | subject |
//! |---|---|
//! | [`route`] | what a method and a path ask for |
//! | [`headers`] | headers of every kind of answer, conditional requests |
//! | [`refusal`] | 400, 404, 405, 503 |
//! | `entry` | where requests come in |
//! | `storage` | the bucket |
//! | `chunk` | chunks and index pages: brotli passed through untouched, cached forever |
//! | `manifest` | manifests: asked for again every time |
//!
//! The first three know nothing of the platform and are tested natively; the others exist on wasm32 only.
//!
//! **Invariant:** nothing here looks inside a chunk. The client verifies what it gets against the digest it asked for.

pub mod headers;
pub mod refusal;
pub mod route;

#[cfg(target_arch = "wasm32")]
mod chunk;
#[cfg(target_arch = "wasm32")]
mod entry;
#[cfg(target_arch = "wasm32")]
mod manifest;
#[cfg(target_arch = "wasm32")]
mod storage;
