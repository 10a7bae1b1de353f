//! Small files that the user names: read once, whole, and with the flag in every error.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Reads a file that no one but the user should be able to use; one that others can gets a warning.
pub(crate) fn read_secret(flag: &str, path: &Path, largest: u64) -> Result<Zeroizing<Vec<u8>>> {
    let (bytes, metadata) = read_whole(flag, path, largest)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        log::warn!(
            "{flag} {}: others can use this file (mode {mode:03o}): chmod 600 keeps it to you",
            path.display()
        );
    }
    Ok(bytes)
}

/// Reads a file that holds no secret.
pub(crate) fn read(flag: &str, path: &Path, largest: u64) -> Result<Zeroizing<Vec<u8>>> {
    Ok(read_whole(flag, path, largest)?.0)
}

fn read_whole(flag: &str, path: &Path, largest: u64) -> Result<(Zeroizing<Vec<u8>>, Metadata)> {
    let failed = |what: String| Error::failed(format!("{flag} {}: {what}", path.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| {
        (&file).take(largest + 1).read_to_end(&mut bytes)?;
        file.metadata()
    });
    let metadata = read.map_err(|e| {
        failed(format!("cannot read it: {e}"))
            .way_out(format!("name a file that is there and that you may read: {flag} FILE"))
    })?;
    if bytes.len() as u64 > largest {
        return Err(failed(format!("it holds more than {largest} bytes")).way_out("name the file that is meant"));
    }
    Ok((bytes, metadata))
}
