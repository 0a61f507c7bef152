//! Rounds, columns and their samples.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::browser::{Browser, Outcome};
use super::column::{Arch, Column, Scale, scale_percent};
use super::host::{self, Chroot, Executed};
use super::kit::{self, Kit};
use super::task::{self, Command, Group, Run, Task, What};
use crate::progress;

/// Where qemu is put in the root file system.
const QEMU_IN_ROOT: &str = "/.qemu-for-bench";

/// The variable that names it for commands that start other programs.
const LAUNCH: &str = "LAUNCH";

/// How much is measured.
pub struct Plan {
    pub rounds: u32,
    /// Executions in a row: the first shows what warming up costs, later ones the steady state.
    pub repeats: u32,
    pub scales: Vec<Scale>,
}

/// What one column gave for one task in one round.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    pub round: u32,
    pub column: Column,
    pub task: String,
    pub scale_percent: f64,
    /// Made only to know the checksum at this scale.
    pub is_reference: bool,
    pub runs: Vec<Run>,
    /// Why there are no runs.
    pub error: Option<String>,
}

/// Everything that runs programs.
pub struct Machines {
    pub arch: Arch,
    pub bench: Option<PathBuf>,
    pub qemu: Option<PathBuf>,
    pub vm: Option<Vm>,
    pub browser: Option<Browser>,
    pub chroot: Option<Chroot>,
    pub limit: Duration,
}

/// `edgebox vm`, with staged files at /tmp.
pub struct Vm {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Vm {
    fn command(&self) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.args(&self.arguments);
        command
    }
}

impl Machines {
    /// Puts staged files and qemu where programs in the root file system find them.
    pub fn furnish(&self, files: &Path, tasks: &[Task]) -> Result<()> {
        let Some(chroot) = &self.chroot else { return Ok(()) };
        if let Some(qemu) = &self.qemu {
            fs::copy(qemu, chroot.root.join(&QEMU_IN_ROOT[1..])).context("copying qemu")?;
        }
        for task in tasks {
            let What::Command(command) = &task.what else { continue };
            for name in &command.files {
                fs::copy(files.join(name), chroot.root.join("tmp").join(name)).with_context(|| name.clone())?;
            }
        }
        Ok(())
    }

    fn run(&mut self, column: Column, task: &Task, percent: f64, repeats: u32) -> Result<Vec<Run>> {
        match &task.what {
            What::Benchmark => self.run_benchmark(column, &task.name, percent, repeats),
            What::Command(command) => (0..repeats).map(|_| self.run_command(column, command)).collect(),
        }
    }

    fn run_benchmark(&mut self, column: Column, name: &str, percent: f64, repeats: u32) -> Result<Vec<Run>> {
        let (percent, repeats) = (percent.to_string(), repeats.to_string());
        let arguments = [name, &percent, &repeats];
        let outcome = match column {
            Column::Native | Column::Qemu => {
                let mut command = self.bench_on_host(column)?;
                let finished = host::run(command.args(arguments), self.limit)?;
                return task::parse_runs(name, finished.text()?);
            }
            Column::Vm => {
                let mut command = self.vm.as_ref().context("there is no machine")?.command();
                command.arg(format!("/tmp/{}", Kit::bench_name(self.arch))).args(arguments).arg("step");
                let (finished, steps) = host::run_in_steps(&mut command, self.limit)?;
                return task::parse_stepped_runs(name, finished.text()?, &steps);
            }
            Column::Box => {
                let program = Kit::bench_name(self.arch);
                let path = format!("/tmp/{program}");
                self.browser()?.run(&[&path, name, &percent, &repeats, "step"], &[program])?
            }
            Column::Wasm => self.browser()?.run_wasm(kit::WASM, &["bench", name, &percent, &repeats, "step"])?,
        };
        task::parse_stepped_runs(name, outcome.text()?, &outcome.steps)
    }

    fn bench_on_host(&self, column: Column) -> Result<process::Command> {
        let bench = self.bench.as_ref().context("bench.c is not compiled")?;
        if column == Column::Native {
            return Ok(process::Command::new(bench));
        }
        let qemu = self.qemu.as_ref().context("there is no qemu")?;
        let mut command = process::Command::new(qemu);
        command.arg(bench).env("BENCH_LAUNCHER", qemu);
        Ok(command)
    }

    fn run_command(&mut self, column: Column, command: &Command) -> Result<Run> {
        let executed = self.execute(column, &command.argv, &command.files)?;
        if executed.status != 0 && !command.may_fail {
            bail!("status {}: {}", executed.status, task::complaint(&executed.stderr));
        }
        let mut checksum = task::checksum(executed.status, &executed.stdout);
        if !command.check.is_empty() {
            let checked = self.execute(column, &command.check, &[])?;
            checksum = format!("{checksum} {}", task::checksum(checked.status, &checked.stdout));
        }
        let Executed { wall_us, cpu_us, all_cpu_us, .. } = executed;
        Ok(Run { checksum, work: 1, wall_us, cpu_us, all_cpu_us })
    }

    fn execute(&mut self, column: Column, argv: &[String], files: &[String]) -> Result<Executed> {
        if matches!(column, Column::Native | Column::Qemu) {
            let chroot = self.chroot.as_ref().context("the image is not extracted")?;
            return match column {
                Column::Native => chroot.run(argv, &[]),
                _ => chroot.run(&in_qemu(chroot, argv)?, &[(LAUNCH, QEMU_IN_ROOT)]),
            };
        }
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let outcome = self.browser()?.run(&argv, files)?;
        let Outcome { status, stdout, stderr, wall_ms, cpu, .. } = outcome;
        let (wall_us, cpu_us, all_cpu_us) = (wall_ms * 1e3, cpu.own_ms * 1e3, Some(cpu.all_ms * 1e3));
        Ok(Executed { status, stdout, stderr, wall_us, cpu_us, all_cpu_us })
    }

    fn browser(&mut self) -> Result<&mut Browser> {
        self.browser.as_mut().context("there is no browser")
    }
}

/// The command as qemu is to run it.
fn in_qemu(chroot: &Chroot, argv: &[String]) -> Result<Vec<String>> {
    let name = argv.first().context("no command")?;
    let program = chroot.find(name).with_context(|| format!("{name} is not in the image"))?;
    Ok([QEMU_IN_ROOT.to_owned(), program].into_iter().chain(argv[1..].iter().cloned()).collect())
}

/// Whether the task makes sense there; if not, why.
pub fn obstacle(column: Column, task: &Task) -> Option<&'static str> {
    match (column, task.group) {
        (Column::Wasm, Group::System) => Some("WASI has no processes, memory mappings or generated code"),
        (Column::Vm, Group::Start | Group::Program | Group::Command) => Some("it would be the machine's start as well"),
        (Column::Wasm, Group::Start | Group::Program | Group::Command) => Some("only bench.c is compiled by clang"),
        _ => None,
    }
}

/// Measures everything. Columns take turns at each task.
pub fn measure(machines: &mut Machines, tasks: &[Task], columns: &[Column], plan: &Plan) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for round in 0..plan.rounds {
        if let Some(browser) = &mut machines.browser {
            browser.open()?;
        }
        for task in tasks {
            for &column in columns.iter().filter(|&&column| obstacle(column, task).is_none()) {
                let _spinner = progress::spinner(&format!("round {}: {}, {column}", round + 1, task.name));
                samples.push(sample(machines, task, column, round, plan));
            }
            if round == 0 {
                samples.extend(references(machines, task, columns, plan));
            }
        }
    }
    Ok(samples)
}

fn sample(machines: &mut Machines, task: &Task, column: Column, round: u32, plan: &Plan) -> Sample {
    let scale_percent = scale_percent(&plan.scales, column);
    let outcome = machines.run(column, task, scale_percent, plan.repeats);
    let (runs, error) = match outcome {
        Ok(runs) => (runs, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    Sample { round, column, task: task.name.clone(), scale_percent, is_reference: false, runs, error }
}

/// Runs in the first column at the scales of others: their checksums are what others must get.
fn references(machines: &mut Machines, task: &Task, columns: &[Column], plan: &Plan) -> Vec<Sample> {
    let Some(&first) = columns.first().filter(|_| task.what == What::Benchmark) else { return Vec::new() };
    let own = scale_percent(&plan.scales, first);
    let mut percents: Vec<f64> = columns[1..].iter().map(|&column| scale_percent(&plan.scales, column)).collect();
    percents.retain(|&percent| percent != own);
    percents.sort_by(f64::total_cmp);
    percents.dedup();
    let mut sampled = Vec::new();
    for percent in percents {
        let scales = vec![Scale { column: None, percent }];
        let plan = Plan { rounds: 1, repeats: 1, scales };
        sampled.push(Sample { is_reference: true, ..sample(machines, task, first, 0, &plan) });
    }
    sampled
}
