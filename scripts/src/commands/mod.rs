//! The tool's subcommands, one module each.

pub mod bench;
pub mod deploy;
pub mod dev;
pub mod export;
pub mod image;
pub mod pack;
pub mod test;
pub mod vm;
