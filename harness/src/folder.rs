//! A folder for one test, removed with the value, also when the test fails.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A temporary folder that exists as long as this value.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A new, empty folder below the system's folder for temporary files. `name` says in a listing whose it is.
    ///
    /// # Panics
    /// The folder cannot be created.
    #[expect(clippy::expect_used, reason = "without a folder the test cannot run")]
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder can be created");
        Self { path }
    }

    /// The path of the folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it, which need not exist.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file so that a reader sees all of it or the one before.
    ///
    /// # Panics
    /// The file cannot be written.
    #[expect(clippy::expect_used, reason = "without its files the test cannot run")]
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.file(name), self.file(&format!("{name}.new")));
        std::fs::write(&new, text).expect("a file in the test's folder can be written");
        std::fs::rename(&new, &path).expect("a file in the test's folder can be renamed");
        path
    }

    /// The text of a file, empty if there is no such file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed stays among the temporary files; a test that panics must not panic twice.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
