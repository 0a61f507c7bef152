//! Deployment: images in a bucket, the Worker in an account, previews of branches.
//!
//! ```text
//! chunks/DIGEST            what images consist of, shared by all of them
//! manifests/NAME.json      images
//! previews/ALIAS/NAME.json images of a branch, for its preview
//! retired/DIGEST.json      manifests that were replaced, for those who have them open
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`bucket`] | objects in R2, the account's or a local stand-in |
//! | [`upload`] | what is missing, uploaded |
//! | [`alias`] | names for branches |
//! | [`garbage`] | what nothing names any more |
//! | [`token`] | tokens for private images |
//! | [`account`] | what wrangler does in the account |

pub mod account;
pub mod alias;
pub mod bucket;
pub mod garbage;
pub mod token;
pub mod upload;
