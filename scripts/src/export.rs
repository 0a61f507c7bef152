//! Everything a visitor needs as plain files, for hosts that do nothing but serve files.
//!
//! ```text
//! index.html, page/, worker/, engine/, sw.js             the site
//! disk/manifests/NAME.json, disk/chunks/DIGEST          disks, at the paths the Worker has them at
//! ```
//!
//! Chunks stay brotli, which such hosts don't label: the engine decodes what the browser did not. `sw.js` adds the headers
//! that such hosts don't send. The same directory is what the Worker can serve from its static assets.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use disk::directory::manifest_path;
use disk::{ChunkDigest, DirectorySource};

use crate::objects::{self, Objects};
use crate::site;

/// Bytes a site may have on GitHub Pages, and about what other hosts of that kind allow.
pub const EXPORT_BYTES_MAX: u64 = 1_000_000_000;

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exported {
    pub files: usize,
    pub bytes: u64,
}

/// Writes the site at `site` and the images `names` of the store at `disk` to `target`. What another export has left there
/// of disks goes.
pub fn export(site: &Path, disk: &Path, names: &[String], target: &Path) -> Result<Exported> {
    let store = DirectorySource::new(disk);
    let mut objects = Objects::new();
    for name in names {
        let manifest = store.manifest(name);
        let manifest =
            manifest.with_context(|| format!("there is no image {name:?}: build it with ./scripts/image"))?;
        objects.extend(objects::of_manifest(&mut store.clone(), &manifest).with_context(|| format!("image {name}"))?);
    }
    let mut exported = Exported { files: 0, bytes: 0 };
    measure(site, &mut exported)?;
    for file in objects.values() {
        let path = disk.join(file);
        exported.bytes += fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    }
    exported.files += objects.len() + names.len();
    check_size(exported.bytes)?;
    site::copy_directory(site, target)?;
    // For hosts that would leave out some files otherwise.
    fs::write(target.join(".nojekyll"), "")?;
    let directory = target.join("disk");
    fs::create_dir_all(&directory)?;
    remove_others(&directory, &objects)?;
    for (key, file) in &objects {
        let (from, to) = (disk.join(file), directory.join(key));
        if !to.exists() {
            fs::create_dir_all(to.parent().unwrap_or(&directory))?;
            fs::copy(&from, &to).with_context(|| to.display().to_string())?;
        }
    }
    // Last, so that a manifest never names what is not there yet.
    let manifests = target.join("disk/manifests");
    let _ = fs::remove_dir_all(&manifests);
    fs::create_dir_all(&manifests)?;
    for name in names {
        let path = manifest_path(name);
        fs::copy(disk.join(&path), target.join("disk").join(&path))?;
    }
    Ok(exported)
}

fn check_size(bytes: u64) -> Result<()> {
    if bytes <= EXPORT_BYTES_MAX {
        return Ok(());
    }
    bail!(
        "this would be {:.2} GB, and hosts of plain files such as GitHub Pages take 1 GB at most. Make the image smaller \
         (fewer packages, `--quality 11`), export fewer images, or serve it with the Worker: `./scripts/deploy` has \
         disks of any size in a bucket",
        bytes as f64 / 1e9
    )
}

/// Adds up the files below a directory.
fn measure(directory: &Path, sum: &mut Exported) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            measure(&entry.path(), sum)?;
        } else {
            sum.files += 1;
            sum.bytes += meta.len();
        }
    }
    Ok(())
}

/// Removes objects that are named by their digests and are not among `objects`; nothing else.
fn remove_others(directory: &Path, objects: &Objects) -> Result<()> {
    for kind in objects::KINDS {
        let Ok(entries) = fs::read_dir(directory.join(kind)) else { continue };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if name.parse::<ChunkDigest>().is_ok() && !objects.contains_key(&format!("{kind}{name}")) {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use disk::codec::Quality;
    use disk::layout::CHUNK_BYTES;
    use disk::{Delivery, Encoding, ImageConfig};

    use super::*;
    use crate::pack::Store;
    use crate::progress::Progress;

    fn files(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .expect("directory")
            .map(|entry| entry.expect("entry").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_exported_is_one_image_and_all_of_it() {
        let scratch = tempfile::tempdir().expect("directory");
        let (site, disk, target) =
            (scratch.path().join("site"), scratch.path().join("disk"), scratch.path().join("out"));
        fs::create_dir_all(site.join("page")).expect("site");
        fs::write(site.join("index.html"), "x").expect("site");
        let raw = scratch.path().join("raw");
        for (name, seed) in [("a", 1u32), ("b", 2)] {
            let mut image: Vec<u8> = (0..500_000u32).flat_map(|number| (number * seed).to_le_bytes()).collect();
            image.resize(4 << 20, 0);
            fs::write(&raw, image).expect("raw");
            let config = ImageConfig::default();
            Store::new(&disk).pack(&raw, name, config, CHUNK_BYTES, Quality::QUICK, &Progress::new()).expect("packed");
        }
        for name in ["b", "a"] {
            let exported = export(&site, &disk, &[name.into()], &target).expect("exported");
            assert_eq!(files(&target.join("disk/manifests")), [format!("{name}.json")]);
            let chunks = files(&target.join("disk/chunks"));
            // 16 chunks that are not zero, a leaf page and the root page; one file of the site, one manifest.
            assert_eq!((chunks.len(), exported.files), (18, 20));
            for name in chunks {
                let bytes = fs::read(target.join("disk/chunks").join(&name)).expect("chunk");
                let delivery = Delivery { encoding: Some(Encoding::Brotli), bytes };
                delivery.open(&name.parse().expect("digest"), CHUNK_BYTES as usize).expect("right");
            }
        }
        assert!(export(&site, &disk, &["c".into()], &target).is_err());
    }

    #[test]
    fn too_much_is_refused_with_a_way_out() {
        assert!(check_size(EXPORT_BYTES_MAX).is_ok());
        let refusal = check_size(2_500_000_000).expect_err("too much").to_string();
        assert!(refusal.contains("2.50 GB") && refusal.contains("./scripts/deploy"), "{refusal}");
    }
}
