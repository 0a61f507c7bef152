//! Packing compared with what a shell has for it: `split` and the `brotli` command line, over the same bytes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use disk::ImageConfig;
use disk::codec::Quality;
use disk::layout::CHUNK_BYTES;
use serde_json::{Value, json};

use crate::command::Cmd;
use crate::holes::is_hole;
use crate::pack::Store;
use crate::progress::Progress;
use crate::tools;

/// Bytes packed: what each of the three takes some seconds for.
const SAMPLE_BYTES_MAX: u64 = 128 << 20;

/// What one way of packing took.
struct Figure {
    what: String,
    seconds: f64,
    /// Size of what it wrote.
    stored_bytes: u64,
}

/// Measures with the chunks of the raw image `raw` that are not zero, at brotli's level `level`; prints a table and returns
/// its figures.
pub fn measure(raw: &Path, level: u32, scratch: &Path) -> Result<Value> {
    tools::ensure_debian_package("brotli", "brotli")?;
    let quality = Quality::new(level).context("brotli's levels are 0 to 11")?;
    let directory = tempfile::tempdir_in(scratch)?;
    let sample = directory.path().join("sample");
    let bytes = write_sample(raw, &sample)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let [ours, serial, parallel] = ["ours", "serial", "parallel"].map(|name| directory.path().join(name));
    for peer in [&serial, &parallel] {
        fs::create_dir(peer)?;
    }
    let pack = || {
        let (config, progress) = (ImageConfig::default(), Progress::new());
        Store::new(&ours).pack(&sample, "sample", config, CHUNK_BYTES, quality, &progress).map(drop)
    };
    let shell = |script: &str, directory: &Path| {
        let sizes = format!("-b {CHUNK_BYTES} -a 6 ../sample c");
        let script =
            script.replace("SPLIT", &format!("split {sizes}")).replace("BROTLI", &format!("brotli -q {level}"));
        Cmd::new("sh").args(["-ec", &script]).dir(directory).output().map(drop)
    };
    let each = "SPLIT --filter='BROTLI -c > $FILE'";
    let all = format!("SPLIT && find . -type f -print0 | xargs -0 -n 64 -P {cores} BROTLI --rm");
    let figures = [
        timed(format!("edgebox pack, {cores} cores"), &ours, pack)?,
        timed(format!("split, brotli by {cores} processes"), &parallel, || shell(&all, &parallel))?,
        timed("split --filter=brotli".into(), &serial, || shell(each, &serial))?,
    ];
    println!("{:.0} MB of {} in chunks of {CHUNK_BYTES} bytes, brotli {level}", bytes as f64 / 1e6, raw.display());
    for Figure { what, seconds, stored_bytes } in &figures {
        let (rate, stored) = (bytes as f64 / 1e6 / seconds, *stored_bytes as f64 / 1e6);
        println!("  {what:36} {seconds:7.2} s {rate:8.1} MB/s {stored:8.1} MB stored");
    }
    let json = figures.iter().map(|figure| {
        json!({"what": figure.what, "seconds": figure.seconds, "stored_bytes": figure.stored_bytes, "bytes": bytes})
    });
    Ok(json.collect())
}

/// Copies chunks that are not zero, as far as they are wanted; returns how many bytes.
fn write_sample(raw: &Path, sample: &Path) -> Result<u64> {
    let (from, to) = (File::open(raw).with_context(|| raw.display().to_string())?, File::create(sample)?);
    let len = from.metadata()?.len();
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    let (mut position, mut written) = (0, 0);
    while position + u64::from(CHUNK_BYTES) <= len && written < SAMPLE_BYTES_MAX {
        if !is_hole(&from, position, CHUNK_BYTES.into()) {
            from.read_exact_at(&mut buffer, position)?;
            to.write_all_at(&buffer, written)?;
            written += u64::from(CHUNK_BYTES);
        }
        position += u64::from(CHUNK_BYTES);
    }
    Ok(written)
}

fn timed(what: String, output: &Path, work: impl FnOnce() -> Result<()>) -> Result<Figure> {
    let start = Instant::now();
    work().with_context(|| what.clone())?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Figure { what, seconds, stored_bytes: stored_bytes(output)? })
}

fn stored_bytes(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { stored_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
