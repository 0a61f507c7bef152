//! `edgebox bench`: what a visitor gets, measured in a real browser.

use std::path::PathBuf;

use anyhow::Result;

use crate::paths::Paths;
use crate::server::{self, Server};
use crate::tools;

/// Measure seconds, requests and bytes to the prompt, speed and memory in headless Chromium.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    /// How often; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Write every figure of every round to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure this address instead of a server started here.
    #[arg(long)]
    pub url: Option<String>,
}

pub fn run(paths: &Paths, args: &BenchArgs) -> Result<()> {
    let chromium = tools::ensure_chromium()?;
    let node = server::build(paths)?;
    // Stops when this is over.
    let server;
    let url = match &args.url {
        Some(url) => url.clone(),
        None => {
            server = Server::start(&node, server::free_port()?, true)?;
            server.url()
        }
    };
    let script = node.script(&paths.root().join("scripts/measure.mjs")).arg(&url).arg(&args.rounds.to_string());
    let file = args.json.clone().unwrap_or_default();
    script.path(&file).env("EDGEBOX_CHROMIUM", chromium).run()
}
