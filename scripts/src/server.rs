//! The whole of edgebox served on this machine: wrangler runs the Worker over local storage.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::commands::image::{self, ImageArgs};
use crate::deploy::bucket::{Bucket, Place};
use crate::deploy::upload::Plan;
use crate::image::fingerprint::Fingerprint;
use crate::node::Node;
use crate::paths::Paths;
use crate::progress::{self, Progress};
use crate::{site, wasm};

/// How long wrangler may take until it answers.
const START_S_MAX: u64 = 90;

/// Builds everything that is served: engine, Worker, site and the default disk, and puts disks into local storage.
pub fn build(paths: &Paths) -> Result<Node> {
    let node = Node::ensure(paths)?;
    build_worker(paths)?;
    site::build(paths, &node)?;
    image::run(paths, &ImageArgs::of_default(paths))?;
    upload(paths, &node)?;
    Ok(node)
}

/// Builds the Worker.
pub fn build_worker(paths: &Paths) -> Result<()> {
    wasm::EDGE.build(paths, &paths.edge())?;
    site::copy_if_changed(&paths.root().join("edge/worker.js"), &paths.edge().join("worker.js"))
}

/// Puts all images there are into wrangler's local storage, as far as it lacks them.
pub fn upload(paths: &Paths, node: &Node) -> Result<()> {
    let manifests = paths.disk().join("manifests");
    let mut fingerprint = Fingerprint::new();
    fingerprint.add_files(&manifests)?;
    // It goes when the storage goes.
    let stamp = paths.root().join(".wrangler").join("edgebox.stamp");
    if fingerprint.is_at(&stamp) {
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&manifests)? {
        let file = entry?.file_name().into_string().unwrap_or_default();
        names.extend(file.strip_suffix(".json").map(str::to_owned));
    }
    let mut bucket = Bucket::new(paths, node, &Place::of_dev(paths))?;
    let plan = Plan::new(&mut bucket, &paths.disk(), &names, None)?;
    plan.carry_out(&mut bucket, &Progress::new()).context("copying the disk into wrangler's local storage")?;
    fingerprint.write(&stamp)
}

/// A port nobody uses, so that a running `edgebox dev` is left alone.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Set by SIGINT, SIGTERM and SIGHUP once a server runs: it must be stopped, not left behind.
static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A running server; dropping it stops it.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts wrangler on `port` of the loopback interface and waits until it answers.
    pub fn start(node: &Node, port: u16, is_quiet: bool) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_err() {
            bail!("port {port} is in use: stop what uses it, or take another one with --port");
        }
        // Fails only where it is set already.
        let _ = ctrlc::set_handler(|| IS_INTERRUPTED.store(true, Ordering::Relaxed));
        let mut wrangler = node.wrangler("dev").args(["--local", "--ip", "127.0.0.1", "--port", &port.to_string()]);
        wrangler = wrangler.args(["--show-interactive-dev-session=false", "--log-level", "warn"]);
        let mut command = wrangler.to_command();
        if is_quiet {
            command.stdout(Stdio::null());
        }
        let child = command.stdin(Stdio::null()).spawn().context("starting wrangler")?;
        let mut server = Server { child, address };
        let _spinner = progress::spinner("starting the server");
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// Waits until it ends by itself or is interrupted.
    pub fn wait(mut self) -> Result<()> {
        while self.child.try_wait()?.is_none() && !IS_INTERRUPTED.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(START_S_MAX);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("wrangler ended at once ({status})");
            }
            if IS_INTERRUPTED.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            if does_answer(self.address) {
                return Ok(());
            }
            sleep(Duration::from_millis(100));
        }
        bail!("wrangler did not answer within {START_S_MAX} seconds")
    }
}

/// Whether an HTTP server sends anything at all.
fn does_answer(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<usize> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"HEAD /disk/ HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        stream.read(&mut [0; 16])
    };
    ask().is_ok_and(|len| len > 0)
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked to end, wrangler takes the processes it started with it; killed, it would leave them.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
