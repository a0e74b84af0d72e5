//! The files of a report, written into a folder.

use anyhow::Context;
use std::fs;
use std::path::Path;

/// Writes all files into a folder, which is made if need be.
///
/// # Errors
/// A file that cannot be written.
pub fn write(folder: &Path, files: &[(&str, String)]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the folder {}; name a writable one with --out", folder.display())
    })?;
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
