//! A folder of one run that nobody else can read, with a fresh ring in it.
//!
//! * The folder is 0700 and the ring 0600 from the moment they exist; both go when the value does.
//! * Every secret comes from the kernel and is used for one run.

use anyhow::Context;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A private folder that exists as long as this value.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Makes one among the temporary files.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let name: String = random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = std::env::temp_dir().join(format!("reflector-run-{name}"));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| {
            format!("cannot make the folder {}; set TMPDIR to a writable one", folder.display())
        })?;
        Ok(Self { folder })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Writes a ring of one fresh key to the file `name` in it.
    ///
    /// # Errors
    /// The kernel has no randomness, or the file exists already.
    pub fn fresh_ring(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        fresh_ring(&path)?;
        Ok(path)
    }
}

/// Writes a ring of one fresh key that nobody else can read.
///
/// # Errors
/// The kernel has no randomness, or the file exists already.
pub fn fresh_ring(path: &Path) -> anyhow::Result<()> {
    let text = wire::ring_file::render(1, &random()?);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write the ring {}", path.display()))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder); // Nothing is left to tell if it cannot be removed.
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the kernel gives no random bytes")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_ring_is_fresh_and_private_and_goes() {
        let scratch = Scratch::new().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let (one, two) = (scratch.fresh_ring("one.toml").unwrap(), scratch.fresh_ring("two.toml").unwrap());
        assert_eq!((mode(scratch.path()), mode(&one)), (0o700, 0o600));
        let text = fs::read_to_string(&one).unwrap();
        assert!(wire::ring_file::parse(&text).is_ok());
        assert_ne!(text, fs::read_to_string(&two).unwrap());
        assert!(scratch.fresh_ring("one.toml").is_err());
        let folder = scratch.path().to_owned();
        drop(scratch);
        assert!(!folder.exists());
    }
}
