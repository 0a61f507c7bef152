//! `edgebox vm`: one command in the machine, headless.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{ValueEnum, builder::NonEmptyStringValueParser};
use disk::{BlockDevice, DirectorySource, Disk, ImageConfig, Manifest};
use vm::native::raw_disk::{self, RawDisk};
use vm::native::world::{Memories, World};
use vm::native::{hostdir::HostDir, runner};
use vm::{Machine, Program, root};

use super::image;
use crate::ext2::{self, FreeSpace};
use crate::image::directory;
use crate::node::Node;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::{site, tools};

/// Run one command in the machine: its streams, signals and exit status are this one's.
#[derive(clap::Args, Debug)]
pub struct VmArgs {
    /// The image it runs in.
    #[arg(long, value_name = "NAME", default_value = "default", conflicts_with = "root")]
    pub image: String,
    /// A directory to use as the root file system, instead of an image. What the guest writes stays in memory.
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// A directory of the host to be seen at a directory of the guest.
    #[arg(long = "bind", value_name = "HOSTDIR:GUESTDIR", value_parser = parse_bind)]
    pub binds: Vec<(PathBuf, String)>,
    /// Where the machine runs.
    #[arg(long, value_enum, default_value_t = HostKind::Native)]
    pub host: HostKind,
    /// What runs its instructions; if not given, `jit` in Chromium and `interp` natively.
    #[arg(long, value_enum)]
    pub engine: Option<EngineKind>,
    /// A variable for its environment.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub env: Vec<(String, String)>,
    /// Its working directory.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// Who runs it: NAME, UID, NAME:GROUP or UID:GID.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Log every system call to standard error.
    #[arg(long)]
    pub trace: bool,
    /// Print the machine's counters to standard error at the end, as JSON.
    #[arg(long)]
    pub stats: bool,
    /// Write the disk, with what the guest has changed, to a file when the command has ended: a raw ext2 image, which
    /// `./scripts/pack` takes, and `mount -o loop`. All that still runs is ended first.
    #[arg(long, value_name = "FILE")]
    pub save_disk: Option<PathBuf>,
    /// The command; without one, the image's own.
    #[arg(last = true, value_parser = NonEmptyStringValueParser::new())]
    pub command: Vec<String>,
}

/// Where the machine runs.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostKind {
    /// In this process.
    Native,
    /// In a headless Chromium.
    Chromium,
}

/// What runs its instructions.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineKind {
    /// The interpreter.
    Interp,
    /// The interpreter, and hot code as WebAssembly.
    Jit,
}

impl EngineKind {
    /// As options call it.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Interp => "interp",
            EngineKind::Jit => "jit",
        }
    }
}

fn parse_bind(text: &str) -> Result<(PathBuf, String), String> {
    let (host, guest) = text.split_once(':').ok_or("give it as HOSTDIR:GUESTDIR")?;
    if !guest.starts_with('/') {
        return Err(format!("{guest:?} is no absolute path in the guest"));
    }
    Ok((host.into(), guest.into()))
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give it as NAME=VALUE")?;
    Ok((name.into(), value.into()))
}

/// Runs the command; the result is its exit status.
pub fn run(paths: &Paths, args: &VmArgs) -> Result<i32> {
    match args.host {
        HostKind::Native => native(paths, args),
        HostKind::Chromium if args.save_disk.is_some() => bail!("--save-disk is for --host native"),
        HostKind::Chromium => chromium(paths, args),
    }
}

impl VmArgs {
    fn program(&self) -> Program {
        Program {
            argv: self.command.clone(),
            env: self.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            cwd: self.cwd.clone(),
            user: self.user.clone(),
            on_console: runner::has_terminal(),
        }
    }
}

// ---- native ----

fn engine(kind: EngineKind, start: Instant) -> Result<Box<dyn cpu::Engine>> {
    let time_stamp = move || start.elapsed().as_nanos() as u64;
    match kind {
        EngineKind::Interp => Ok(Box::new(cpu::Interpreter::new(Box::new(time_stamp)))),
        #[cfg(feature = "native-jit")]
        EngineKind::Jit => vm::native::jit(time_stamp).map_err(anyhow::Error::msg),
        #[cfg(not(feature = "native-jit"))]
        EngineKind::Jit => bail!("this edgebox was built without its native JIT: build it with --features native-jit"),
    }
}

fn native(paths: &Paths, args: &VmArgs) -> Result<i32> {
    let (device, config) = open_disk(paths, args)?;
    let Some(root) =
        root::mount(Box::new(device.clone()), &mut |line| eprintln!("edgebox: {line}")).map_err(anyhow::Error::msg)?
    else {
        bail!("the disk does not answer");
    };
    let start = Instant::now();
    let engine = engine(args.engine.unwrap_or(EngineKind::Interp), start)?;
    let (world, memories) = (Box::new(World::new(start)), Box::new(Memories::default()));
    let mut machine = Machine::new(world, memories, Box::new(root), "/dev/vda", config, engine);
    if let Err(stop) = machine.set_up() {
        bail!("setting the machine up: {stop:?}");
    }
    for (host, guest) in &args.binds {
        let directory = HostDir::new(host, false).with_context(|| host.display().to_string())?;
        if let Err(stop) = machine.mount(Box::new(directory), "hostdir", guest) {
            bail!("mounting {} at {guest}: {stop:?}", host.display());
        }
    }
    machine.kernel().traces_calls = args.trace;
    let status = runner::run(&mut machine, start, &args.program())?;
    if args.stats {
        let seconds = start.elapsed().as_secs_f64();
        let counters: String = machine.counters().iter().map(|(name, count)| format!(",\"{name}\":{count}")).collect();
        eprintln!("{{\"instructions\":{},\"runMs\":{:.1}{counters}}}", machine.instructions(), seconds * 1e3);
    }
    if let Some(file) = &args.save_disk {
        save_disk(&mut machine, &device, file)?;
    }
    Ok(status)
}

/// Shuts the machine down and writes its disk to a file.
fn save_disk(machine: &mut Machine, disk: &SharedDisk, path: &Path) -> Result<()> {
    if !machine.shut_down().context("writing what programs have left to the disk")? {
        bail!("the disk does not answer");
    }
    let file = File::create(path).with_context(|| path.display().to_string())?;
    raw_disk::write(&mut *disk.borrow_mut(), &file).with_context(|| format!("writing {}", path.display()))
}

/// The disk, which is the machine's while that runs.
type SharedDisk = Rc<RefCell<dyn BlockDevice>>;

fn open_disk(paths: &Paths, args: &VmArgs) -> Result<(SharedDisk, ImageConfig)> {
    if let Some(root) = &args.root {
        let config = ImageConfig { cmd: vec!["/bin/sh".into()], ..ImageConfig::default() };
        return Ok((Rc::new(RefCell::new(raw_of_directory(paths, root)?)), config));
    }
    let manifest = manifest(paths, &args.image)?;
    let disk = Disk::new(&manifest, DirectorySource::new(paths.disk()));
    Ok((Rc::new(RefCell::new(disk)), manifest.config))
}

/// The manifest of an image; the default one is built if it is not there.
fn manifest(paths: &Paths, name: &str) -> Result<Manifest> {
    let source = DirectorySource::new(paths.disk());
    if let Ok(manifest) = source.manifest(name) {
        return Ok(manifest);
    }
    if name != "default" {
        bail!("there is no image {name:?}: build it with ./scripts/image");
    }
    image::run(paths, &image::ImageArgs::of_default(paths))?;
    source.manifest(name).context("the image that was just built")
}

/// A disk with what a directory holds, made afresh: directories change without anyone telling. It is a file without a
/// name, so that nothing is left of it however this process ends.
fn raw_of_directory(paths: &Paths, root: &Path) -> Result<RawDisk> {
    std::fs::create_dir_all(paths.images())?;
    let mut tree = directory::read(root).with_context(|| root.display().to_string())?;
    let file = tempfile::tempfile_in(paths.images())?;
    let image = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    ext2::write(&mut tree, &image, FreeSpace::default(), &Progress::new())?;
    Ok(RawDisk::open(&image)?)
}

// ---- Chromium ----

fn chromium(paths: &Paths, args: &VmArgs) -> Result<i32> {
    let browser = tools::ensure_chromium()?;
    let node = Node::ensure(paths)?;
    site::build(paths, &node)?;
    let image = match &args.root {
        None => {
            manifest(paths, &args.image)?;
            args.image.clone()
        }
        Some(root) => pack_directory(paths, root)?,
    };
    let env: BTreeMap<_, _> = args.env.iter().cloned().collect();
    let binds: Vec<_> =
        args.binds.iter().map(|(host, guest)| serde_json::json!({"host": host, "guest": guest})).collect();
    let request = serde_json::json!({
        "site": paths.site(), "disk": paths.disk(), "chromium": browser, "image": image, "argv": args.command,
        "env": env, "cwd": args.cwd, "user": args.user, "tty": runner::has_terminal(),
        "binds": binds, "stats": args.stats,
        "engine": if args.engine == Some(EngineKind::Interp) { "interp" } else { "jit" },
    });
    let command = node.script(&paths.root().join("scripts/chromium.mjs")).arg(&request.to_string());
    // In this process's place, so that signals and the terminal are node's.
    Err(command.to_command().exec()).context("running node")
}

/// Packs a directory as an image of its own.
fn pack_directory(paths: &Paths, root: &Path) -> Result<String> {
    let name = "root-directory";
    image::run(paths, &image::ImageArgs::of_directory(root, name))?;
    Ok(name.into())
}
