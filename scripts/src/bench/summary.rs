//! Medians and ratios of samples, and what disagrees.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;

use super::column::Column;
use super::measure::{Sample, obstacle};
use super::statistics::{geometric_mean, median};
use super::task::{Group, Run, Task};

/// Which time counts.
#[derive(ValueEnum, Serialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Of the processor: other programs on this machine disturb it less.
    Cpu,
    /// On the wall.
    Wall,
}

impl Clock {
    fn us_per_work(self, run: &Run) -> f64 {
        let us = match self {
            Clock::Cpu => run.cpu_us,
            Clock::Wall => run.wall_us,
        };
        us / run.work.max(1) as f64
    }
}

/// A task in one column.
#[derive(Serialize, Clone, PartialEq, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Median of the best runs, for the work that the first column does.
    pub ms: f64,
    /// Median of the first runs, likewise.
    pub first_ms: f64,
    /// Median of the last runs, likewise.
    pub last_ms: f64,
    /// Median over the rounds of how much longer the best run took than the first column's best.
    pub ratio: Option<f64>,
    /// The same of the first run.
    pub first_ratio: Option<f64>,
    /// The same of the last run.
    pub last_ratio: Option<f64>,
    /// It did less work than the first column, or more.
    pub is_extrapolated: bool,
    /// Checksums are not those of the first column.
    pub disagrees: bool,
}

/// What there is to say about a task in one column.
#[derive(Serialize, Clone, PartialEq, Debug)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Cell {
    Measured(Figures),
    Failed { error: String },
    LeftOut { reason: String },
}

impl Cell {
    pub fn figures(&self) -> Option<&Figures> {
        match self {
            Cell::Measured(figures) => Some(figures),
            _ => None,
        }
    }
}

/// A task in all columns.
#[derive(Serialize, Clone, Debug)]
pub struct Row {
    pub task: String,
    pub group: Group,
    pub cells: Vec<Cell>,
}

/// One row for each task, one cell for each column; the first column is what others are compared with.
pub fn summarise(samples: &[Sample], tasks: &[Task], columns: &[Column], clock: Clock) -> Vec<Row> {
    let row = |task: &Task| {
        let samples: Vec<&Sample> = samples.iter().filter(|sample| sample.task == task.name).collect();
        let cells = columns.iter().map(|&column| match obstacle(column, task) {
            Some(reason) => Cell::LeftOut { reason: reason.into() },
            None => cell(&samples, columns[0], column, clock),
        });
        Row { task: task.name.clone(), group: task.group, cells: cells.collect() }
    };
    tasks.iter().map(row).collect()
}

fn cell(samples: &[&Sample], first_column: Column, column: Column, clock: Clock) -> Cell {
    let of = |wanted| samples.iter().copied().filter(move |sample| sample.column == wanted && !sample.is_reference);
    if let Some(error) = of(column).find_map(|sample| sample.error.clone()) {
        return Cell::Failed { error };
    }
    // Not the last: qemu's floating point becomes ten times slower after some runs in a process, for no visible reason.
    let best = |sample: &Sample| sample.runs.iter().map(|run| clock.us_per_work(run)).min_by(f64::total_cmp);
    let first = |sample: &Sample| sample.runs.first().map(|run| clock.us_per_work(run));
    let last = |sample: &Sample| sample.runs.last().map(|run| clock.us_per_work(run));
    // Rounds are compared one by one: what disturbed one column then disturbed the other as well.
    let ratio = |us: &dyn Fn(&Sample) -> Option<f64>| {
        let ratios = of(column).filter_map(|sample| {
            let other = of(first_column).find(|other| other.round == sample.round)?;
            Some(us(sample)? / best(other)?)
        });
        median(ratios.filter(|ratio| ratio.is_finite() && *ratio > 0.0))
    };
    let work_of = |wanted| of(wanted).find_map(|sample| Some(sample.runs.first()?.work));
    let (Some(own_work), Some(us)) = (work_of(column), median(of(column).filter_map(best))) else {
        return Cell::Failed { error: "it was not run".into() };
    };
    let work = work_of(first_column).unwrap_or(own_work);
    let to_ms = work as f64 / 1e3;
    Cell::Measured(Figures {
        ms: us * to_ms,
        first_ms: median(of(column).filter_map(first)).unwrap_or(us) * to_ms,
        last_ms: median(of(column).filter_map(last)).unwrap_or(us) * to_ms,
        ratio: ratio(&best),
        first_ratio: ratio(&first),
        last_ratio: ratio(&last),
        is_extrapolated: own_work != work,
        disagrees: disagrees(samples, first_column, column),
    })
}

/// Whether any run came to another checksum than the first column's with as much work.
fn disagrees(samples: &[&Sample], first_column: Column, column: Column) -> bool {
    let runs = |wanted| samples.iter().filter(move |sample| sample.column == wanted).flat_map(|sample| &sample.runs);
    let mut expected = BTreeMap::new();
    for run in runs(first_column) {
        expected.entry(run.work).or_insert(&run.checksum);
    }
    runs(column).any(|run| expected.get(&run.work).is_some_and(|checksum| **checksum != run.checksum))
}

/// The geometric mean of a column's ratios over the rows of a group, or of all, and how many of them there are.
pub fn mean(rows: &[Row], group: Option<Group>, ratio: impl Fn(&Row) -> Option<f64>) -> Option<(f64, usize)> {
    let rows = rows.iter().filter(|row| group.is_none_or(|group| row.group == group));
    let ratios: Vec<f64> = rows.filter_map(ratio).collect();
    Some((geometric_mean(ratios.iter().copied())?, ratios.len()))
}

/// The part of a processor that programs had: less than 1 where the machine had other things to do.
pub fn processor_share<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<f64> {
    let runs = samples.flat_map(|sample| &sample.runs);
    let (cpu_us, wall_us) = runs.fold((0.0, 0.0), |(cpu, wall), run| (cpu + run.cpu_us, wall + run.wall_us));
    (wall_us > 0.0).then_some(cpu_us / wall_us)
}

#[cfg(test)]
mod tests {
    use super::super::task::What;
    use super::*;

    fn run(checksum: &str, work: u64, ms: f64) -> Run {
        Run { checksum: checksum.into(), work, wall_us: ms * 2e3, cpu_us: ms * 1e3, all_cpu_us: None }
    }

    fn sample(round: u32, column: Column, runs: &[Run]) -> Sample {
        let runs = runs.to_vec();
        Sample { round, column, task: "fib".into(), scale_percent: 100.0, is_reference: false, runs, error: None }
    }

    fn only_row(samples: &[Sample], columns: &[Column], clock: Clock) -> Row {
        let task = Task { name: "fib".into(), group: Group::Compute, what: What::Benchmark };
        summarise(samples, &[task], columns, clock).remove(0)
    }

    const COLUMNS: [Column; 2] = [Column::Native, Column::Box];

    #[test]
    fn rounds_are_compared_one_by_one() {
        // A machine that is ten times slower in the second round.
        let mut samples = Vec::new();
        for (round, factor) in [(0, 1.0), (1, 10.0), (2, 1.0)] {
            samples.push(sample(round, Column::Native, &[run("a", 5, 10.0 * factor)]));
            let runs = [90.0, 20.0, 30.0].map(|ms| run("a", 5, ms * factor));
            samples.push(sample(round, Column::Box, &runs));
        }
        let row = only_row(&samples, &COLUMNS, Clock::Cpu);
        let figures = row.cells[1].figures().unwrap();
        assert_eq!((figures.ratio, figures.first_ratio, figures.last_ratio), (Some(2.0), Some(9.0), Some(3.0)));
        assert_eq!((figures.ms, figures.first_ms, figures.last_ms), (20.0, 90.0, 30.0));
        assert!(!figures.disagrees && !figures.is_extrapolated);
        let row = only_row(&samples, &COLUMNS, Clock::Wall);
        assert_eq!(row.cells[0].figures().unwrap().ms, 20.0);
    }

    #[test]
    fn less_work_is_extrapolated() {
        let reference = Sample { is_reference: true, ..sample(0, Column::Native, &[run("b", 10, 9.0)]) };
        let samples = [
            sample(0, Column::Native, &[run("a", 100, 50.0)]),
            reference,
            sample(0, Column::Box, &[run("b", 10, 20.0)]),
        ];
        let row = only_row(&samples, &COLUMNS, Clock::Cpu);
        assert_eq!(row.cells[0].figures().unwrap().ms, 50.0);
        let figures = row.cells[1].figures().unwrap();
        assert_eq!((figures.ratio, figures.ms), (Some(4.0), 200.0));
        assert!(figures.is_extrapolated && !figures.disagrees);
    }

    #[test]
    fn other_checksums_are_noticed() {
        let native = sample(0, Column::Native, &[run("a", 5, 1.0)]);
        let samples = [native, sample(0, Column::Box, &[run("a", 5, 1.0), run("b", 5, 1.0)])];
        assert!(only_row(&samples, &COLUMNS, Clock::Cpu).cells[1].figures().unwrap().disagrees);
    }

    #[test]
    fn failures_are_told() {
        let mut failed = sample(0, Column::Box, &[]);
        failed.error = Some("status 4".into());
        let samples = [sample(0, Column::Native, &[run("a", 5, 1.0)]), failed];
        let row = only_row(&samples, &COLUMNS, Clock::Cpu);
        assert_eq!(row.cells[1], Cell::Failed { error: "status 4".into() });
    }

    #[test]
    fn means_count_what_there_is() {
        let row = |group, ratio| {
            let figures = Figures { ratio, ..Figures::default() };
            Row { task: String::new(), group, cells: vec![Cell::Measured(figures)] }
        };
        let rows = [row(Group::Compute, Some(2.0)), row(Group::Compute, None), row(Group::System, Some(8.0))];
        let ratio = |row: &Row| row.cells[0].figures()?.ratio;
        assert_eq!(mean(&rows, Some(Group::Compute), ratio), Some((2.0, 1)));
        let (all, count) = mean(&rows, None, ratio).unwrap();
        assert!((all - 4.0).abs() < 1e-9 && count == 2);
        assert_eq!(mean(&rows, Some(Group::Start), ratio), None);
    }

    #[test]
    fn shares_of_a_processor() {
        let samples = [sample(0, Column::Native, &[run("a", 1, 3.0)])];
        assert_eq!(processor_share(samples.iter()), Some(0.5));
        assert_eq!(processor_share([].iter()), None);
    }
}
