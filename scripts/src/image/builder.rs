//! `Builder`: docker, podman or buildah, whichever is here and works.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::platform::Platform;
use crate::command::Cmd;
use crate::tools;

/// Where reproducible builds have their time from, in seconds since 1970 (reproducible-builds.org). Layers that are built
/// again have it as the time of all their files; so the same commands give the same layers.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// A program that builds Dockerfiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Builder {
    Docker,
    Podman,
    /// Needs neither a daemon nor namespaces, so it works inside containers and CI.
    Buildah {
        /// How it stores layers: its own choice, or plain copies where that fails.
        uses_vfs: bool,
    },
}

/// In the order of preference: whoever runs docker or podman has base images there already.
const CANDIDATES: [Builder; 4] =
    [Builder::Docker, Builder::Podman, Builder::Buildah { uses_vfs: false }, Builder::Buildah { uses_vfs: true }];

impl Builder {
    /// The first one that answers; buildah is installed if there is none.
    pub fn find() -> Result<Self> {
        let is_usable = |builder: &&Builder| builder.command("info").is_success();
        if let Some(builder) = CANDIDATES.iter().find(is_usable) {
            return Ok(*builder);
        }
        tools::ensure_debian_package("buildah", "buildah")?;
        let found = CANDIDATES.iter().find(is_usable);
        found.copied().context("docker, podman and buildah are all unusable here; `buildah info` says why")
    }

    fn program(self) -> &'static str {
        match self {
            Builder::Docker => "docker",
            Builder::Podman => "podman",
            Builder::Buildah { .. } => "buildah",
        }
    }

    fn command(self, subcommand: &str) -> Cmd {
        let command = Cmd::new(self.program()).arg(subcommand);
        match self {
            Builder::Buildah { uses_vfs: true } => command.env("STORAGE_DRIVER", "vfs"),
            _ => command,
        }
    }

    /// Whether an image of this name is stored locally.
    pub fn has_image(self, name: &str) -> bool {
        match self {
            Builder::Docker | Builder::Podman => self.command("image").args(["inspect", name]).is_success(),
            Builder::Buildah { .. } => self.command("inspect").args(["--type", "image", name]).is_success(),
        }
    }

    /// Tries to pull `name` from its registry.
    pub fn pull(self, name: &str) -> bool {
        // The host may be something else.
        let command = self.command("pull").args(["--platform", Platform::of_image(name).name()]);
        match self {
            // It retries for ten seconds by itself, for a registry that is not there.
            Builder::Buildah { .. } => command.args(["--retry", "0", name]).is_success(),
            _ => command.arg(name).is_success(),
        }
    }

    /// Stores the root file system in `tar` as the image `name`.
    pub fn import(self, tar: &Path, name: &str, shell: &str) -> Result<()> {
        if let Builder::Docker | Builder::Podman = self {
            let change = format!("CMD [\"{shell}\"]");
            return self.command("import").args(["--change", &change]).path(tar).arg(name).run();
        }
        let container = self.command("from").arg("scratch").output()?;
        let container = container.trim();
        let outcome = self.fill_container(container, tar, name, shell);
        self.command("rm").arg(container).output()?;
        outcome
    }

    fn fill_container(self, container: &str, tar: &Path, name: &str, shell: &str) -> Result<()> {
        self.command("add").args(["--quiet", container]).path(tar).arg("/").output()?;
        // The root directory of a container from scratch is not writable, unlike everybody else's.
        let mounted = self.command("mount").arg(container).output()?;
        Cmd::new("chmod").args(["0755", mounted.trim()]).run()?;
        self.command("umount").arg(container).output()?;
        let cmd = format!("[\"{shell}\"]");
        let arch = Platform::of_image(name).architecture();
        self.command("config").args(["--os", "linux", "--arch", arch, "--cmd", &cmd, container]).output()?;
        self.command("commit").args(["--quiet", container, name]).output()?;
        Ok(())
    }

    /// Builds a Dockerfile whose base images are all here.
    pub fn build(self, dockerfile: &Path, context: &Path, tag: &str, platform: Platform) -> Result<()> {
        let command = self.command("build").args(["--platform", platform.name(), "--tag", tag]);
        let command = command.arg("--file").path(dockerfile);
        let command = match self {
            Builder::Docker => command,
            Builder::Podman => command.args(["--pull=never"]),
            // Caches the outcome of every line, as the others do by default.
            Builder::Buildah { .. } => command.args(["--isolation", "chroot", "--layers", "--pull-never"]),
        };
        let command = match (self, std::env::var(SOURCE_DATE_EPOCH)) {
            (_, Err(_)) => command,
            // Takes it from there by itself, for the times it notes; those of files are the commands' own business.
            (Builder::Docker, Ok(time)) => command.args(["--build-arg", &format!("{SOURCE_DATE_EPOCH}={time}")]),
            (_, Ok(time)) => command.args(["--timestamp", &time]),
        };
        command.path(context).run_aside().with_context(|| format!("building {}", dockerfile.display()))
    }

    /// Writes image `tag` as an archive.
    pub fn save(self, tag: &str, archive: &Path) -> Result<()> {
        match self {
            Builder::Docker | Builder::Podman => self.command("save").arg("--output").path(archive).arg(tag).run(),
            Builder::Buildah { .. } => {
                let Some(path) = archive.to_str() else { bail!("{} is not UTF-8", archive.display()) };
                let destination = format!("docker-archive:{path}:{tag}");
                self.command("push").args(["--quiet", tag, &destination]).output().map(drop)
            }
        }
    }
}
