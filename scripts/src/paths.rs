//! Where things are and where they go.

use std::path::{Path, PathBuf};

/// Directories of the project.
pub struct Paths {
    root: PathBuf,
    build: PathBuf,
}

impl Paths {
    /// The project this tool was built from; what is built goes to `build`, or to the project's own place for it.
    pub fn of_project(build: Option<&Path>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
        let build = build.map_or_else(|| root.join("build"), Path::to_path_buf);
        Paths { root: root.into(), build }
    }

    /// The project's top directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All that is built, outside version control.
    pub fn build(&self) -> &Path {
        &self.build
    }

    /// Raw images and what their making leaves behind.
    pub fn images(&self) -> PathBuf {
        self.build.join("images")
    }

    /// The uncompressed file system of image `name`.
    pub fn raw_image(&self, name: &str) -> PathBuf {
        self.images().join(format!("{name}.ext2"))
    }

    /// Chunks and manifests.
    pub fn disk(&self) -> PathBuf {
        self.build.join("disk")
    }

    /// What is served without running the Worker.
    pub fn site(&self) -> PathBuf {
        self.build.join("site")
    }

    /// The Worker.
    pub fn edge(&self) -> PathBuf {
        self.build.join("edge")
    }

    /// The file that notes what `what` was last built from.
    pub fn stamp(&self, what: &str) -> std::io::Result<PathBuf> {
        let directory = self.build.join("stamps");
        std::fs::create_dir_all(&directory)?;
        Ok(directory.join(what))
    }
}
