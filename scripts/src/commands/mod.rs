//! The tool's subcommands, one module each.

pub mod image;
pub mod pack;
