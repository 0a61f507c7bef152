//! `edgebox`: the project's own command-line tool.
//!
//! The scripts beside this crate build it and run it; `./scripts/image` is `edgebox image`, and so on.
//!
//! | module | subject |
//! |---|---|
//! | [`commands`] | the subcommands |
//! | [`image`] | from a Dockerfile to a root file system |
//! | [`ext2`] | from a root file system to a raw image |
//! | [`bench`] | the engine compared with the processor, qemu and WebAssembly |
//! | [`pack`] | from a raw image to chunks |
//! | [`wasm`], [`site`] | engine, Worker and site, built |
//! | [`server`], [`node`] | all of it served by wrangler |
//! | [`objects`] | what an image consists of |
//! | [`export`] | all of it as plain files |
//! | [`deploy`] | all of it in an account |
//! | [`tools`], [`command`] | other programs, installed and run |
//! | [`paths`], [`progress`], [`holes`] | where things go, what is shown meanwhile, what need not be read |

#![allow(missing_docs, reason = "a program's items are for its own modules; what needs saying is said")]

mod bench;
mod command;
mod commands;
mod deploy;
mod export;
mod ext2;
mod holes;
mod image;
mod node;
mod objects;
mod pack;
mod paths;
mod profile;
mod progress;
mod server;
mod site;
mod tools;
mod wasm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "edgebox", version, about = "A Linux box from a Dockerfile, in a browser tab")]
struct Cli {
    /// Where everything built goes, instead of the project's build/.
    #[arg(long, global = true, value_name = "DIR")]
    build_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Image(commands::image::ImageArgs),
    Pack(commands::pack::PackArgs),
    Dev(commands::dev::DevArgs),
    Export(commands::export::ExportArgs),
    Deploy(commands::deploy::DeployArgs),
    Bench(commands::bench::BenchArgs),
    Test(commands::test::TestArgs),
    Vm(commands::vm::VmArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let paths = paths::Paths::of_project(cli.build_dir.as_deref());
    let outcome = match &cli.command {
        Command::Image(args) => commands::image::run(&paths, args),
        Command::Pack(args) => commands::pack::run(&paths, args),
        Command::Dev(args) => commands::dev::run(&paths, args),
        Command::Export(args) => commands::export::run(&paths, args),
        Command::Deploy(args) => commands::deploy::run(&paths, args),
        Command::Bench(args) => commands::bench::run(&paths, args),
        Command::Test(args) if commands::test::run(&paths, args) => Ok(()),
        Command::Test(_) => return ExitCode::FAILURE,
        Command::Vm(args) => match commands::vm::run(&paths, args) {
            Ok(status) => return ExitCode::from(status as u8),
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edgebox: {error:#}");
            ExitCode::FAILURE
        }
    }
}
