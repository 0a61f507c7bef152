//! `edgebox dev`: everything built and served on this machine.

use anyhow::Result;

use crate::paths::Paths;
use crate::server::{self, Server};

/// Build what is missing and serve it at http://localhost:8787.
#[derive(clap::Args, Debug)]
pub struct DevArgs {
    /// Port on the loopback interface.
    #[arg(long, default_value_t = 8787)]
    pub port: u16,
}

pub fn run(paths: &Paths, args: &DevArgs) -> Result<()> {
    let node = server::build(paths)?;
    let server = Server::start(&node, args.port, false)?;
    println!("\n  edgebox is at {}   (Ctrl-C ends it)\n", server.url());
    server.wait()
}
