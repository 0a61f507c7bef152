//! Base images that can't be pulled: bootstrapped from the distribution's packages, or given as a tar file, and
//! stored under the very name the Dockerfile asks for.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::builder::Builder;
use super::platform::Platform;
use crate::command::Cmd;
use crate::progress;
use crate::tools;

/// A root file system the user supplies for an image name: `--base NAME=TAR`.
#[derive(Clone, Debug)]
pub struct Supplied {
    pub name: String,
    pub tar: PathBuf,
}

impl std::str::FromStr for Supplied {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, tar) = text.split_once('=').context("expected NAME=TAR, as in alpine:3.20=rootfs.tar.gz")?;
        Ok(Supplied { name: name.into(), tar: tar.into() })
    }
}

/// Sees to it that every image `dockerfile` builds upon is stored locally, and says what they are for. New ones are
/// made below `scratch`.
pub fn ensure_all(builder: Builder, dockerfile: &str, supplied: &[Supplied], scratch: &Path) -> Result<Platform> {
    for base in supplied {
        builder.import(&base.tar, &base.name, "/bin/sh").with_context(|| format!("importing {}", base.name))?;
    }
    let mut platform = Platform::Amd64;
    for name in external_images(dockerfile) {
        // The last one is what the image consists of; others may only give files.
        platform = Platform::of_image(&name);
        if builder.has_image(&name) {
            continue;
        }
        let pulled = {
            let _spinner = progress::spinner(&format!("pulling {name}"));
            builder.pull(&name)
        };
        if !pulled {
            bootstrap(builder, &name, scratch)?;
        }
    }
    Ok(platform)
}

/// The images a Dockerfile starts from or copies from, without those it makes itself.
fn external_images(dockerfile: &str) -> Vec<String> {
    let mut stages = HashSet::from(["scratch".to_owned()]);
    let mut images = Vec::new();
    for line in dockerfile.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--platform=")).collect();
        match words.as_slice() {
            [from, image, rest @ ..] if from.eq_ignore_ascii_case("FROM") => {
                let is_stage = stages.contains(&image.to_ascii_lowercase());
                if !is_stage && !image.contains('$') && !images.iter().any(|known| known == image) {
                    images.push((*image).to_owned());
                }
                if let [as_word, stage] = rest
                    && as_word.eq_ignore_ascii_case("AS")
                {
                    stages.insert(stage.to_ascii_lowercase());
                }
            }
            _ => {}
        }
    }
    images
}

fn bootstrap(builder: Builder, name: &str, scratch: &Path) -> Result<()> {
    let Some(recipe) = Recipe::of(name) else {
        bail!(
            "the base image {name} is not here, can't be pulled, and edgebox can't make it from packages: supply its \
             root file system with --base {name}=TAR"
        );
    };
    eprintln!("{name} can't be pulled: making it from {}'s packages", recipe.suite);
    tools::ensure_debian_package("mmdebstrap", "mmdebstrap")?;
    let platform = Platform::of_image(name);
    if platform != Platform::Amd64 {
        // By which mmdebstrap finds out that this machine runs it.
        tools::ensure_debian_package("arch-test", "arch-test")?;
    }
    let tar = scratch.join(format!("{}.tar", recipe.suite));
    {
        let _spinner = progress::spinner(&format!("bootstrapping {name} (a minute or two)"));
        let make = |options| recipe.command(platform, options).path(&tar).output();
        if let Err(error) = make(&[]) {
            eprintln!("{error:#}\nonce more, without the archive of security updates");
            make(&[WITHOUT_SECURITY_UPDATES]).context("mmdebstrap")?;
        }
    }
    let imported = builder.import(&tar, name, "bash");
    std::fs::remove_file(&tar)?;
    imported
}

/// Takes the archive of security updates, whose index a mirror may have half copied, out of apt's sources.
const WITHOUT_SECURITY_UPDATES: &str =
    "--setup-hook=find \"$1/etc/apt\" -name '*.list' -exec sed --in-place /security/d {} +";

/// Makes /bin a link to /usr/bin from the start, as Docker's images have it. Without it a package does that, and that
/// package needs 50 MB of Perl.
const MERGED_USR_HOOK: &str = "/usr/share/mmdebstrap/hooks/maybe-merged-usr";

/// What Docker's own slim images leave out.
const SLIM_OPTIONS: [&str; 7] = [
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/lintian/*",
    "--dpkgopt=path-exclude=/usr/share/groff/*",
];

/// How a Debian base image comes about.
#[derive(PartialEq, Eq, Debug)]
struct Recipe {
    suite: String,
    is_slim: bool,
}

impl Recipe {
    fn of(image: &str) -> Option<Self> {
        let image = image.strip_prefix("docker.io/").unwrap_or(image);
        let image = ["library/", "i386/"].iter().find_map(|prefix| image.strip_prefix(prefix)).unwrap_or(image);
        let (repository, tag) = image.split_once(':').unwrap_or((image, "latest"));
        if repository != "debian" {
            return None;
        }
        let (version, is_slim) = match tag.strip_suffix("-slim") {
            Some(version) => (version, true),
            None => (tag, false),
        };
        let suite = match version {
            "latest" => "stable",
            "12" => "bookworm",
            "13" => "trixie",
            name if name.bytes().all(|byte| byte.is_ascii_lowercase()) => name,
            _ => return None,
        };
        Some(Recipe { suite: suite.into(), is_slim })
    }

    /// What makes it, but for where to; `options` come first.
    fn command(&self, platform: Platform, options: &[&str]) -> Cmd {
        let architectures = format!("--architectures={}", platform.debian_architecture());
        let mut command = Cmd::new("mmdebstrap").args(["--quiet", "--variant=minbase", &architectures]);
        command = command.args(options.iter().copied());
        if self.is_slim {
            command = command.args(SLIM_OPTIONS);
        }
        // It reads apt's sources: whatever is to change them comes first.
        if Path::new(MERGED_USR_HOOK).is_dir() {
            command = command.arg(&format!("--hook-dir={MERGED_USR_HOOK}"));
        }
        command.arg(&self.suite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_from_elsewhere_are_needed() {
        let dockerfile = "# FROM comment\nFROM --platform=linux/amd64 debian:bookworm AS build\nRUN x\n\
                          from scratch\nFROM build as second\nFROM Alpine:3\nFROM debian:bookworm\nFROM $ARG\n";
        assert_eq!(external_images(dockerfile), ["debian:bookworm", "Alpine:3"]);
    }

    #[test]
    fn recipes() {
        let recipe = |image| Recipe::of(image).map(|recipe| (recipe.suite, recipe.is_slim));
        assert_eq!(recipe("debian:bookworm-slim"), Some(("bookworm".into(), true)));
        assert_eq!(recipe("docker.io/library/debian:13"), Some(("trixie".into(), false)));
        assert_eq!(recipe("i386/debian:bookworm-slim"), Some(("bookworm".into(), true)));
        assert_eq!(recipe("debian"), Some(("stable".into(), false)));
        assert_eq!(recipe("debian:bookworm-20240101"), None);
        assert_eq!(recipe("alpine:3.20"), None);
    }
}
