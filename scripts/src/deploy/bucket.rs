//! `Bucket`: objects in R2, the account's or wrangler's local stand-in, by way of `scripts/bucket.mjs`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};
use disk::{ChunkDigest, ChunkSource, Delivery, Encoding, Fetch, FetchError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::node::Node;
use crate::paths::Paths;
use crate::progress::Progress;

/// Keys deleted in one request, as R2 allows.
const DELETED_AT_ONCE_MAX: usize = 1000;

/// Which bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// The one `wrangler.toml` names, in the account that wrangler is logged in to.
    Account,
    /// Wrangler's local storage in this directory, which `wrangler dev --persist-to` serves from.
    Local(PathBuf),
}

impl Place {
    /// Where `wrangler dev` has its storage unless it is told otherwise.
    pub fn of_dev(paths: &Paths) -> Self {
        Place::Local(paths.root().join(".wrangler/state"))
    }
}

/// An object that is there.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Stored {
    pub key: String,
    pub size: u64,
    /// Milliseconds since 1970.
    pub uploaded_ms: u64,
}

/// An object to be put there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    pub key: String,
    pub path: PathBuf,
    pub size: u64,
}

/// A bucket. It is opened when it is asked for something; dropping it ends the process behind it.
pub struct Bucket {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    last_id: u64,
    scratch: tempfile::TempDir,
}

impl Bucket {
    pub fn new(paths: &Paths, node: &Node, place: &Place) -> Result<Self> {
        let script = node.script(&paths.root().join("scripts/bucket.mjs"));
        let script = match place {
            Place::Account => script.arg("remote"),
            Place::Local(directory) => script.arg("local").path(directory),
        };
        let script = script.env("WRANGLER_SEND_METRICS", "false").env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
        let mut command = script.to_command();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting Node.js")?;
        let answers = child.stdout.take().context("a pipe")?;
        let commands = child.stdin.take();
        Ok(Bucket { child, commands, answers: BufReader::new(answers), last_id: 0, scratch: tempfile::tempdir()? })
    }

    /// The bucket's name; it need not exist for that.
    pub fn name(&mut self) -> Result<String> {
        let answer = self.ask(json!({"do": "describe"}))?;
        Ok(answer["bucket"].as_str().context("a name")?.to_owned())
    }

    /// All objects.
    pub fn list(&mut self) -> Result<Vec<Stored>> {
        self.send(json!({"do": "list"}))?;
        let mut objects = Vec::new();
        loop {
            let answer = self.answer()?;
            if answer["end"] == true {
                return Ok(objects);
            }
            objects.push(serde_json::from_value(answer)?);
        }
    }

    /// An object's bytes, if there is one.
    pub fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        let path = self.scratch.path().join("object");
        let answer = self.ask(json!({"do": "get", "key": key, "path": path}))?;
        Ok(if answer["found"] == true { Some(std::fs::read(&path)?) } else { None })
    }

    /// Puts an object there.
    pub fn put(&mut self, key: &str, bytes: &[u8]) -> Result<()> {
        let path = self.scratch.path().join("object");
        std::fs::write(&path, bytes)?;
        self.ask(json!({"do": "put", "key": key, "path": path})).map(drop)
    }

    /// Puts many objects there, several at a time. One that fails does not keep the others from being put.
    pub fn put_all(&mut self, uploads: &[Upload], progress: &Progress) -> Result<()> {
        let first_id = self.last_id + 1;
        self.last_id += uploads.len() as u64;
        let mut pipe = self.commands.take().context("the bucket is closed")?;
        let write = move || {
            for (id, upload) in (first_id..).zip(uploads) {
                let command = json!({"id": id, "do": "put", "key": upload.key, "path": upload.path});
                // Whoever reads the answers finds out why.
                if writeln!(pipe, "{command}").is_err() {
                    break;
                }
            }
            pipe
        };
        let mut failures = Vec::new();
        let pipe = std::thread::scope(|scope| -> Result<ChildStdin> {
            let writer = scope.spawn(write);
            for _ in uploads {
                let line = next_answer(&mut self.answers)?;
                let upload = &uploads[(line["id"].as_u64().unwrap_or(first_id) - first_id) as usize];
                match line["error"].as_str() {
                    Some(error) => failures.push(format!("{}: {error}", upload.key)),
                    None => progress.add(upload.size),
                }
            }
            writer.join().map_err(|_| anyhow::anyhow!("writing to the bucket"))
        })?;
        self.commands = Some(pipe);
        match failures.as_slice() {
            [] => Ok(()),
            [first, ..] => bail!("{} of {} objects can't be stored; {first}", failures.len(), uploads.len()),
        }
    }

    /// Deletes objects.
    pub fn delete(&mut self, keys: &[String]) -> Result<()> {
        keys.chunks(DELETED_AT_ONCE_MAX).try_for_each(|keys| self.ask(json!({"do": "delete", "keys": keys})).map(drop))
    }

    fn ask(&mut self, command: Value) -> Result<Value> {
        self.send(command)?;
        self.answer()
    }

    fn send(&mut self, mut command: Value) -> Result<()> {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        let pipe = self.commands.as_mut().context("the bucket is closed")?;
        writeln!(pipe, "{command}").context("writing to the bucket")
    }

    fn answer(&mut self) -> Result<Value> {
        let answer = next_answer(&mut self.answers)?;
        match answer["error"].as_str() {
            Some(error) => bail!("the bucket: {error}"),
            None => Ok(answer),
        }
    }
}

/// The next answer; wrangler says things of its own in between.
fn next_answer(answers: &mut impl BufRead) -> Result<Value> {
    let mut line = String::new();
    loop {
        line.clear();
        if answers.read_line(&mut line).context("reading from the bucket")? == 0 {
            bail!("the bucket can't be used; what wrangler says of it is above");
        }
        match serde_json::from_str::<Value>(&line) {
            Ok(answer) if answer["id"].is_u64() => return Ok(answer),
            _ => eprint!("{line}"),
        }
    }
}

impl ChunkSource for Bucket {
    fn fetch(&mut self, digest: &ChunkDigest, _refetch: bool) -> Fetch {
        let key = format!("chunks/{digest}");
        Fetch::Done(match self.get(&key) {
            Ok(Some(bytes)) => Ok(Delivery { encoding: Some(Encoding::Brotli), bytes }),
            Ok(None) => Err(FetchError::Missing(key)),
            Err(error) => Err(FetchError::Unreachable(error.to_string())),
        })
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // At the end of its commands it ends.
        self.commands = None;
        let _ = self.child.wait();
    }
}

/// The size of a file.
pub fn size_of(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.len())
}
