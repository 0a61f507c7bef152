//! What is run.

use anyhow::{Context, Result, bail};
use disk::ChunkDigest;
use serde::{Deserialize, Serialize};

/// Which mean a task counts for.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Benchmarks that compute.
    Compute,
    /// Benchmarks of system calls, faults, processes.
    System,
    /// Starting programs.
    Start,
    /// Programs people use.
    Program,
    /// A command given by the user.
    Command,
}

impl Group {
    pub fn name(self) -> &'static str {
        match self {
            Group::Compute => "compute",
            Group::System => "system",
            Group::Start => "start",
            Group::Program => "programs",
            Group::Command => "command",
        }
    }
}

/// Something to measure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    pub name: String,
    pub group: Group,
    pub what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A benchmark of `bench.c`.
    Benchmark,
    /// A program of the image.
    Command(Command),
}

/// A program of the image and what it needs.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Command {
    pub argv: Vec<String>,
    /// Files staged for it: it finds them in /tmp.
    pub files: Vec<String>,
    /// Run afterwards, not measured: what it prints is compared as well.
    pub check: Vec<String>,
    /// Whether an exit status other than 0 is an outcome like others.
    pub may_fail: bool,
    /// How many programs it starts, if that is what it is about.
    pub starts: Option<u32>,
}

/// One execution.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// What came out: equal everywhere if all is well.
    pub checksum: String,
    /// Iterations done.
    pub work: u64,
    pub wall_us: f64,
    pub cpu_us: f64,
    /// Where our engine or a browser runs it: with what other threads did meanwhile, such as compiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_cpu_us: Option<f64>,
}

/// CPU time of a process that runs a program.
#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct CpuTime {
    /// Of the thread that runs it.
    pub own_ms: f64,
    /// Of all threads.
    pub all_ms: f64,
}

/// Parses what `bench list` prints.
pub fn parse_list(text: &str) -> Result<Vec<Task>> {
    text.lines()
        .map(|line| {
            let group = match line.split(' ').collect::<Vec<_>>()[..] {
                [_, "compute", _] => Group::Compute,
                [_, "system", _] => Group::System,
                _ => bail!("bench.c lists {line:?}"),
            };
            let name = line.split(' ').next().unwrap_or_default().into();
            Ok(Task { name, group, what: What::Benchmark })
        })
        .collect()
}

/// Parses what benchmark `name` of `bench.c` prints.
pub fn parse_runs(name: &str, text: &str) -> Result<Vec<Run>> {
    let lines = text.lines().filter(|line| *line != "READY");
    let runs: Vec<Run> = lines.map(|line| parse_run(name, line)).collect::<Result<_>>()?;
    if runs.is_empty() {
        bail!("bench.c printed nothing");
    }
    Ok(runs)
}

/// [`parse_runs`] where the program's own idea of CPU time is not the real one: `steps` is, from one READY to the next.
pub fn parse_stepped_runs(name: &str, text: &str, steps: &[CpuTime]) -> Result<Vec<Run>> {
    let mut runs = parse_runs(name, text)?;
    if runs.len() != steps.len() {
        bail!("{} runs in {} steps", runs.len(), steps.len());
    }
    for (run, step) in runs.iter_mut().zip(steps) {
        // Waiting for READY to be answered takes some as well, which the program's clock does not see.
        run.cpu_us = (step.own_ms * 1e3).min(run.wall_us);
        run.all_cpu_us = Some(step.all_ms * 1e3);
    }
    Ok(runs)
}

fn parse_run(name: &str, line: &str) -> Result<Run> {
    let unexpected = || format!("bench.c printed {line:?}");
    let ["RESULT", printed, checksum, work, wall, cpu] = line.split(' ').collect::<Vec<_>>()[..] else {
        bail!(unexpected());
    };
    if printed != name {
        bail!(unexpected());
    }
    Ok(Run {
        checksum: checksum.into(),
        work: work.parse().with_context(unexpected)?,
        wall_us: wall.parse().with_context(unexpected)?,
        cpu_us: cpu.parse().with_context(unexpected)?,
        all_cpu_us: None,
    })
}

/// A short name for what a program left: its status and all it printed.
pub fn checksum(status: i32, output: &str) -> String {
    let digest = ChunkDigest::of(output.as_bytes()).to_string();
    format!("{status}/{}", &digest[..8])
}

/// The line of what a failed program said that says most.
pub fn complaint(stderr: &str) -> &str {
    let lines = || stderr.lines().filter(|line| !line.trim().is_empty());
    lines()
        .find(|line| line.to_ascii_lowercase().contains("error"))
        .or_else(|| lines().next())
        .unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let tasks = parse_list("fib compute 500\nforkwait system 500\n").unwrap();
        assert_eq!(tasks[0].name, "fib");
        assert_eq!(tasks.iter().map(|task| task.group).collect::<Vec<_>>(), [Group::Compute, Group::System]);
        assert!(parse_list("fib 500\n").is_err());
    }

    #[test]
    fn runs() {
        let text = "RESULT fib 985213d2 50 15937 7020\nREADY\nRESULT fib 985213d2 50 15000 7000\n";
        let runs = parse_runs("fib", text).unwrap();
        let checksum = "985213d2".to_owned();
        let first = Run { checksum, work: 50, wall_us: 15937.0, cpu_us: 7020.0, all_cpu_us: None };
        assert_eq!((runs.len(), &runs[0]), (2, &first));
    }

    #[test]
    fn stepped_runs() {
        let text = "READY\nRESULT fib 985213d2 50 15000 1\nREADY\n";
        let step = CpuTime { own_ms: 7.0, all_ms: 9.0 };
        let runs = parse_stepped_runs("fib", text, &[step]).unwrap();
        assert_eq!((runs[0].cpu_us, runs[0].all_cpu_us), (7000.0, Some(9000.0)));
        let slow = parse_stepped_runs("fib", text, &[CpuTime { own_ms: 16.0, ..step }]).unwrap();
        assert_eq!(slow[0].cpu_us, 15000.0);
        assert!(parse_stepped_runs("fib", text, &[]).is_err());
    }

    #[test]
    fn what_is_no_run() {
        for text in ["", "RESULT fib 985213d2 50 15937\n", "RESULT sieve 985213d2 50 1 1\n", "RESULT fib 0 x 1 1\n"] {
            assert!(parse_runs("fib", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn complaints() {
        assert_eq!(complaint("in x.c\nx.c:1: error: no\ncompilation terminated\n"), "x.c:1: error: no");
        assert_eq!(complaint("\nno\nmore\n"), "no");
        assert_eq!(complaint(""), "it said nothing");
    }

    #[test]
    fn checksums_tell_outcomes_apart() {
        assert_eq!(checksum(0, "x"), checksum(0, "x"));
        assert_ne!(checksum(0, "x"), checksum(1, "x"));
        assert_ne!(checksum(0, "x"), checksum(0, "y"));
    }
}
