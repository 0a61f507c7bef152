//! Programs the tool needs: found, or installed.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::Cmd;
use crate::progress;

/// Where `program` is on the search path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Whether `program` is on the search path.
fn is_installed(program: &str) -> bool {
    find(program).is_some()
}

/// Names the browser goes by.
const CHROMIUM_NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A Chromium, installed if there is none.
pub fn ensure_chromium() -> Result<PathBuf> {
    ensure_browser(&CHROMIUM_NAMES, "chromium")
}

/// Names Firefox goes by; Debian's follows the extended support releases.
const FIREFOX_NAMES: [&str; 2] = ["firefox-esr", "firefox"];

/// A Firefox, installed if there is none.
pub fn ensure_firefox() -> Result<PathBuf> {
    ensure_browser(&FIREFOX_NAMES, "firefox-esr")
}

/// A browser that goes by one of some names, from a package if there is none.
fn ensure_browser(names: &[&str], package: &str) -> Result<PathBuf> {
    let found = || names.iter().find_map(|name| find(name));
    if let Some(path) = found() {
        return Ok(path);
    }
    ensure_debian_package(package, package)?;
    found().with_context(|| format!("{package} was installed but can't be found"))
}

/// Locked as a whole while we install: tests and terminals run several of us at a time, and apt waits for itself only in
/// places (not while it fetches package lists). Its own locks are on files in here.
const PACKAGE_DATABASE: &str = "/var/lib/dpkg";

/// How long apt waits, in seconds, for others that install: a machine just started may be updating itself.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=300";

/// Sees to it that `program` can be run, installing `package` where Debian's package manager is there and may be
/// used; says what to do otherwise.
pub fn ensure_debian_package(program: &str, package: &str) -> Result<()> {
    if is_installed(program) {
        return Ok(());
    }
    install(program, package, &|| is_installed(program))
}

/// The same for a package that has no program but a file.
pub fn ensure_debian_file(file: &Path, package: &str) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    install(&file.display().to_string(), package, &|| file.exists())?;
    if !file.exists() {
        bail!("{} is not in the package {package}", file.display());
    }
    Ok(())
}

/// Sees to it that C programs can be compiled for i386.
pub fn ensure_i386_compiler() -> Result<()> {
    ensure_debian_package("gcc", "gcc")?;
    ensure_debian_file(Path::new("/usr/lib32/libc.a"), "gcc-multilib")
}

fn install(what: &str, package: &str, is_there: &dyn Fn() -> bool) -> Result<()> {
    if !is_installed("apt-get") {
        bail!("{what} is needed: install it with your package manager");
    }
    let apt = if rustix::process::geteuid().is_root() {
        Cmd::new("apt-get")
    } else if Cmd::new("sudo").args(["-n", "true"]).is_success() {
        Cmd::new("sudo").args(["-n", "apt-get"])
    } else {
        bail!("{what} is needed: `sudo apt-get install {package}`");
    };
    let _spinner = progress::spinner(&format!("installing {package}"));
    let database = File::open(PACKAGE_DATABASE).context(PACKAGE_DATABASE)?;
    database.lock().with_context(|| format!("locking {PACKAGE_DATABASE}"))?;
    if is_there() {
        return Ok(());
    }
    // Programs are wanted, not the services that packages start: none is in the runlevel for maintenance.
    let apt = apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    let install = apt.clone().args(["install", "-o", LOCK_TIMEOUT, "--yes", "--no-install-recommends", package]);
    // Package lists may be missing or stale; fetching them takes a while, so only then.
    if !install.is_success() {
        apt.arg("update").output().context("fetching package lists")?;
        install.output().with_context(|| format!("installing {package}"))?;
    }
    Ok(())
}
