//! edgebox at the edge: the Worker that hands out disks.
//!
//! Page and engine are static assets, which the platform serves without running any of this (`site/_headers` gives
//! them their headers). What remains is `/disk/…`: chunks, manifests, and raw images put together from chunks.
//!
//! | module | subject |
//! |---|---|
//! | [`service`] | from a request to an answer |
//! | [`request`], [`answer`] | both, as far as they matter here |
//! | [`route`] | what a method and a path ask for |
//! | [`access`] | who may read, where not everybody may |
//! | [`chunk`] | chunks and index pages: brotli passed through untouched, cached forever |
//! | [`manifest`] | manifests: asked for again every time |
//! | [`image`] | raw images by ranges |
//! | [`conditions`], [`range`], [`encoding`] | what a client has already, which part it wants, what it can decode |
//! | [`headers`], [`cors`] | what answers have in common; who may read them |
//! | [`refusal`] | why there is no answer |
//! | [`storage`] | an R2 bucket or static assets |
//! | `entry`, `send` | where requests come in and answers go out |
//!
//! All but the last line and the two storages know nothing of the platform and are tested natively.
//!
//! **Invariants:** nothing looks inside a chunk that is sent as it is stored: the client has its digest. What is
//! decoded here is verified here. A body that can't be completed is broken off, never ended.

pub mod access;
pub mod answer;
pub mod chunk;
pub mod conditions;
pub mod cors;
pub mod encoding;
pub mod headers;
pub mod image;
pub mod manifest;
pub mod range;
pub mod refusal;
pub mod request;
pub mod route;
pub mod service;
pub mod storage;

#[cfg(target_arch = "wasm32")]
mod entry;
#[cfg(target_arch = "wasm32")]
mod send;
