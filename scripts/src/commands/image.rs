//! `edgebox image`: a Dockerfile becomes an image the engine boots.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use disk::ImageConfig;
use disk::directory::manifest_path;
use disk::manifest::is_image_name;

use super::pack::PackOptions;
use crate::ext2::{self, FreeSpace};
use crate::image::base::{self, Supplied};
use crate::image::builder::Builder;
use crate::image::fingerprint::Fingerprint;
use crate::image::platform::Platform;
use crate::image::tree::Tree;
use crate::image::{archive, directory, runtime_files};
use crate::pack::Store;
use crate::paths::Paths;
use crate::profile;
use crate::progress::{self, Progress};

/// Build an image from a Dockerfile, a saved image or a directory.
#[derive(clap::Args, Debug)]
pub struct ImageArgs {
    /// A Dockerfile; an archive as `docker save` writes it or an OCI archive (*.tar, *.tar.gz, *.tgz, *.tar.zst); a directory
    /// with an OCI layout or with a root file system.
    #[arg(default_value = "scripts/images/default.Dockerfile")]
    pub input: PathBuf,
    /// The image's name; by default NAME of NAME.Dockerfile, NAME.tar and so on.
    #[arg(short = 't', long = "tag", value_name = "NAME")]
    pub name: Option<String>,
    /// Directory that COPY and ADD take files from; by default the Dockerfile's.
    #[arg(long, value_name = "DIR")]
    pub context: Option<PathBuf>,
    /// Root file system for a base image that can't be pulled.
    #[arg(long = "base", value_name = "NAME=TAR")]
    pub bases: Vec<Supplied>,
    /// Which image of an archive that has several: linux/amd64 or linux/386. The first there is, if none is named. Dockerfiles
    /// decide by their base: `FROM i386/debian` is for linux/386.
    #[arg(long)]
    pub platform: Option<Platform>,
    /// Build even if nothing changed since the last time.
    #[arg(long)]
    pub force: bool,
    /// MiB the disk has free at least.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub free: u64,
    #[command(flatten)]
    pub pack: PackOptions,
}

impl ImageArgs {
    /// `edgebox image` without arguments, wherever it is run.
    pub fn of_default(paths: &Paths) -> Self {
        ImageArgs::of_project(paths, "default")
    }

    /// `edgebox image scripts/images/NAME.Dockerfile`.
    pub fn of_project(paths: &Paths, name: &str) -> Self {
        let input = paths.root().join(format!("scripts/images/{name}.Dockerfile"));
        ImageArgs { input, ..Self::parse_defaults() }
    }

    fn parse_defaults() -> Self {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            args: ImageArgs,
        }
        Defaults::parse_from(["image"]).args
    }

    /// `edgebox image DIR -t NAME`.
    pub fn of_directory(root: &Path, name: &str) -> Self {
        let mut args = ImageArgs { input: root.into(), name: Some(name.into()), ..ImageArgs::parse_defaults() };
        // It has no command of its own.
        args.pack.no_profile = true;
        args
    }
}

/// How names of archives end.
const ARCHIVE_ENDINGS: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".tar.zst"];

/// What an input is.
enum Input {
    Dockerfile,
    Archive,
    Directory,
}

pub fn run(paths: &Paths, args: &ImageArgs) -> Result<()> {
    let input = kind_of(&args.input)?;
    if args.platform.is_some() && !matches!(input, Input::Archive) {
        bail!(
            "--platform chooses an image of an archive; a Dockerfile's is for what its base is for (`FROM i386/debian`)"
        );
    }
    let name = name_of(args)?;
    let context = match (&args.context, &input) {
        (Some(context), _) => context.clone(),
        (None, Input::Dockerfile) => absolute(&args.input)?.parent().unwrap_or(Path::new("/")).into(),
        (None, _) => args.input.clone(),
    };
    let context = absolute(&context)?;
    let fingerprint = fingerprint(paths, args, &context)?;
    fs::create_dir_all(paths.images())?;
    let stamp = paths.stamp(&format!("image-{name}"))?;
    let is_done = fingerprint.is_at(&stamp) && paths.disk().join(manifest_path(&name)).exists();
    if is_done && !args.force {
        eprintln!("image {name} is up to date");
        return Ok(());
    }
    let scratch = tempfile::tempdir_in(paths.images())?;
    let (mut tree, mut config) = match input {
        Input::Directory => (directory::read(&args.input)?, ImageConfig::default()),
        Input::Archive => read_archive(&args.input, scratch.path(), args.platform)?,
        Input::Dockerfile => build(args, &name, &context, scratch.path())?,
    };
    runtime_files::add(&mut tree, &mut config)?;
    let raw_image = paths.raw_image(&name);
    let free = FreeSpace { min_bytes: args.free << 20, ..FreeSpace::default() };
    let progress = Progress::new();
    let size_bytes = ext2::write(&mut tree, &raw_image, free, &progress)?;
    eprintln!("image {name}: a disk of {} MiB, {}", size_bytes >> 20, raw_image.display());
    let store = Store::new(paths.disk());
    let packed = store.pack(&raw_image, &name, config, args.pack.chunk_bytes(), args.pack.quality()?, &progress)?;
    super::pack::report(&name, packed);
    if !args.pack.no_profile {
        profile::add(&store, &name, &raw_image);
    }
    fingerprint.write(&stamp)
}

fn kind_of(input: &Path) -> Result<Input> {
    let status = fs::metadata(input).with_context(|| input.display().to_string())?;
    let name = input.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok(if status.is_dir() {
        if archive::is_layout(input) { Input::Archive } else { Input::Directory }
    } else if ARCHIVE_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        Input::Archive
    } else {
        Input::Dockerfile
    })
}

fn name_of(args: &ImageArgs) -> Result<String> {
    let file = args.input.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = ARCHIVE_ENDINGS.iter().find_map(|ending| file.strip_suffix(ending));
    let stem = stem.or(Path::new(file).file_stem().and_then(|stem| stem.to_str())).unwrap_or_default();
    let name = match &args.name {
        Some(name) => name.clone(),
        None if stem == "Dockerfile" || stem.is_empty() => bail!("give the image a name: -t NAME"),
        None => stem.to_ascii_lowercase(),
    };
    if !is_image_name(&name) {
        bail!("{name:?} can't name an image: use lower-case letters, digits, '-', '_' and '.' (-t NAME)");
    }
    Ok(name)
}

fn fingerprint(paths: &Paths, args: &ImageArgs, context: &Path) -> Result<Fingerprint> {
    let mut fingerprint = Fingerprint::new();
    fingerprint.add_files(&args.input)?;
    fingerprint.add_files_except(context, &[paths.build(), &context.join(".git")])?;
    for base in &args.bases {
        fingerprint.add(base.name.as_bytes());
        fingerprint.add_files(&base.tar)?;
    }
    fingerprint.add(format!("{} {:?} {:?}", args.free, args.platform, args.pack).as_bytes());
    Ok(fingerprint)
}

/// Builders resolve relative paths against directories of their own.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| path.display().to_string())
}

fn build(args: &ImageArgs, name: &str, context: &Path, scratch: &Path) -> Result<(Tree, ImageConfig)> {
    let dockerfile = fs::read_to_string(&args.input).with_context(|| args.input.display().to_string())?;
    let builder = Builder::find()?;
    let platform = base::ensure_all(builder, &dockerfile, &args.bases, scratch)?;
    let tag = format!("edgebox/{name}:latest");
    builder.build(&args.input, context, &tag, platform)?;
    let archive = scratch.join("image.tar");
    {
        let _spinner = progress::spinner("saving the image's layers");
        builder.save(&tag, &archive)?;
    }
    read_archive(&archive, scratch, None)
}

fn read_archive(path: &Path, scratch: &Path, platform: Option<Platform>) -> Result<(Tree, ImageConfig)> {
    let image = archive::read(path, scratch, platform)?;
    Ok((image.tree, image.config))
}
