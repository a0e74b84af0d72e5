//! A result file that appears whole or not at all.
//!
//! * Opened before the run, so that a path that cannot be written stops it at the start.
//! * Written beside its name and renamed; dropped unwritten, it leaves nothing behind.

use crate::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file to be.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    part: PathBuf,
    file: File,
    written: bool,
}

impl Output {
    /// Makes sure that `path` can be written.
    ///
    /// # Errors
    /// [`Error::Configuration`] if it cannot.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.is_dir() {
            return Err(Error::Configuration(format!("{} is a folder: name a file in it", path.display())));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|error| {
            Error::Configuration(format!(
                "cannot write {}: {error}; name a file in a folder that exists and is writable",
                path.display()
            ))
        })?;
        Ok(Self { path: path.to_owned(), part, file, written: false })
    }

    /// Writes the whole content and gives the file its name.
    ///
    /// # Errors
    /// [`Error::Runtime`] if the disk is full, say.
    pub fn write(mut self, content: &[u8]) -> Result<(), Error> {
        let done = self.file.write_all(content).and_then(|()| fs::rename(&self.part, &self.path));
        self.written = done.is_ok();
        done.map_err(|error| Error::Runtime(format!("cannot write {}: {error}", self.path.display())))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.written {
            // Nothing is left to tell if the part cannot be removed either.
            let _ = fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("loadgen-output-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("result.json");
        drop(Output::open(&path).unwrap());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        Output::open(&path).unwrap().write(b"{}").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(matches!(Output::open(&folder), Err(Error::Configuration(_))));
        assert!(matches!(Output::open(&folder.join("no/such")), Err(Error::Configuration(_))));
        fs::remove_dir_all(&folder).unwrap();
    }
}
