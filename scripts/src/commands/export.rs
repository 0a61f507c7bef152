//! `edgebox export`: a directory that any host of plain files can serve.

use std::path::PathBuf;

use anyhow::Result;

use super::image::{self, ImageArgs};
use crate::node::Node;
use crate::paths::Paths;
use crate::{export, site};

/// Write everything a visitor needs to a directory, for any host of plain files: GitHub Pages, an nginx, the Worker's own
/// static assets.
#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    /// The directory; what it holds of an earlier export is replaced.
    pub directory: PathBuf,
    /// Images to go with it.
    #[arg(long = "image", value_name = "NAME", default_value = "default")]
    pub images: Vec<String>,
}

pub fn run(paths: &Paths, args: &ExportArgs) -> Result<()> {
    let node = Node::ensure(paths)?;
    site::build(paths, &node)?;
    if args.images.iter().any(|name| name == "default") {
        image::run(paths, &ImageArgs::of_default(paths))?;
    }
    let exported = export::export(&paths.site(), &paths.disk(), &args.images, &args.directory)?;
    let megabytes = exported.bytes as f64 / 1e6;
    println!("{}: {} files, {megabytes:.1} MB", args.directory.display(), exported.files);
    Ok(())
}
