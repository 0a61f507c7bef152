//! `edgebox pack`: a raw image becomes chunks, index and manifest.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use disk::ImageConfig;
use disk::codec::Quality;
use disk::layout::CHUNK_BYTES;
use disk::manifest::is_image_name;

use crate::pack::{Packed, Store};
use crate::paths::Paths;
use crate::profile;
use crate::progress::Progress;

/// How chunks are made.
#[derive(clap::Args, Clone, Debug)]
pub struct PackOptions {
    /// Brotli's level, 0 to 11: 5 is quick, 11 is for deployment.
    #[arg(long, value_name = "LEVEL", default_value_t = 5)]
    pub quality: u32,
    /// KiB in a chunk: a power of two.
    #[arg(long, value_name = "KIB", default_value_t = CHUNK_BYTES >> 10)]
    pub chunk_kib: u32,
    /// Don't boot the image to see what visitors will need first.
    #[arg(long)]
    pub no_profile: bool,
}

impl PackOptions {
    pub fn quality(&self) -> Result<Quality> {
        Quality::new(self.quality).with_context(|| format!("brotli has levels 0 to 11, not {}", self.quality))
    }

    pub fn chunk_bytes(&self) -> u32 {
        self.chunk_kib.saturating_mul(1024)
    }
}

/// Cut an ext2 image that was made elsewhere into chunks.
#[derive(clap::Args, Debug)]
pub struct PackArgs {
    /// The raw image.
    pub image: PathBuf,
    /// The image's name.
    #[arg(short = 't', long = "tag", value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub options: PackOptions,
}

pub fn run(paths: &Paths, args: &PackArgs) -> Result<()> {
    if !is_image_name(&args.name) {
        bail!("{:?} can't name an image: use lower-case letters, digits, '-', '_' and '.'", args.name);
    }
    let (chunk_bytes, quality) = (args.options.chunk_bytes(), args.options.quality()?);
    let store = Store::new(paths.disk());
    let config = ImageConfig::default();
    let packed = store.pack(&args.image, &args.name, config, chunk_bytes, quality, &Progress::new())?;
    report(&args.name, packed);
    if !args.options.no_profile {
        profile::add(&store, &args.name, &args.image);
    }
    Ok(())
}

/// Says what packing did.
pub fn report(name: &str, packed: Packed) {
    let Packed { chunks, new_chunks, new_bytes } = packed;
    eprintln!("image {name}: {chunks} chunks, {new_chunks} of them new ({:.1} MB)", new_bytes as f64 / 1e6);
}
