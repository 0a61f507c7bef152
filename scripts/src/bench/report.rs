//! What is printed, and the JSON.

use serde_json::{Value, json};

use super::column::{Arch, Column};
use super::measure::Sample;
use super::summary::{Cell, Clock, Figures, Row, mean, processor_share};
use super::table::Table;
use super::task::{Group, Task, What};

/// All that is known about one measurement.
pub struct Report<'a> {
    pub arch: Arch,
    pub image: &'a str,
    pub engine: Option<&'a str>,
    pub browser: Option<String>,
    pub rounds: u32,
    pub repeats: u32,
    pub clock: Clock,
    pub columns: &'a [Column],
    pub tasks: &'a [Task],
    pub rows: &'a [Row],
    pub samples: &'a [Sample],
}

/// Native programs that get less than this part of a processor are on a busy machine.
const BUSY_BELOW: f64 = 0.9;

/// Marks of cells, explained below the table.
const EXTRAPOLATED: &str = "~";
const DISAGREES: &str = "!";

const GROUPS: [Group; 5] = [Group::Compute, Group::System, Group::Start, Group::Program, Group::Command];

impl Report<'_> {
    pub fn to_text(&self) -> String {
        let mut parts = vec![self.heading(), self.ratios().to_text()];
        for (index, column) in self.columns.iter().enumerate() {
            if self.repeats > 1 && matches!(column, Column::Box | Column::Vm) {
                parts.push(format!("First run in the {column} against the last:"));
                parts.push(self.warm_up(index).to_text());
            }
        }
        parts.extend(self.starts());
        parts.extend(self.notes());
        parts.join("\n")
    }

    pub fn to_json(&self) -> Value {
        json!({
            "arch": self.arch, "image": self.image, "engine": self.engine, "browser": self.browser, "rounds": self.rounds,
            "repeats": self.repeats, "clock": self.clock, "columns": self.columns, "summary": self.rows,
            "means": self.means_json(), "samples": self.samples,
        })
    }

    fn heading(&self) -> String {
        let Report { rounds, repeats, .. } = self;
        let clock = match self.clock {
            Clock::Cpu => "CPU time",
            Clock::Wall => "time on the wall",
        };
        let first = self.columns[0];
        let engine = self.engine.map(|engine| format!(", engine {engine}")).unwrap_or_default();
        format!(
            "\n{}, image {}{engine}: {clock} against {first}, median of {rounds} rounds, the best of {repeats} runs in each\n",
            self.arch.name(),
            self.image,
        )
    }

    fn ratios(&self) -> Table {
        let mut table = Table::default();
        let others = || self.columns.iter().enumerate().skip(1);
        let title = [String::new(), format!("{} ms", self.columns[0])];
        table.add(title.into_iter().chain(others().map(|(_, column)| column.name().into())));
        for row in self.rows {
            let ratios = others().map(|(index, _)| ratio_cell(&row.cells[index]));
            table.add([row.task.clone(), ms_cell(&row.cells[0])].into_iter().chain(ratios));
        }
        if !self.means().is_empty() {
            table.add_gap();
        }
        for (name, group) in self.means() {
            let means = others().map(|(index, _)| self.mean_cell(group, index));
            table.add([format!("geometric mean, {name}"), "1".into()].into_iter().chain(means));
        }
        if self.means().iter().any(|(_, group)| *group == Some(Group::Compute)) {
            let highest = others().map(|(index, _)| self.highest_cell(Group::Compute, index));
            table.add(["highest, compute".into(), "1".into()].into_iter().chain(highest));
        }
        table
    }

    /// Groups that have a mean: those with several rows, and all together.
    fn means(&self) -> Vec<(&'static str, Option<Group>)> {
        let rows_of = |group| self.rows.iter().filter(|row| row.group == group).count();
        let present: Vec<Group> = GROUPS.into_iter().filter(|&group| rows_of(group) > 0).collect();
        let mut means: Vec<_> = present.iter().map(|group| (group.name(), Some(*group))).collect();
        if present.len() > 1 {
            means.push(("all", None));
        }
        if self.rows.len() > 1 { means } else { Vec::new() }
    }

    fn mean_cell(&self, group: Option<Group>, column: usize) -> String {
        let rows = self.rows.iter().filter(|row| group.is_none_or(|group| row.group == group)).count();
        match mean(self.rows, group, |row| row.cells[column].figures()?.ratio) {
            None => "–".into(),
            Some((ratio, count)) if count == rows => digits(ratio),
            Some((ratio, count)) => format!("({count} of {rows}) {}", digits(ratio)),
        }
    }

    fn highest_cell(&self, group: Group, column: usize) -> String {
        let rows = self.rows.iter().filter(|row| row.group == group);
        let ratios = rows.filter_map(|row| row.cells[column].figures()?.ratio);
        ratios.max_by(f64::total_cmp).map_or("–".into(), digits)
    }

    fn means_json(&self) -> Value {
        let of_column = |group, index: usize| {
            let of = |pick: fn(&Figures) -> Option<f64>| {
                mean(self.rows, group, |row| pick(row.cells[index].figures()?)).map(|(ratio, _)| ratio)
            };
            let first = of(|figures| figures.first_ratio);
            json!({"best": of(|figures| figures.ratio), "first": first, "last": of(|figures| figures.last_ratio)})
        };
        let of_group = |group| {
            let columns = self.columns.iter().enumerate();
            columns.map(|(index, column)| (column.name().to_owned(), of_column(group, index))).collect::<Value>()
        };
        self.means().into_iter().map(|(name, group)| (name.to_owned(), of_group(group))).collect()
    }

    fn warm_up(&self, index: usize) -> Table {
        let mut table = Table::default();
        table.add(["", "first ms", "last ms", "first ratio", "last ratio"].map(String::from));
        let ratio = |ratio: Option<f64>| ratio.map_or("–".into(), digits);
        for row in self.rows {
            let Some(figures) = row.cells[index].figures() else { continue };
            let Figures { first_ms, last_ms, first_ratio, last_ratio, .. } = figures;
            let mark = if figures.is_extrapolated { EXTRAPOLATED } else { "" };
            let cells = [mark.to_owned() + &digits(*first_ms), mark.to_owned() + &digits(*last_ms)];
            table.add([row.task.clone()].into_iter().chain(cells).chain([ratio(*first_ratio), ratio(*last_ratio)]));
        }
        if !self.means().is_empty() {
            table.add_gap();
        }
        for (name, group) in self.means() {
            let of = |pick: fn(&Figures) -> Option<f64>| {
                let found = mean(self.rows, group, |row| pick(row.cells[index].figures()?));
                found.map_or("–".into(), |(ratio, _)| digits(ratio))
            };
            let ratios = [of(|figures| figures.first_ratio), of(|figures| figures.last_ratio)];
            table.add([format!("geometric mean, {name}"), String::new(), String::new()].into_iter().chain(ratios));
        }
        table
    }

    /// Programs started per second, where that is what a task is about.
    fn starts(&self) -> Vec<String> {
        let line = |(task, row): (&Task, &Row)| {
            let What::Command(command) = &task.what else { return None };
            let starts = f64::from(command.starts?);
            let cells = self.columns.iter().zip(&row.cells);
            let rates = cells.filter_map(|(column, cell)| {
                let ms = cell.figures()?.ms;
                Some(format!("{column} {}", digits(starts / ms * 1e3)))
            });
            Some(format!("{}, per second: {}", task.name, rates.collect::<Vec<_>>().join(", ")))
        };
        self.tasks.iter().zip(self.rows).filter_map(line).collect()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let figures = || self.rows.iter().flat_map(|row| &row.cells).filter_map(Cell::figures);
        if figures().any(|figures| figures.is_extrapolated) {
            notes.push(format!("{EXTRAPOLATED} it did another amount of work; the time is extrapolated"));
        }
        for row in self.rows {
            for (column, cell) in self.columns.iter().zip(&row.cells) {
                match cell {
                    Cell::Measured(figures) if figures.disagrees => {
                        notes.push(format!("{DISAGREES} {}, {column}: {}", row.task, self.disagreement(row, *column)));
                    }
                    Cell::Failed { error } => notes.push(format!("{}, {column}: {error}", row.task)),
                    _ => {}
                }
            }
        }
        notes.extend(self.left_out());
        if let Some(share) = self.native_share().filter(|share| *share < BUSY_BELOW) {
            let percent = share * 100.0;
            notes.push(format!("This machine is busy: native programs got {percent:.0} % of a processor."));
        }
        notes
    }

    /// The part of a processor that native programs had which do nothing but compute.
    fn native_share(&self) -> Option<f64> {
        let computes = |task: &&Task| matches!(task.group, Group::Compute | Group::Program);
        let names: Vec<&str> = self.tasks.iter().filter(computes).map(|task| task.name.as_str()).collect();
        let samples = self.samples.iter().filter(|sample| sample.column == Column::Native);
        processor_share(samples.filter(|sample| names.contains(&sample.task.as_str())))
    }

    fn disagreement(&self, row: &Row, column: Column) -> String {
        let checksums = |wanted| {
            let samples = self.samples.iter().filter(|sample| sample.task == row.task && sample.column == wanted);
            let runs = samples.flat_map(|sample| &sample.runs);
            let mut texts: Vec<String> = runs.map(|run| format!("{} for {}", run.checksum, run.work)).collect();
            texts.sort();
            texts.dedup();
            texts.join(", ")
        };
        format!("checksum {}, but {} in {}", checksums(column), checksums(self.columns[0]), self.columns[0])
    }

    /// A line for each reason.
    fn left_out(&self) -> Vec<String> {
        let mut reasons: Vec<(Column, &str, Vec<&str>)> = Vec::new();
        for row in self.rows {
            for (&column, cell) in self.columns.iter().zip(&row.cells) {
                let Cell::LeftOut { reason } = cell else { continue };
                match reasons.iter_mut().find(|known| (known.0, known.1) == (column, reason)) {
                    Some((_, _, tasks)) => tasks.push(&row.task),
                    None => reasons.push((column, reason, vec![&row.task])),
                }
            }
        }
        let line = |(column, reason, tasks): (Column, &str, Vec<&str>)| {
            format!("{column} is left out of {}: {reason}", tasks.join(", "))
        };
        reasons.into_iter().map(line).collect()
    }
}

fn ms_cell(cell: &Cell) -> String {
    cell.figures().map_or_else(|| word(cell), |figures| digits(figures.ms))
}

fn ratio_cell(cell: &Cell) -> String {
    let Some(figures) = cell.figures() else { return word(cell) };
    let ratio = figures.ratio.map_or("–".into(), digits);
    let before = if figures.is_extrapolated { EXTRAPOLATED } else { "" };
    let after = if figures.disagrees { DISAGREES } else { "" };
    format!("{before}{ratio}{after}")
}

fn word(cell: &Cell) -> String {
    if matches!(cell, Cell::LeftOut { .. }) { "–".into() } else { "failed".into() }
}

/// Three significant digits, as far as they are before the point all of them.
fn digits(value: f64) -> String {
    match value {
        _ if value >= 99.95 => format!("{value:.0}"),
        _ if value >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::Run;
    use super::*;

    #[test]
    fn three_digits() {
        let texts = [0.123, 1.0, 9.994, 9.996, 99.94, 99.96, 1234.5].map(digits);
        assert_eq!(texts, ["0.12", "1.00", "9.99", "10.0", "99.9", "100", "1234"]);
    }

    #[test]
    fn a_report() {
        let task = |name: &str, group| Task { name: name.into(), group, what: What::Benchmark };
        let tasks = [task("fib", Group::Compute), task("forkwait", Group::System)];
        let columns = [Column::Native, Column::Box, Column::Wasm];
        let run = |checksum: &str, ms: f64| Run {
            checksum: checksum.into(),
            work: 1,
            wall_us: ms * 2e3,
            cpu_us: ms * 1e3,
            all_cpu_us: None,
        };
        let sample = |column, name: &str, runs: Vec<Run>| {
            let error = runs.is_empty().then(|| "status 4: no".to_owned());
            Sample { round: 0, column, task: name.into(), scale_percent: 100.0, is_reference: false, runs, error }
        };
        let samples = [
            sample(Column::Native, "fib", vec![run("a", 10.0)]),
            sample(Column::Box, "fib", vec![run("a", 400.0), run("b", 20.0)]),
            sample(Column::Wasm, "fib", vec![run("a", 15.0)]),
            sample(Column::Native, "forkwait", vec![run("c", 1.0)]),
            sample(Column::Box, "forkwait", vec![]),
        ];
        let rows = super::super::summary::summarise(&samples, &tasks, &columns, Clock::Cpu);
        let report = Report {
            arch: Arch::Amd64,
            image: "default",
            engine: Some("jit"),
            browser: None,
            rounds: 1,
            repeats: 2,
            clock: Clock::Cpu,
            columns: &columns,
            tasks: &tasks,
            rows: &rows,
            samples: &samples,
        };
        let text = report.to_text();
        let table = "
amd64, image default, engine jit: CPU time against native, median of 1 rounds, the best of 2 runs in each

                         native ms            box           wasm
fib                           10.0          2.00!           1.50
forkwait                      1.00         failed              –

geometric mean, compute          1           2.00           1.50
geometric mean, system           1              –              –
geometric mean, all              1  (1 of 2) 2.00  (1 of 2) 1.50
highest, compute                 1           2.00           1.50
";
        assert!(text.starts_with(table), "{text}");
        for line in [
            "! fib, box: checksum a for 1, b for 1, but a for 1 in native",
            "forkwait, box: status 4: no",
            "wasm is left out of forkwait: WASI has no processes, memory mappings or generated code",
            "This machine is busy: native programs got 50 % of a processor.",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
        assert_eq!(report.to_json()["means"]["compute"]["box"]["first"], 40.0);
    }
}
