//! `Cmd`: running other programs, with errors that say which one failed and what it said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
}

impl Cmd {
    pub fn new(program: impl Into<OsString>) -> Self {
        Cmd { program: program.into(), args: Vec::new(), env: Vec::new(), dir: None }
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(OsString::from));
        self
    }

    pub fn path(mut self, path: &Path) -> Self {
        self.args.push(path.into());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// As the standard library has it, for callers that do their own waiting.
    pub fn to_command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// Whether the program exists and succeeds; what it says is thrown away.
    pub fn is_success(&self) -> bool {
        let mut command = self.to_command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// Runs the program, its output going to ours.
    pub fn run(&self) -> Result<()> {
        let status = self.to_command().status().with_context(|| format!("can't run {}", self.name()))?;
        if !status.success() {
            bail!("{} failed ({status})", self.name());
        }
        Ok(())
    }

    /// Runs the program, what it prints going to our standard error: standard output may be somebody's data.
    pub fn run_aside(&self) -> Result<()> {
        let mut command = self.to_command();
        let status =
            command.stdout(std::io::stderr()).status().with_context(|| format!("can't run {}", self.name()))?;
        if !status.success() {
            bail!("{} failed ({status})", self.name());
        }
        Ok(())
    }

    /// Runs the program silently and returns what it printed; if it fails, the error has what it said.
    pub fn output(&self) -> Result<String> {
        let mut command = self.to_command();
        let output = command.stdin(Stdio::null()).output().with_context(|| format!("can't run {}", self.name()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            let said = [text(&output.stdout), text(&output.stderr)].concat();
            bail!("{} failed ({}):\n{}", self.name(), output.status, said.trim_end());
        }
        Ok(text(&output.stdout))
    }

    fn name(&self) -> String {
        let first = self.args.first().map(|arg| format!(" {}", arg.to_string_lossy())).unwrap_or_default();
        format!("`{}{first}`", self.program.to_string_lossy())
    }
}
