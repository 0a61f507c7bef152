//! `edgebox bench`: what a visitor gets, and how fast programs run, measured in a real browser.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{ValueEnum, builder::NonEmptyStringValueParser};
use serde_json::{Value, json};

use super::image::{self, ImageArgs};
use super::vm::EngineKind;
use crate::bench::browser::Browser;
use crate::bench::catalogue;
use crate::bench::column::{Arch, COLUMNS, Column, Scale};
use crate::bench::host::{self, Chroot};
use crate::bench::kit::Kit;
use crate::bench::measure::{self, Machines, Plan, Vm};
use crate::bench::packing;
use crate::bench::report::Report;
use crate::bench::root;
use crate::bench::summary::{self, Clock};
use crate::bench::task::{self, Group, Task, What};
use crate::node::Node;
use crate::paths::Paths;
use crate::server::{self, Server};
use crate::{site, tools};

/// Measure in headless Chromium: what a visitor gets, or how fast programs run compared with this machine's processor,
/// qemu and clang's WebAssembly.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum, default_value = "visitor")]
    pub parts: Vec<Part>,
    /// Measure only benchmarks of these names.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// How often everything is measured, each time on a fresh page; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Runs in a row in each round: the first shows what warming up costs, the best is what is compared.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// How much of their work benchmarks do: 100, or 100,box=5 for a slow column.
    #[arg(long, value_name = "[COLUMN=]PERCENT", value_delimiter = ',')]
    pub scale: Vec<Scale>,
    /// Where programs run; by default everywhere but in `vm`. The first in this order is what others are compared with.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub column: Vec<Column>,
    /// What benchmarks are compiled for.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "amd64")]
    pub arch: Vec<Arch>,
    /// What runs instructions in the box; by default what a visitor gets.
    #[arg(long, value_enum)]
    pub engine: Option<EngineKind>,
    /// The image programs are in; by default `default`, for real programs `bench`.
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// Which time is compared.
    #[arg(long, value_enum, default_value = "cpu")]
    pub clock: Clock,
    /// Seconds after which a program is given up.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
    /// Write every figure of every round to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// For `visitor`: measure this address instead of a server started here.
    #[arg(long)]
    pub url: Option<String>,
    /// For `visitor`: reach the server by a line like this one. Milliseconds of a round trip, and megabytes a second.
    #[arg(long, value_name = "MS,MB/S")]
    pub line: Option<Line>,
    /// A command of the image to be measured instead.
    #[arg(last = true, value_parser = NonEmptyStringValueParser::new())]
    pub command: Vec<String>,
}

/// A line as it is simulated: what `scripts/line.mjs` takes.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub round_trip_ms: u32,
    pub bytes_per_s: f64,
}

impl std::str::FromStr for Line {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (round_trip, rate) = text.split_once(',').context("expected MS,MB/S, as in 40,3")?;
        let megabytes_per_s: f64 = rate.parse().context("megabytes a second")?;
        if !(0.001..=1000.0).contains(&megabytes_per_s) {
            bail!("lines have 0.001 to 1000 MB/s");
        }
        let round_trip_ms = round_trip.parse().context("milliseconds")?;
        Ok(Line { round_trip_ms, bytes_per_s: megabytes_per_s * 1e6 })
    }
}

/// Something to measure.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Seconds, requests and bytes to the prompt, guest MIPS, memory.
    Visitor,
    /// Benchmarks that compute.
    Compute,
    /// Benchmarks of system calls, page faults, processes, generated code.
    System,
    /// Starting bash, python3 and /bin/true.
    Start,
    /// python3, perl, gzip, sqlite3, gcc at work.
    Programs,
    /// The Worker: requests a second, latency, throughput of ranges, CPU time of a request.
    Edge,
    /// Packing an image, beside `split` and `brotli`.
    Pack,
    /// The way to the prompt of the same disk, beside v86.
    V86,
}

impl Part {
    fn group(self) -> Option<Group> {
        match self {
            Part::Visitor | Part::Edge | Part::Pack | Part::V86 => None,
            Part::Compute => Some(Group::Compute),
            Part::System => Some(Group::System),
            Part::Start => Some(Group::Start),
            Part::Programs => Some(Group::Program),
        }
    }
}

pub fn run(paths: &Paths, args: &BenchArgs) -> Result<()> {
    let parts = if args.command.is_empty() { args.parts.as_slice() } else { &[] };
    let has_own_figures = parts.iter().any(|part| part.group().is_none());
    if has_own_figures && parts.len() > 1 && args.json.is_some() {
        bail!("--json takes the figures of `visitor`, `edge`, `pack`, `v86` or of other parts: run them one by one");
    }
    if parts.contains(&Part::Visitor) {
        visitor(paths, args)?;
    }
    if parts.contains(&Part::Edge) {
        edge(paths, args)?;
    }
    if parts.contains(&Part::Pack) {
        pack(paths, args)?;
    }
    if parts.contains(&Part::V86) {
        v86(paths, args)?;
    }
    let groups: Vec<Group> = parts.iter().filter_map(|part| part.group()).collect();
    let mut reports = Vec::new();
    for session in sessions(args, &groups) {
        reports.push(measure_session(paths, args, &session)?);
    }
    match &args.json {
        Some(file) if !reports.is_empty() => {
            write_json(file, &json!({"machine": machine(), "versions": Kit::versions(), "reports": reports}))
        }
        _ => Ok(()),
    }
}

fn pack(paths: &Paths, args: &BenchArgs) -> Result<()> {
    image::run(paths, &ImageArgs::of_default(paths))?;
    let level = ImageArgs::of_default(paths).pack.quality;
    let figures = packing::measure(&paths.raw_image("default"), level, &paths.images())?;
    match &args.json {
        Some(file) => write_json(file, &json!({"machine": machine(), "pack": figures})),
        None => Ok(()),
    }
}

fn write_json(file: &Path, json: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(json)?;
    std::fs::write(file, text + "\n").with_context(|| file.display().to_string())
}

fn visitor(paths: &Paths, args: &BenchArgs) -> Result<()> {
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
    let setup = json!({
        "url": url, "image": args.image.as_deref().unwrap_or("default"), "rounds": args.rounds,
        "line": args.line, "file": args.json.clone().unwrap_or_default(),
    });
    let script = node.script(&paths.root().join("scripts/measure.mjs")).arg(&setup.to_string());
    script.env("EDGEBOX_CHROMIUM", chromium).run()
}

/// Where the package `seabios` has what v86 starts from.
const BIOS: &str = "/usr/share/seabios";

fn v86(paths: &Paths, args: &BenchArgs) -> Result<()> {
    const IMAGE: &str = "v86";
    let chromium = tools::ensure_chromium()?;
    tools::ensure_debian_file(&Path::new(BIOS).join("bios.bin"), "seabios")?;
    tools::ensure_debian_package("debugfs", "e2fsprogs")?;
    // First: it goes into wrangler's storage with the rest.
    image::run(paths, &ImageArgs::of_project(paths, IMAGE))?;
    let node = server::build(paths)?;
    let server = Server::start(&node, server::free_port()?, true)?;
    let setup = json!({
        "url": server.url(), "image": IMAGE, "raw": paths.raw_image(IMAGE), "bios": BIOS, "rounds": args.rounds,
        "file": args.json.clone().unwrap_or_default(),
    });
    let script = node.script(&paths.root().join("scripts/bench-v86.mjs")).arg(&setup.to_string());
    script.env("EDGEBOX_CHROMIUM", chromium).run()
}

/// What the Worker is compared with and asked by, and Debian's packages with it.
const EDGE_PROGRAMS: [(&str, &str); 3] = [("nginx", "nginx"), ("wrk", "wrk"), ("curl", "curl")];

/// Seconds for which one server is asked in a round.
const EDGE_S: u32 = 5;

fn edge(paths: &Paths, args: &BenchArgs) -> Result<()> {
    for (program, package) in EDGE_PROGRAMS {
        tools::ensure_debian_package(program, package)?;
    }
    let node = Node::ensure(paths)?;
    server::build_worker(paths)?;
    let image = args.image.clone().unwrap_or_else(|| "default".into());
    root::ensure_image(paths, &image)?;
    let setup = json!({
        "disk": paths.disk(), "raw": paths.raw_image(&image), "edge": paths.edge(), "image": image,
        "rounds": args.rounds, "seconds": EDGE_S, "file": args.json.clone().unwrap_or_default(),
    });
    node.script(&paths.root().join("scripts/bench-edge.mjs")).arg(&setup.to_string()).run()
}

/// What is measured together: one image, one table.
struct Session {
    image: String,
    arch: Arch,
    groups: Vec<Group>,
}

fn sessions(args: &BenchArgs, groups: &[Group]) -> Vec<Session> {
    let image = |default: &str| args.image.clone().unwrap_or_else(|| default.into());
    if !args.command.is_empty() {
        return vec![Session { image: image("default"), arch: Arch::Amd64, groups: vec![Group::Command] }];
    }
    let of =
        |wanted: &[Group]| -> Vec<Group> { groups.iter().copied().filter(|group| wanted.contains(group)).collect() };
    let benchmarks = of(&[Group::Compute, Group::System]);
    let mut sessions: Vec<Session> = Vec::new();
    if !benchmarks.is_empty() {
        let of_arch = |&arch: &Arch| Session { image: image("default"), arch, groups: benchmarks.clone() };
        sessions.extend(args.arch.iter().map(of_arch));
    }
    for (group, default) in [(Group::Start, "default"), (Group::Program, "bench")] {
        if groups.contains(&group) {
            sessions.push(Session { image: image(default), arch: Arch::Amd64, groups: vec![group] });
        }
    }
    sessions
}

fn measure_session(paths: &Paths, args: &BenchArgs, session: &Session) -> Result<Value> {
    let kit = Kit::new(paths)?;
    let mut columns = columns(args, session);
    let mut machines = prepare(paths, args, session, &kit, &mut columns)?;
    let mut tasks = tasks(args, session, &kit, &machines)?;
    tasks.retain(|task| args.only.is_empty() || args.only.contains(&task.name));
    if tasks.is_empty() || columns.is_empty() {
        bail!("nothing is left to measure: look at --only and --column");
    }
    machines.furnish(&kit.files(), &tasks)?;
    let plan = Plan { rounds: args.rounds, repeats: args.repeat, scales: args.scale.clone() };
    let samples = measure::measure(&mut machines, &tasks, &columns, &plan)?;
    let rows = summary::summarise(&samples, &tasks, &columns, args.clock);
    let report = Report {
        arch: session.arch,
        image: &session.image,
        engine: args.engine.map(EngineKind::name),
        browser: machines.browser.as_mut().and_then(|browser| browser.version().ok()),
        rounds: args.rounds,
        repeats: args.repeat,
        clock: args.clock,
        columns: &columns,
        tasks: &tasks,
        rows: &rows,
        samples: &samples,
    };
    writeln!(std::io::stdout(), "{}", report.to_text()).context("printing the table")?;
    Ok(report.to_json())
}

/// Columns that were asked for and make sense.
fn columns(args: &BenchArgs, session: &Session) -> Vec<Column> {
    let mut wanted = if args.column.is_empty() { COLUMNS.to_vec() } else { args.column.clone() };
    wanted.sort();
    wanted.dedup();
    // Compared with i386, clang's WebAssembly says nothing new.
    let has_wasm = session.arch == Arch::Amd64 && session.groups.contains(&Group::Compute);
    wanted.retain(|column| *column != Column::Wasm || has_wasm);
    wanted
}

/// Builds and installs what columns need. One that can't have it is dropped, and the reason printed.
fn prepare(
    paths: &Paths,
    args: &BenchArgs,
    session: &Session,
    kit: &Kit,
    columns: &mut Vec<Column>,
) -> Result<Machines> {
    let limit = Duration::from_secs(args.timeout);
    let arch = session.arch;
    let mut machines = Machines { arch, bench: None, qemu: None, vm: None, browser: None, chroot: None, limit };
    let has_benchmarks = session.groups.iter().any(|group| matches!(group, Group::Compute | Group::System));
    if has_benchmarks {
        machines.bench = Some(kit.bench(arch)?);
    }
    if columns.contains(&Column::Qemu) {
        let qemu = kit.qemu(arch);
        keep_if_ok(columns, Column::Qemu, qemu.map(|qemu| machines.qemu = Some(qemu)));
    }
    if columns.contains(&Column::Vm) {
        machines.vm = Some(vm(paths, args, session, kit)?);
    }
    if columns.contains(&Column::Wasm) {
        keep_if_ok(columns, Column::Wasm, kit.bench_wasm());
    }
    let manifest = root::ensure_image(paths, &session.image)?;
    if columns.contains(&Column::Box) || columns.contains(&Column::Wasm) {
        machines.browser = Some(start_browser(paths, args, session, kit)?);
    }
    if !has_benchmarks {
        let root = root::extract(paths, &session.image, &manifest)?;
        machines.chroot = Some(Chroot { timed: kit.timed()?, root, env: manifest.config.env, limit });
    }
    Ok(machines)
}

/// This very program, as `edgebox vm`.
fn vm(paths: &Paths, args: &BenchArgs, session: &Session, kit: &Kit) -> Result<Vm> {
    let mut arguments: Vec<OsString> = vec!["--build-dir".into(), paths.build().into(), "vm".into()];
    arguments.extend(["--image", &session.image, "--user", "root", "--bind"].map(OsString::from));
    let mut bind = kit.files().into_os_string();
    bind.push(":/tmp");
    arguments.push(bind);
    if let Some(engine) = args.engine {
        arguments.extend(["--engine", engine.name()].map(OsString::from));
    }
    arguments.push("--".into());
    Ok(Vm { program: std::env::current_exe()?, arguments })
}

fn keep_if_ok(columns: &mut Vec<Column>, column: Column, outcome: Result<()>) {
    if let Err(error) = outcome {
        println!("{column} is left out: {error:#}");
        columns.retain(|other| *other != column);
    }
}

fn start_browser(paths: &Paths, args: &BenchArgs, session: &Session, kit: &Kit) -> Result<Browser> {
    let chromium = tools::ensure_chromium()?;
    let node = Node::ensure(paths)?;
    site::build(paths, &node)?;
    let setup = json!({
        "site": paths.site(), "disk": paths.disk(), "files": kit.files(), "chromium": chromium,
        "image": session.image, "engine": args.engine.map(EngineKind::name), "timeoutS": args.timeout,
    });
    Browser::start(&node.script(&paths.root().join("scripts/bench.mjs")).arg(&setup.to_string()))
}

fn tasks(args: &BenchArgs, session: &Session, kit: &Kit, machines: &Machines) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    if let Some(bench) = &machines.bench {
        let listed = host::run(std::process::Command::new(bench).arg("list"), machines.limit)?;
        tasks.extend(task::parse_list(listed.text()?)?);
    }
    tasks.retain(|task| session.groups.contains(&task.group));
    for group in &session.groups {
        match group {
            Group::Start => tasks.extend(catalogue::start_up()),
            Group::Program => {
                tasks.extend(catalogue::programs(kit, machines.chroot.as_ref().map(|c| c.root.as_path()))?)
            }
            Group::Command => tasks.push(catalogue::command(&args.command)),
            Group::Compute | Group::System => {}
        }
    }
    Ok(tasks.into_iter().filter(|task| is_there(task, machines)).collect())
}

/// Whether the image has the task's program; says so if not.
fn is_there(task: &Task, machines: &Machines) -> bool {
    let (What::Command(command), Some(chroot)) = (&task.what, &machines.chroot) else { return true };
    let Some(program) = command.argv.first() else { return false };
    let is_there = chroot.find(program).is_some();
    if !is_there {
        println!("{} is left out: {program} is not in the image", task.name);
    }
    is_there
}

/// This machine, for the record.
fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    json!({
        "processor": model.map(|(_, name)| name), "processors": processors, "load": read("/proc/loadavg").trim(),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn parse(words: &[&str]) -> BenchArgs {
        Cli::parse_from(["bench"].iter().chain(words)).args
    }

    #[test]
    fn parts_and_options() {
        assert_eq!(parse(&[]).parts, [Part::Visitor]);
        let args = parse(&["compute", "start", "--scale", "50,box=5", "--column", "native,box", "--only", "fib,crc32"]);
        assert_eq!(args.parts, [Part::Compute, Part::Start]);
        assert_eq!(args.scale[1], Scale { column: Some(Column::Box), percent: 5.0 });
        assert_eq!((args.column.len(), args.only.len()), (2, 2));
    }

    #[test]
    fn each_table_has_one_image_and_one_processor() {
        let of = |words: &[&str], groups: &[Group]| -> Vec<_> {
            let sessions = sessions(&parse(words), groups);
            sessions.into_iter().map(|session| (session.image, session.arch.name(), session.groups.len())).collect()
        };
        let groups = [Group::Compute, Group::System, Group::Program];
        let expected = [("default", "amd64", 2), ("default", "i386", 2), ("bench", "amd64", 1)];
        assert_eq!(
            of(&["--arch", "amd64,i386"], &groups),
            expected.map(|(image, arch, len)| (image.into(), arch, len))
        );
        assert_eq!(of(&["--", "ls", "-l"], &[]), [("default".into(), "amd64", 1)]);
    }

    #[test]
    fn wasm_is_for_computing_on_amd64() {
        let columns_of = |arch, group| columns(&parse(&[]), &Session { image: "x".into(), arch, groups: vec![group] });
        assert_eq!(columns_of(Arch::Amd64, Group::Compute), COLUMNS);
        assert_eq!(columns_of(Arch::I386, Group::Compute), COLUMNS[..3]);
        assert_eq!(columns_of(Arch::Amd64, Group::Start), COLUMNS[..3]);
    }
}
