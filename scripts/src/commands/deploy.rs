//! `edgebox deploy`: everything built, uploaded and deployed; previews of branches; garbage.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

use super::image::{self, ImageArgs};
use crate::deploy::account;
use crate::deploy::alias::Alias;
use crate::deploy::bucket::{Bucket, Place};
use crate::deploy::garbage;
use crate::deploy::token;
use crate::deploy::upload::{PREVIEWS, Plan, retire};
use crate::node::Node;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::{server, site};

/// Build, upload what the bucket lacks, and deploy the Worker; or a preview of a branch. Prints the address.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeployArgs {
    #[command(subcommand)]
    pub action: Option<Action>,
    /// Images to go with it.
    #[arg(long = "image", value_name = "NAME", default_value = "default")]
    pub images: Vec<String>,
    /// Deploy as the preview of this branch: at an address of its own, with these images for it alone.
    #[arg(long, value_name = "BRANCH")]
    pub preview: Option<String>,
    /// Brotli's level for chunks that were not compressed before, 0 to 11.
    #[arg(long, value_name = "LEVEL", default_value_t = 5)]
    pub quality: u32,
    #[command(flatten)]
    pub target: Target,
}

/// Whatever else there is to do with a deployment.
#[derive(clap::Subcommand, Debug)]
pub enum Action {
    Gc(GcArgs),
    Forget(ForgetArgs),
    Token(TokenArgs),
}

/// Delete what no manifest names any more. Don't run it while something is uploaded.
#[derive(clap::Args, Debug)]
pub struct GcArgs {
    /// Days for which manifests that were replaced count, for those who still have them open, and for which objects that
    /// nothing names are kept.
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    pub keep: u32,
    #[command(flatten)]
    pub target: Target,
}

/// Delete the preview of a branch, and its manifests.
#[derive(clap::Args, Debug)]
pub struct ForgetArgs {
    pub branch: String,
    #[command(flatten)]
    pub target: Target,
}

/// Make a token for a private deployment, signed with the key in the variable ACCESS_KEY, and print it.
#[derive(clap::Args, Debug)]
pub struct TokenArgs {
    /// The image it is for; all if none is named.
    #[arg(long, value_name = "NAME", default_value = "*", hide_default_value = true)]
    pub image: String,
    /// The branch whose preview it is for, instead of the deployment itself.
    #[arg(long, value_name = "BRANCH")]
    pub preview: Option<String>,
    /// How long it is valid: 30m, 12h, 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = token::duration)]
    pub lasts: Duration,
}

/// Where it goes, and whether.
#[derive(clap::Args, Debug)]
pub struct Target {
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Leave the account alone: take wrangler's local storage for its bucket, and deploy nothing.
    #[arg(long)]
    pub local: bool,
    /// Take wrangler's local storage in this directory for the account's bucket, as `wrangler dev --persist-to` does.
    #[arg(long, value_name = "DIR")]
    pub persist_to: Option<PathBuf>,
}

impl Target {
    fn place(&self, paths: &Paths) -> Result<Place> {
        Ok(match (&self.persist_to, self.local) {
            (Some(directory), _) => Place::Local(std::path::absolute(directory)?),
            (None, true) => Place::of_dev(paths),
            (None, false) => Place::Account,
        })
    }

    fn is_deployed(&self) -> bool {
        !self.local && !self.dry_run
    }
}

pub fn run(paths: &Paths, args: &DeployArgs) -> Result<()> {
    match &args.action {
        None => deploy(paths, args),
        Some(Action::Gc(args)) => collect_garbage(paths, args),
        Some(Action::Forget(args)) => forget(paths, args),
        Some(Action::Token(args)) => make_token(args),
    }
}

fn make_token(args: &TokenArgs) -> Result<()> {
    let secret = std::env::var("ACCESS_KEY").context(
        "there is no variable ACCESS_KEY: it must hold what the Worker's secret of that name does (README, \"Private images\")",
    )?;
    let preview = args.preview.as_deref().map(Alias::of_branch);
    let (token, expires) = token::make(&secret, preview.as_ref(), &args.image, args.lasts)?;
    let image = if args.image == "*" { String::new() } else { format!("?image={}", args.image) };
    let seconds = expires.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    eprintln!("valid until {seconds} (`date -d @{seconds}`); for a browser: https://your.box/{image}#access={token}");
    println!("{token}");
    Ok(())
}

fn deploy(paths: &Paths, args: &DeployArgs) -> Result<()> {
    let node = Node::ensure(paths)?;
    let place = args.target.place(paths)?;
    let preview = args.preview.as_deref().map(Alias::of_branch);
    if args.images.iter().any(|name| name == "default") {
        let mut default = ImageArgs::of_default(paths);
        default.pack.quality = args.quality;
        image::run(paths, &default)?;
    }
    let is_deployed = args.target.is_deployed();
    if is_deployed {
        server::build_worker(paths)?;
        site::build(paths, &node)?;
    }
    let mut bucket = Bucket::new(paths, &node, &place)?;
    if is_deployed {
        account::ensure_bucket(&node, &bucket.name()?)?;
    }
    let plan = Plan::new(&mut bucket, &paths.disk(), &args.images, preview.as_ref())?;
    eprintln!("{}", plan.summary());
    if args.target.dry_run {
        return Ok(());
    }
    plan.carry_out(&mut bucket, &Progress::new())?;
    drop(bucket);
    let addresses = match (&preview, is_deployed) {
        (_, false) => return Ok(()),
        (None, true) => account::deploy(&node)?,
        (Some(alias), true) => account::deploy_preview(&node, alias)?,
    };
    addresses.iter().for_each(|address| println!("{address}"));
    Ok(())
}

fn collect_garbage(paths: &Paths, args: &GcArgs) -> Result<()> {
    let mut bucket = Bucket::new(paths, &Node::ensure(paths)?, &args.target.place(paths)?)?;
    let keep = Duration::from_secs(u64::from(args.keep) * 24 * 60 * 60);
    let garbage = garbage::find(&mut bucket, keep, SystemTime::now())?;
    let (count, megabytes) = (garbage.keys.len(), garbage.bytes as f64 / 1e6);
    eprintln!("{count} objects are garbage ({megabytes:.2} MB), {} stay", garbage.kept);
    if args.target.dry_run { Ok(()) } else { bucket.delete(&garbage.keys) }
}

fn forget(paths: &Paths, args: &ForgetArgs) -> Result<()> {
    let node = Node::ensure(paths)?;
    let alias = Alias::of_branch(&args.branch);
    let mut bucket = Bucket::new(paths, &node, &args.target.place(paths)?)?;
    let prefix = format!("{PREVIEWS}{alias}/");
    let listed = bucket.list()?;
    let keys: Vec<_> = listed.into_iter().map(|object| object.key).filter(|key| key.starts_with(&prefix)).collect();
    eprintln!("the preview {alias} has {} manifests", keys.len());
    if args.target.dry_run {
        return Ok(());
    }
    keys.iter().try_for_each(|key| retire(&mut bucket, key))?;
    bucket.delete(&keys)?;
    if args.target.is_deployed()
        && let Err(error) = account::delete_preview(&node, &alias)
    {
        // A branch without a preview is the usual case where every branch that goes is forgotten.
        if keys.is_empty() {
            eprintln!("{error:#}");
        } else {
            bail!("the preview {alias} has no manifests any more, but is still there: {error:#}");
        }
    }
    Ok(())
}
