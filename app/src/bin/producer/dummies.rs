//! Dummy rows, for those who have no table of their own at hand.

use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::HumanCount;
use rowferry::error::{Error, Result};
use rowferry::source::dummy;
use rowferry::stop::Stop;

use crate::options::Args;

/// As many dummy users as the default database gets.
const ROWS: u64 = 1000;

/// Makes the default database, and adds the dummy rows that were asked for.
pub(crate) fn prepare(args: &Args, path: &Path, stop: &Stop) -> Result<()> {
    let missing = !path.exists();
    if missing && args.source.is_none() {
        dummy::create_if_missing(path, ROWS, args.seed, stop)?;
        log::info!("made {} with {} dummy users", path.display(), HumanCount(ROWS));
    } else if missing && (args.fake.is_some() || args.fake_every.is_some()) {
        dummy::create_if_missing(path, 0, args.seed, stop)?;
        log::info!("made {}", path.display());
    } else if missing {
        return Err(
            Error::failed(format!("--source {}: there is no such file", path.display()))
                .way_out("name a database that is there, or add --fake 1000 to make one with dummy users"),
        );
    }
    if let Some(rows) = args.fake.filter(|&rows| rows > 0) {
        dummy::add(path, dummy::TABLE, rows, args.seed, stop)?;
        log::info!("added {} dummy users to {}", HumanCount(rows), path.display());
    }
    Ok(())
}

/// Adds a dummy row every so often; when it cannot, the program ends.
pub(crate) fn start_adding(path: PathBuf, every: Duration, seed: u64, stop: Stop) -> JoinHandle<Result<()>> {
    thread::spawn(move || {
        while stop.sleep(every).is_ok() {
            dummy::add(&path, dummy::TABLE, 1, seed, &stop).inspect_err(|_| stop.request())?;
        }
        Ok(())
    })
}
