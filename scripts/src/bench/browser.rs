//! Programs run in Chromium: `bench.mjs` answers requests, one line each.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::task::{CpuTime, complaint};
use crate::command::Cmd;

/// A browser with a page, and its machine.
pub struct Browser {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// What a program in the browser left.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    pub status: i32,
    pub stdout: String,
    #[serde(default)]
    pub stderr: String,
    /// On the page's clock.
    pub wall_ms: f64,
    pub cpu: CpuTime,
    /// From one READY to the next.
    #[serde(default)]
    pub steps: Vec<CpuTime>,
}

impl Outcome {
    /// What it printed, if it succeeded.
    pub fn text(&self) -> Result<&str> {
        if self.status != 0 {
            bail!("status {}: {}", self.status, complaint(&self.stderr));
        }
        Ok(&self.stdout)
    }
}

impl Browser {
    /// Starts `script`, which is `bench.mjs` and its argument.
    pub fn start(script: &Cmd) -> Result<Self> {
        let mut command = script.to_command();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("running node")?;
        let (requests, stdout) = (child.stdin.take(), child.stdout.take());
        Ok(Browser { child, requests, answers: BufReader::new(stdout.context("no pipe to node")?) })
    }

    /// A fresh page.
    pub fn open(&mut self) -> Result<()> {
        self.ask(&json!({"do": "open"})).map(drop)
    }

    pub fn version(&mut self) -> Result<String> {
        let answer = self.ask(&json!({"do": "version"}))?;
        Ok(answer["version"].as_str().unwrap_or_default().into())
    }

    /// Runs a program in the machine, which gets staged `files` first.
    pub fn run(&mut self, argv: &[&str], files: &[String]) -> Result<Outcome> {
        let answer = self.ask(&json!({"do": "run", "argv": argv, "files": files}))?;
        serde_json::from_value(answer).context("bench.mjs answered something else")
    }

    /// Runs a staged WASI program.
    pub fn run_wasm(&mut self, file: &str, args: &[&str]) -> Result<Outcome> {
        let answer = self.ask(&json!({"do": "wasm", "file": file, "args": args}))?;
        serde_json::from_value(answer).context("bench.mjs answered something else")
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        let requests = self.requests.as_mut().context("the browser has ended")?;
        writeln!(requests, "{request}").context("bench.mjs has ended")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).context("bench.mjs has ended")?;
        match answer["error"].as_str() {
            Some(error) => bail!("{error}"),
            None => Ok(answer),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its input is how it knows.
        self.requests = None;
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes() {
        let text = r#"{"status":4,"stdout":"","wallMs":1,"cpu":{"ownMs":2,"allMs":3},"stderr":"no\nmore"}"#;
        let outcome: Outcome = serde_json::from_str(text).unwrap();
        assert_eq!(outcome.cpu, CpuTime { own_ms: 2.0, all_ms: 3.0 });
        assert_eq!(outcome.text().unwrap_err().to_string(), "status 4: no");
    }

    #[test]
    fn answers_and_errors() {
        let script = r#"read a; echo '{"version":"7"}'; read b; echo '{"error":"it broke"}'"#;
        let mut browser = Browser::start(&Cmd::new("/bin/sh").args(["-c", script])).unwrap();
        assert_eq!(browser.version().unwrap(), "7");
        assert_eq!(browser.open().unwrap_err().to_string(), "it broke");
        assert!(browser.open().unwrap_err().to_string().contains("has ended"));
    }
}
