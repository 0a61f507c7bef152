//! From a Dockerfile to an image the engine boots.
//!
//! ```text
//! Dockerfile ──builder──▶ archive of layers ──archive, layers──▶ Tree ──ext2──▶ raw image ──pack──▶ chunks + manifest
//! ```
//!
//! | module | subject |
//! |---|---|
//! | [`builder`] | docker, podman or buildah, whichever works here |
//! | [`base`] | base images that can't be pulled |
//! | [`platform`] | the processors images may be for |
//! | [`archive`] | what builders save: Docker's archives, OCI layouts |
//! | [`section`] | parts of files, and tar archives in them, read without trust |
//! | [`layers`] | applying layers, with their whiteouts |
//! | [`directory`] | a root file system that lies in a directory |
//! | [`tree`] | the root file system in memory |
//! | [`runtime_files`] | what a container's runtime would add |
//! | [`fingerprint`] | whether anything changed since the last time |

pub mod archive;
pub mod base;
pub mod builder;
pub mod directory;
pub mod fingerprint;
pub mod layers;
pub mod platform;
pub mod runtime_files;
pub mod section;
#[cfg(test)]
mod tests;
pub mod tree;
